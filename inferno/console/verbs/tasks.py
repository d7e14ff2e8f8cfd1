"""The verbs that are tasks. doit's side needs no others, and loads none."""

from inferno.console.verbs import life, steps
from inferno.console.verbs.verb import Verb

# Tasks that are typed as `infernoctl task NAME ...` alone: as a verb, the name means something else.
TASKS_ALONE: dict[str, Verb] = {verb.name: verb for verb in steps.BY_TASK}
# Those that doit runs, by the names of their tasks.
TASKS: dict[str, Verb] = {
    **{verb.name: verb for verb in (*life.VERBS, *steps.VERBS) if verb.is_task and verb.name not in TASKS_ALONE},
    **TASKS_ALONE,
}


def typed_as(task: str) -> str:
    """What is typed after infernoctl for a task of TASKS."""
    return f"task {task}" if task in TASKS_ALONE else task
