"""`infernoctl`: what people who come from Docker type. Reading verbs are answered without doit; the others are tasks.

Exit statuses: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is missing;
130 and 143 ended by SIGINT and SIGTERM. `start` in the foreground ends with the status of the VM's process.
"""

from __future__ import annotations

import signal
import sys

from inferno import garbage
from inferno.cli import streams
from inferno.cli.speak import report
from inferno.errors import InfernoError, UsageError

# verb -> (module.function below inferno.cli, what it is asked with, one line for --help)
READING = {
    "list": ("read.list_vms", "", "VMs, and whether they run"),
    "ls": ("read.list_vms", "", "the same as list"),
    "status": ("read.status", "NAME", "one VM in full"),
    "logs": ("logs.verb", "[NAME]", "what VMs said; -f follows"),
    "images": ("images.images", "VERB", "images that are here: list, show, process, exposed, pull, prune, check"),
    "stats": ("measure.stats", "[NAME…]", "what VMs use of this host"),
    "top": ("measure.top", "NAME", "what a VM uses, and what runs in it"),
    "ping": ("measure.ping", "NAME", "whether a guest answers over vsock, and how fast"),
    "vsock-ping": ("measure.ping", "NAME", "the same as ping"),
    "wait": ("follow.wait", "NAME", "until a VM ends, and as its process"),
    "why": ("read.why", "NAME", "what made the current version of a VM, and what would make the next"),
    "doctor": ("doctor.verb", "", "whether this host is fit for production, and what mends it"),
    "env": ("read.env", "", "the settings in force, and where they come from"),
    "version": ("read.version", "", "the version of Inferno"),
    "exec": ("reach.run", "NAME CMD…", "a command in a VM that runs"),
    "shell": ("reach.shell", "NAME", "the best shell that the VM has"),
    "cp": ("cp.run", "FROM TO", "files between a VM that runs (NAME:PATH) and this host"),
    "attach": ("follow.attach", "NAME", "the output of a VM's process from now on, or with -i its terminal"),
    "ssh-config": ("ssh.show", "[NAME…]", "entries for ~/.ssh/config, for images with an sshd"),
}
_HELP = ("-h", "--help")


def main(argv: list[str] | None = None) -> int:
    """The console script's entry point."""
    if argv is None:
        garbage.seldom()
    streams.fill()
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        streams.flush()
        return status
    except InfernoError as error:
        report(error)
        return error.status
    except PermissionError as error:
        from inferno import host

        report(host.denied(error))
        return UsageError.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        return streams.lost(error)


def _dispatch(words: list[str]) -> int:
    verb = words[0] if words else "--help"
    if verb in (*_HELP, "help"):
        from inferno.cli import act

        print(act.usage(words[1:]))
        return 0
    if verb == "--version":
        verb = "version"
    if verb in READING:
        if _asks_for_help(verb, words[1:]):
            return _dispatch(["help", verb])
        module, function = READING[verb][0].split(".")
        return int(getattr(__import__(f"inferno.cli.{module}", fromlist=[function]), function)(words[1:]) or 0)
    if not verb:
        raise UsageError("an empty word is no verb", "infernoctl --help")
    from inferno.cli import act

    return act.act(verb, words[1:])


def _asks_for_help(verb: str, words: list[str]) -> bool:
    """Not in what is meant for a guest: the words of exec's command. Nor for `images pull`, which is a task."""
    if verb == "exec":
        words = words[:2]
    if verb == "images" and words[:1] == ["pull"]:
        return False
    own = words[: words.index("--")] if "--" in words else words
    return any(word in _HELP for word in own)
