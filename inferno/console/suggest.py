"""What was meant by words that say nothing here: the hint of a usage error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inferno.base.errors import UsageError
from inferno.base.guess import all_near, near
from inferno.console import docker_hints


def verb(word: str, rest: Sequence[str], known: Sequence[str], refused: docker_hints.Refused) -> UsageError:
    """For a word that is not one of the `known` verbs; `rest` are the words after it. `refused` says what is wrong with
    the words of a command."""
    name, colon, subject = word.partition(":")
    if not word:
        return UsageError("an empty word is not a verb", "infernoctl --help")
    if colon and name in known:
        hint = f"infernoctl {name} {subject}".rstrip()
    elif word == "-v":
        hint = "infernoctl version"
    elif word.startswith("-"):
        hint = docker_hints.before_verb(word) or "the verb comes first, its options follow: infernoctl VERB --help"
    else:
        hint = docker_hints.word(word, rest, known, refused) or _guess(word, rest, known, refused)
    return UsageError(f"there is no verb {word!r}", hint)


def _guess(word: str, rest: Sequence[str], known: Sequence[str], refused: docker_hints.Refused) -> str:
    if rest and rest[0] in known and not refused([rest[0], word, *rest[1:]]):
        return f"the verb comes first: infernoctl {rest[0]} {word}"
    found = all_near(word.lower(), known, 3)
    found.sort(key=lambda each: sorted(each) != sorted(word.lower()))  # letters that changed places: strat is start
    return f"did you mean {found[0]}?" if found else "infernoctl --help"


def action(verb: str, word: str, rest: Sequence[str], known: Iterable[str]) -> UsageError:
    """For a word that is not one of a verb's own verbs; `rest` are the words after it."""
    found = near(word, known)
    usual = f"infernoctl images show {word}" if verb == "images" else f"infernoctl {verb} --help"
    guess = f"did you mean {found}?" if found else usual
    return UsageError(f"{verb}: there is no verb {word!r}", docker_hints.action(verb, word, rest) or guess)
