"""`infernoctl`: what people who come from Docker type. Reading verbs are answered without doit; the others are tasks.

Exit statuses: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is missing;
130 and 143 ended by SIGINT and SIGTERM. `start` in the foreground ends with the status of the VM's process.
"""

from __future__ import annotations

import signal
import sys

from inferno.cli import streams
from inferno.cli.speak import report
from inferno.errors import InfernoError, UsageError

# verb -> (module.function below inferno.cli, one line for --help)
READING = {
    "list": ("read.list_vms", "VMs, and whether they run  [--json | --format table|json] [--state STATE]"),
    "ls": ("read.list_vms", "the same as list"),
    "status": ("read.status", "one VM in full  NAME [--json]"),
    "logs": (
        "logs.verb",
        "what VMs said  tail|show [--vm NAME] [-n N] [-f] [--source S] [--level L] [--since T] [--until T]"
        " [--grep RE] [--json], status|restart|clear",
    ),
    "images": ("images.images", "images that are here  list|show|process|exposed|pull|prune|check"),
    "exec": ("reach.run", "a command in a VM that runs  NAME [-it] [-u USER] [-w DIR] [-e K=V] [--] CMD…"),
    "shell": ("reach.shell", "the best shell that the VM has  NAME [-u USER] [-w DIR] [-e K=V]"),
    "cp": ("cp.run", "files between a VM that runs and this host  NAME:PATH PATH|- | PATH|- NAME:PATH [-a] [-L]"),
    "ssh-config": ("ssh.show", "entries for ~/.ssh/config, for images with an sshd  [NAME…] [--user USER]"),
    "attach": ("follow.attach", "the output of a VM's process from now on, or with -i its terminal  NAME [-i]"),
    "wait": ("follow.wait", "until a VM ends, and as its process  NAME"),
    "stats": ("measure.stats", "what VMs use of this host  [NAME…] [--json]"),
    "top": ("measure.top", "what a VM uses, and what runs in it  NAME [--json]"),
    "ping": ("measure.ping", "whether a guest answers over vsock, and how fast  NAME [-c N] [--timeout S] [--json]"),
    "vsock-ping": ("measure.ping", "the same as ping"),
    "doctor": ("doctor.verb", "whether this host is fit for production, and what mends it  [--json]"),
    "why": ("read.why", "what made the current version of a VM, and what would make the next  NAME"),
    "env": ("read.env", "the settings in force, and where they come from"),
    "version": ("read.version", "the version of Inferno"),
}


def main(argv: list[str] | None = None) -> int:
    """The console script's entry point."""
    words = sys.argv[1:] if argv is None else argv
    streams.fill()
    try:
        status = _dispatch(words)
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
    if verb in ("-h", "--help", "help"):
        from inferno.cli import act

        print(act.usage(words[1:]))
        return 0
    if verb == "--version":
        verb = "version"
    if verb in READING:
        module, function = READING[verb][0].split(".")
        return int(getattr(__import__(f"inferno.cli.{module}", fromlist=[function]), function)(words[1:]) or 0)
    if not verb:
        raise UsageError("an empty word is no verb", "infernoctl --help")
    from inferno.cli import act

    return act.act(verb, words[1:])
