"""The verbs that change something: `infernoctl VERB NAME …` becomes the task `VERB:NAME`, run in this process."""

from __future__ import annotations

from inferno.base.errors import UsageError
from inferno.console import options, suggest
from inferno.console.help import usage_of
from inferno.console.verbs import READING, VERBS, Verb
from inferno.spec.grammar import check_text
from inferno.state.names import check_name


def act(verb: str, words: list[str], called: str | None = None) -> int:
    """Run a verb; return the exit status. Raises UsageError before anything is changed.

    `called` is what was typed, when that is not the task's own name.
    """
    row = VERBS.get(verb)
    if row is None:
        raise suggest.verb(verb, words, VERBS, READING)
    check_text(words)
    command = None
    if verb == "create" and "--" in words:
        words, command = words[: words.index("--")], words[words.index("--") + 1 :]
    called = called or verb
    if "--help" in words or "-h" in words:
        print(usage_of(row, called))
        return 0
    given, subjects = options.parse(called, row.options, words, mixed=True)
    if command is not None:
        given["cmd"] = command
    tasks = _tasks(row, subjects, called)
    from tasks.engine import main

    return main.run(tasks, {task: dict(given) for task in tasks})


def _tasks(row: Verb, subjects: list[str], called: str) -> list[str]:
    if row.subject == "once":
        if subjects:
            raise UsageError(f"{called} takes no name", f"infernoctl {called} --help")
        return [row.name]
    if not subjects:
        hole = "the name of a VM" if row.subject == "vm" else "an image"
        raise UsageError(f"{called} needs {hole}", f"infernoctl {called} --help")
    if row.subject == "vm":
        for name in subjects:
            check_name(name)
    return [f"{row.name}:{subject}" for subject in dict.fromkeys(subjects)]
