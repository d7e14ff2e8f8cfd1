"""The table of verbs, whole, and how one finds the row that a command line means."""

from collections.abc import Sequence

from inferno.base.named_tuple import NamedTuple
from inferno.console.verbs import host, life, look, reach
from inferno.console.verbs.verb import Verb

VERBS: dict[str, Verb] = {
    verb.name: verb for verb in (*life.VERBS, *look.VERBS, *reach.VERBS, *host.VERBS, *life.STEP_VERBS)
}
# Tasks that are typed as `infernoctl task NAME ...` alone: as a verb, the name means something else.
TASKS_ALONE: dict[str, Verb] = {verb.name: verb for verb in life.STEPS_BY_TASK}
# Those that doit runs, by the names of their tasks.
TASKS: dict[str, Verb] = {
    **{name: verb for name, verb in VERBS.items() if verb.is_task and name not in TASKS_ALONE},
    **TASKS_ALONE,
}
ALIASES: dict[str, str] = {alias: verb.name for verb in VERBS.values() for alias in verb.aliases}
NAMES: tuple[str, ...] = (*VERBS, *ALIASES)


class Found(NamedTuple):
    """The verb, or the action of one, that is meant; what was typed for it; the words after that; whose page is meant.

    The last differs where a verb has an action that goes without saying: `logs --help` is not about `tail` alone.
    """

    verb: Verb
    called: str
    words: list[str]
    page: Verb


def typed_as(task: str) -> str:
    """What is typed after infernoctl for a task of TASKS."""
    return f"task {task}" if task in TASKS_ALONE else task


def find(words: Sequence[str]) -> Found:
    """The verb in front of `words`; of one that has actions, the action, or itself when that is not named.

    Raises UsageError with a hint when there is no such verb.
    """
    word, rest = words[0], list(words[1:])
    if word == "task" and (found := _task(rest)):
        return found
    verb = VERBS.get(ALIASES.get(word, word))
    if verb is None:
        from inferno.console import suggest

        raise suggest.verb(word, rest, NAMES)
    action = verb.action(rest[0]) if rest else None
    if action is not None:
        return Found(action, f"{word} {rest[0]}", rest[1:], action)
    usual = verb.action(verb.default)
    if _names_no_action(usual, rest):
        from inferno.console import suggest

        raise suggest.action(word, rest[0], rest[1:], [each.name for each in verb.actions])
    return Found(usual or verb, word, rest, verb)


def _names_no_action(usual: Verb | None, words: list[str]) -> bool:
    """Whether the first word could only be an action, and is none: the usual one takes no words."""
    if usual is None or usual.operands or not words or words[0].startswith("-"):
        return False
    return not {"-h", "--help"} & {*words}


def _task(words: list[str]) -> Found | None:
    """The row of `task image nginx`. None for what doit is to read: `task image:nginx`, `task kiln init`."""
    row = TASKS.get(words[0]) if words else None
    if row is None or (row.subject == "once" and words[1:2] != ["--help"]):
        return None
    return Found(row, f"task {row.name}", words[1:], row)
