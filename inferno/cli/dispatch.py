"""From the words of a command line to what answers: the task of a verb, or a function of this package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from inferno.console import startup
from inferno.console.typed import Typed, read
from inferno.console.verbs.finding import Found, find


def act(words: list[str]) -> int:
    """Do what the words ask for; return the exit status. Raises InfernoError."""
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
