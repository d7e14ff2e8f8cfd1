"""The verbs that change something: `infernoctl VERB NAME …` becomes the task `VERB:NAME`, run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferno import task_modules
from inferno.console.typed import Typed
from inferno.console.verbs.verb import Verb
from inferno.spec.grammar import check_text


def act(typed: Typed) -> int:
    """Run a verb that is a task; return the exit status. Raises UsageError before anything is changed."""
    given = dict(typed.given)
    if typed.command is not None:
        given["cmd"] = typed.command
    return run(typed.verb, given, typed.operands)


def run(verb: Verb, given: dict[str, Any], subjects: list[str]) -> int:
    """Run the task of each subject, with the same options; return the exit status."""
    check_text([*subjects, *_texts(given)])
    tasks = [f"{verb.name}:{subject}" for subject in dict.fromkeys(subjects)] if subjects else [verb.name]
    return int(task_modules.load("engine.main").run(tasks, {task: dict(given) for task in tasks}))


def task(typed: Typed) -> int:
    """`infernoctl task ...`: what `doit ...` does in a checkout; return the exit status."""
    return int(task_modules.load("engine.main").command(typed.operands))


def _texts(given: dict[str, Any]) -> Iterator[str]:
    for value in given.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value
