"""What `doit info` says of a task: what it is, why it would run, what it needs and makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .inputs import Unchanged

_OTHERS = {
    "missing_target": "is not there",
    "changed_file_dep": "has changed",
    "missing_file_dep": "is needed, and not there",
    "removed_file_dep": "is needed no longer",
    "added_file_dep": "is needed, and was not",
}


def describe(task: Any, tasks: Mapping[str, Any], database: Any) -> tuple[str, bool]:
    """The text, and whether the task is up to date. Without a `database` nobody asks, and it counts as such."""
    lines = [f"{task.name}  {task.doc}"]
    is_current = True
    if database is not None:
        status = database.get_status(task, tasks, get_log=True)
        is_current = status.status == "up-to-date"
        lines.append(f"\nstatus: {status.status}")
        if not is_current:
            lines += [f"  {line}" for line in _reasons(task, status.reasons, database.get_values(task.name))]
    for title, found in (("needs", task.task_dep), ("makes", task.targets)):
        if found:
            lines += [f"\n{title}:", *(f"  {each}" for each in found)]
            if found is task.targets:
                lines += [f"    {path}" for path in getattr(task, "made", list)()]
    return "\n".join(lines) + "\n", is_current


def _reasons(task: Any, reasons: Mapping[str, Any], values: dict[str, Any]) -> list[str]:
    lines = []
    for check, _, _ in reasons["uptodate_false"]:
        if isinstance(check, Unchanged):
            changed = check.changed(values)
            lines.append(f"changed: {', '.join(changed)}" if changed else "it has not run yet")
        elif check is False:
            lines.append("it runs whenever it is asked to")
        else:
            lines.append("what it makes is missing, or not what it would make now")
    if reasons["has_no_dependencies"]:
        lines.append("it only stands for what it needs" if task.task_dep else "it runs whenever it is asked to")
    return lines + [f"{name} {what}" for kind, what in _OTHERS.items() for name in reasons.get(kind) or ()]
