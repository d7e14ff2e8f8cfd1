"""What was typed after a verb, held against the verb's row: options by their names, and the other words."""

from __future__ import annotations

from typing import Any, cast

from inferno.base.errors import UsageError
from inferno.console.options import HELP, parse, split_command
from inferno.console.verbs.verb import Verb
from inferno.state import names

# What help's words for operands stand for, in an error.
NOUNS = {
    "NAME": "the name of one VM",
    "NAME...": "the name of a VM",
    "IMAGE": "one image",
    "IMAGE...": "an image",
    "FROM": "a source",
    "TO": "a destination",
    "CMD...": "a command",
    "TASK...": "a task",
    "SQL": "one query in SQL",
}


class Typed:
    """Options that the verb's row does not have cannot be asked for: that is a KeyError.

    `given` holds the options that were typed; `operands` the words that are none; `command` those after `--`, for a
    verb that takes a guest's command there.
    """

    def __init__(
        self, verb: Verb, called: str, given: dict[str, Any], operands: list[str], command: list[str] | None = None
    ) -> None:
        self.verb, self.called, self.given, self.operands, self.command = verb, called, given, operands, command
        self._options = {option.name: option for option in (*verb.options, HELP)}

    def flag(self, name: str) -> bool:
        return bool(self._value(name))

    def text(self, name: str) -> str | None:
        """The value, or the option's default."""
        return cast("str | None", self._value(name))

    def texts(self, name: str) -> list[str]:
        """The values of an option that may be repeated."""
        return cast("list[str]", self._value(name) or [])

    @property
    def name(self) -> str:
        """The one operand of a verb that takes one."""
        [name] = self.operands
        return name

    def _value(self, name: str) -> Any:
        return self.given.get(name, self._options[name].default)


def read(verb: Verb, called: str, words: list[str]) -> Typed:
    """Read the words after the verb, typed as `called`. Raises UsageError, but where --help is among them."""
    command = None
    if verb.command:
        words, command = split_command(words)
    given, operands = parse(called, (*verb.options, HELP), words, among=verb.words)
    typed = Typed(verb, called, given, operands, command)
    if not typed.flag("help"):
        _check_operands(typed)
    return typed


def _check_operands(typed: Typed) -> None:
    """Are there as many as the verb takes, and are names of VMs such names?"""
    verb, words = typed.verb, typed.operands
    holes = verb.operands.split()
    least = sum(not hole.startswith("[") for hole in holes)
    most = len(words) if "..." in verb.operands else len(holes)
    if len(words) < least or (least and len(words) > most):
        raise _missing(typed, holes)
    for index, word in enumerate(words):
        hole = holes[min(index, len(holes) - 1)].strip("[]") if index < most else ""
        if not hole or (hole.islower() and word != hole):
            hint = f"infernoctl {verb.instead} {word}" if verb.instead else f"infernoctl {typed.called} --help"
            raise UsageError(f"{typed.called} does not take {word!r}", hint)
        if hole.startswith("NAME"):
            names.check_name(word)


def _missing(typed: Typed, expected: list[str]) -> UsageError:
    nouns = " and ".join(NOUNS.get(hole, hole) for hole in expected)
    form = typed.verb.forms[0] if typed.verb.forms else typed.verb.operands
    return UsageError(f"{typed.called} needs {nouns}", f"infernoctl {typed.called} {form}")
