"""`infernoctl`: what people who come from Docker type. Reading verbs are answered without doit; the others are tasks.

Exit statuses: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is missing;
130 and 143 ended by SIGINT and SIGTERM. `start` in the foreground ends with the status of the VM's process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from inferno.base import gc_tuning
from inferno.base.errors import InfernoError, UsageError
from inferno.console import startup, streams
from inferno.console.errors import report
from inferno.console.typed import Typed, read
from inferno.console.verbs.table import Found, find


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
        return 130  # 128 + SIGINT
    except OSError as error:
        return streams.lost(error)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return _help(words[1:])
    if words[0] == "--version":
        words = ["version", *words[1:]]
    found = find(words)
    if not (found.verb.is_task or found.verb.run):
        return _name_an_action(found)
    typed = read(found.verb, found.called, found.words)
    if typed.flag("help"):
        return _help(found.called.split())
    startup.begin()
    if found.verb.is_task:
        from inferno.cli import task_verbs

        return task_verbs.act(typed)
    module, function = found.verb.run.split(".")
    run: Callable[[Typed], int] = getattr(import_module(f"inferno.cli.{module}"), function)
    return run(typed)


def _help(words: list[str]) -> int:
    from inferno.console import help

    print(help.usage(words))
    return 0


def _name_an_action(found: Found) -> int:
    """Of a verb that does nothing by itself."""
    words = found.words
    if not words or words[0] == "help" or "--help" in words or "-h" in words:
        return _help([found.called])
    from inferno.console import suggest

    raise suggest.action(found.called, words[0], words[1:], [each.name for each in found.verb.actions])
