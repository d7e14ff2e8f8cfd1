"""How one finds the row that a command line means."""

from collections.abc import Sequence
from importlib import import_module

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.console.verbs.verb import Verb

# Where verbs are looked for: `list` must not load the rows of all others, so what it is in comes first.
_MODULES = ("look", "life", "reach", "host", "steps")


class Found(NamedTuple):
    """The verb, or the action of one, that is meant; what was typed for it; the words after that; whose page is meant.

    The last differs where a verb has an action that goes without saying: `logs --help` is not about `tail` alone.
    """

    verb: Verb
    called: str
    words: list[str]
    page: Verb


def find(words: Sequence[str]) -> Found:
    """The verb in front of `words`; of one that has actions, the action, or itself when that is not named.

    Raises UsageError with a hint when there is no such verb.
    """
    word, rest = words[0], list(words[1:])
    if word == "task" and (found := _task(rest)):
        return found
    verb = _verb(word)
    if verb is None:
        from inferno.console import suggest
        from inferno.console.verbs.table import NAMES

        raise suggest.verb(word, rest, NAMES, _refused)
    action = verb.action(rest[0]) if rest else None
    if action is not None:
        return Found(action, f"{word} {rest[0]}", rest[1:], action)
    usual = verb.action(verb.default)
    if _names_no_action(usual, rest):
        from inferno.console import suggest

        raise suggest.action(word, rest[0], rest[1:], [each.name for each in verb.actions])
    return Found(usual or verb, word, rest, verb)


def _verb(word: str) -> Verb | None:
    """The verb of that name, or of which it is another name; None where there is none."""
    for module in _MODULES:
        verbs: tuple[Verb, ...] = import_module(f"inferno.console.verbs.{module}").VERBS
        for verb in verbs:
            if word == verb.name or word in verb.aliases:
                return verb
    return None


def _refused(words: Sequence[str]) -> UsageError | None:
    """What is wrong with the words of a command, as far as its verb's row says."""
    from inferno.console.typed import read  # only a hint asks for it

    try:
        found = find(words)
        read(found.verb, found.called, found.words)
    except UsageError as error:
        return error
    return None


def _names_no_action(usual: Verb | None, words: list[str]) -> bool:
    """Whether the first word could only be an action, and is none: the usual one takes no words."""
    if usual is None or usual.operands or not words or words[0].startswith("-"):
        return False
    return not {"-h", "--help"} & {*words}


def _task(words: list[str]) -> Found | None:
    """The row of `task image nginx`. None for what doit is to read: `task image:nginx`, `task kiln init`."""
    from inferno.console.verbs.tasks import TASKS

    row = TASKS.get(words[0]) if words else None
    if row is None or (row.subject == "once" and words[1:2] != ["--help"]):
        return None
    return Found(row, f"task {row.name}", words[1:], row)
