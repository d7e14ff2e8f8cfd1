"""`infernoctl`: what people who come from Docker type. Reading verbs are answered without doit; the others are tasks.

Exit statuses: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is missing;
130 and 143 ended by SIGINT and SIGTERM. `start` in the foreground ends with the status of the VM's process.
"""

from __future__ import annotations

import signal
import sys

from inferno.base import gc_tuning
from inferno.base.errors import InfernoError, UsageError
from inferno.console import streams
from inferno.console.errors import report

# verb -> module.function below inferno.cli; what is not here is a task.
_VERBS = {
    "list": "look.list_vms",
    "ls": "look.list_vms",
    "status": "look.status",
    "logs": "logs.verb",
    "images": "images.images",
    "stats": "stats.stats",
    "top": "stats.top",
    "ping": "stats.ping",
    "vsock-ping": "stats.ping",
    "wait": "wait_attach.wait",
    "why": "look.why",
    "doctor": "doctor.verb",
    "env": "look.env",
    "version": "look.version",
    "exec": "exec_shell.run",
    "shell": "exec_shell.shell",
    "cp": "cp.run",
    "attach": "wait_attach.attach",
    "ssh-config": "ssh_config.show",
}
_HELP = ("-h", "--help")


def main(argv: list[str] | None = None) -> int:
    """The console script's entry point."""
    if argv is None:
        gc_tuning.seldom()
    streams.fill()
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        streams.flush()
        return status
    except InfernoError as error:
        report(error)
        return error.status
    except PermissionError as error:
        from inferno.base import requirements

        report(requirements.denied(error))
        return UsageError.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        return streams.lost(error)


def _dispatch(words: list[str]) -> int:
    verb = words[0] if words else "--help"
    if verb in (*_HELP, "help"):
        from inferno.console import help

        print(help.usage(words[1:]))
        return 0
    if verb == "--version":
        verb = "version"
    if verb in _VERBS:
        if _asks_for_help(verb, words[1:]):
            return _dispatch(["help", verb])
        module, function = _VERBS[verb].split(".")
        return int(getattr(__import__(f"inferno.cli.{module}", fromlist=[function]), function)(words[1:]) or 0)
    if not verb:
        raise UsageError("an empty word is no verb", "infernoctl --help")
    from inferno.cli import task_verbs

    return task_verbs.act(verb, words[1:])


def _asks_for_help(verb: str, words: list[str]) -> bool:
    """Not in what is meant for a guest: the words of exec's command. Nor for `images pull`, which is a task."""
    if verb == "exec":
        words = words[:2]
    if verb == "images" and words[:1] == ["pull"]:
        return False
    own = words[: words.index("--")] if "--" in words else words
    return any(word in _HELP for word in own)
