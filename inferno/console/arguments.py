"""The words after a verb that is no task: its options, and the rest. Light, for verbs that answer at once."""

from __future__ import annotations

import getopt
from collections.abc import Sequence

from inferno.base.errors import UsageError
from inferno.state import names


def read_options(verb: str, words: list[str], long: list[str], short: str = "") -> tuple[dict[str, str], list[str]]:
    """Options and other words, in any order. Raises UsageError with a guess for an unknown option."""
    try:
        found, rest = getopt.gnu_getopt(words, short, long)
    except getopt.GetoptError as error:
        from inferno.console import suggest

        raise suggest.option(verb, error, long) from None
    return {flag.lstrip("-"): value for flag, value in found}, rest


def no_more(verb: str, rest: list[str]) -> None:
    """Raises UsageError for words that mean nothing to the verb."""
    if rest:
        raise UsageError(f"{verb}: what is {rest[0]!r}?", f"infernoctl {verb} --help")


def one_of(option: str, word: str, known: Sequence[str]) -> str:
    """Raises UsageError unless the option's word is one of those known."""
    if word not in known:
        raise UsageError(f"--{option} {word!r} is none of {', '.join(known)}")
    return word


def one_name(verb: str, rest: list[str]) -> str:
    if len(rest) != 1:
        raise UsageError(f"{verb} needs the name of one VM", f"infernoctl {verb} NAME")
    return names.check_name(rest[0])
