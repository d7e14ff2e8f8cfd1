"""The options of a verb: what one is, and the parser that `infernoctl VERB NAME` and `doit VERB:NAME` share.

They are written as getopt(1) takes them: -n 5, -n5, -it, --lines 5, --lines=5, --li 5 where no other option begins so.
"""

from collections.abc import Callable, Sequence
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple


class Option(NamedTuple):
    """One option. `name` is what the code calls it; what is typed has `-` for `_`.

    `kind` is bool for a flag, list for an option that may be repeated, else what makes a value of the text: it raises
    UsageError, or ValueError for what is not a number. `default` is what holds when the option is not given. One with a
    `bare` value may stand alone, and takes another by `=` only: the next word is never its value.
    """

    name: str
    help: str
    kind: Callable[[str], Any] = str
    metavar: str | None = None
    short: str = ""
    choices: tuple[str, ...] = ()
    default: str | None = None
    bare: str = ""

    @property
    def long(self) -> str:
        return self.name.replace("_", "-")

    @property
    def hole(self) -> str:
        """What help writes for the value; nothing for a flag."""
        return "" if self.kind is bool else self.metavar or "|".join(self.choices) or self.long.upper()

    def for_doit(self) -> dict[str, Any]:
        """The option as doit's CmdOption takes it, for `doit help` and completion."""
        default: Any = [] if self.kind is list else False if self.kind is bool else None
        made = {"name": self.name, "long": self.long, "short": self.short, "type": self.kind, "default": default}
        return {**made, "help": self.help, "metavar": self.hole or "ARG"}


# What every verb takes, and what every task takes.
HELP = Option("help", "show what the verb does, and its options", bool, short="h")
QUIET = Option("quiet", "print only errors and the result", bool, short="q")


def parse(
    called: str, table: Sequence[Option], words: Sequence[str], *, among: int | None = 0
) -> tuple[dict[str, Any], list[str]]:
    """Read options from the front of `words`, and from among the first so many other words (None: among all).

    Returns what was given (nothing for what was not), and the other words. After `--` there are no options.
    Raises UsageError: one line, with a guess for a misspelt option.
    """
    given: dict[str, Any] = {}
    others: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            break
        if word.startswith("--"):
            typed, equals, text = word[2:].partition("=")
            option = _by_long(called, table, typed)
            _take(called, option, f"--{option.long}", text if equals else None, rest, given)
        elif word.startswith("-") and word != "-":
            _take_short(called, table, word[1:], rest, given)
        else:
            others.append(word)
            if among is not None and len(others) > among:
                break
    return given, [*others, *reversed(rest)]


def split_command(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before `--`, and those after it: a command for the guest, which has options of its own."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _by_long(called: str, table: Sequence[Option], typed: str) -> Option:
    found = [option for option in table if option.long == typed] or [
        option for option in table if typed and option.long.startswith(typed)
    ]
    if len(found) != 1:
        raise _unknown(called, f"--{typed}", [option.long for option in found or table], unclear=bool(found))
    return found[0]


def _take_short(called: str, table: Sequence[Option], letters: str, rest: list[str], given: dict[str, Any]) -> None:
    """Flags in a row, the last of which may be an option with a value: -it, -n5."""
    while letters:
        letter, letters = letters[0], letters[1:]
        option = next((option for option in table if option.short == letter), None)
        if option is None:
            raise _unknown(called, f"-{letter}", [])
        if option.kind is bool:
            given[option.name] = True
        else:
            _take(called, option, f"-{letter}", letters or None, rest, given)
            return


def _take(called: str, option: Option, typed: str, text: str | None, rest: list[str], given: dict[str, Any]) -> None:
    """Note an option, whose value is `text` or else the next word."""
    if option.kind is bool:
        if text is not None:
            raise UsageError(f"{called}: {typed} takes no value", _help(called))
        given[option.name] = True
        return
    if text is None and option.bare:
        text = option.bare
    if text is None:
        if not rest:
            raise UsageError(f"{called}: {typed} needs a value", _help(called))
        text = rest.pop()
    if option.kind is list:
        given.setdefault(option.name, []).append(text)
    else:
        given[option.name] = _value(called, option, text)


def _value(called: str, option: Option, text: str) -> Any:
    if option.choices and text not in option.choices:
        hint = "--json, and jq, in the place of Go's templates" if "{{" in text else _help(called)
        raise UsageError(f"{called}: --{option.long} {text!r} is not one of {', '.join(option.choices)}", hint)
    try:
        return option.kind(text)
    except ValueError:
        raise UsageError(f"{called}: --{option.long} {text!r} is not a number") from None


def _unknown(called: str, typed: str, known: list[str], *, unclear: bool = False) -> UsageError:
    """For an option that is not one of those `known`, or is the beginning of several: `unclear`."""
    from inferno.base.guess import near
    from inferno.console import docker_hints

    if not unclear and (hint := docker_hints.option(called, typed)):
        return UsageError(f"{called}: there is no option {typed}", hint)
    meant = known if unclear else [word for word in [near(typed.lstrip("-"), known)] if word]
    text = f"{called}: the option {typed} is ambiguous" if unclear else f"{called}: there is no option {typed}"
    return UsageError(text, f"did you mean {' or '.join(f'--{name}' for name in meant)}?" if meant else _help(called))


def _help(called: str) -> str:
    """What is to be typed to see the options of a verb, or of a task."""
    verb, colon, _ = called.partition(":")
    return f"infernoctl task help {verb}" if colon else f"infernoctl {verb} --help"
