"""The table of verbs, whole, and how one finds the row that a command line means."""

from collections.abc import Sequence
from typing import NamedTuple

from inferno.console.verbs import host, life, look, reach
from inferno.console.verbs.verb import Verb

VERBS: dict[str, Verb] = {
    verb.name: verb for verb in (*life.VERBS, *look.VERBS, *reach.VERBS, *host.VERBS, *life.STEP_VERBS)
}
# Those that doit runs, by the names of their tasks.
TASKS: dict[str, Verb] = {name: verb for name, verb in VERBS.items() if verb.is_task}
_ALIASES: dict[str, str] = {alias: verb.name for verb in VERBS.values() for alias in verb.aliases}
NAMES: tuple[str, ...] = (*VERBS, *_ALIASES)


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
    verb = VERBS.get(_ALIASES.get(word, word))
    if verb is None:
        from inferno.console import suggest

        raise suggest.verb(word, rest, NAMES)
    action = verb.action(rest[0]) if rest else None
    if action is not None:
        return Found(action, f"{word} {rest[0]}", rest[1:], action)
    return Found(verb.action(verb.default) or verb, word, rest, verb)
