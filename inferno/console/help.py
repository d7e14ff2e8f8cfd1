"""What --help says: of all verbs in a few lines, of one in full. The rows of the table say it all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from inferno.console.options import Option
from inferno.console.verbs.finding import find
from inferno.console.verbs.table import VERBS
from inferno.console.verbs.tasks import TASKS, TASKS_ALONE, typed_as
from inferno.console.verbs.verb import GROUPS, Verb

_LEFT, _OPTION, _WIDE = 22, 26, 100


def usage(words: list[str]) -> str:
    """The text of --help, or of `help VERB`. Raises UsageError for what is not a verb."""
    if not words or words[0] in ("help", "--help", "-h"):
        return _overview()
    if words[0] == "task" and words[1:] and words[1] in TASKS:
        return usage_of_task(words[1])
    found = find(words)
    return usage_of(found.page, found.called)


def usage_of_task(task: str) -> str:
    """The text of `task help TASK`."""
    return usage_of(TASKS[task], typed_as(task))


def _overview() -> str:
    parts = [_INTRODUCTION]
    for group in GROUPS:
        parts.append(f"{group}:")
        parts += [_line(each.name, each, _LEFT) for each in VERBS.values() if each.group == group]
        parts += [_line(typed_as(name), each, _LEFT) for name, each in TASKS_ALONE.items() if each.group == group]
        parts.append("")
    return "\n".join([*parts, _END])


_INTRODUCTION = """\
Inferno turns OCI images into Firecracker microVMs.

  infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
  infernoctl start web1 --detach
  infernoctl logs web1
  infernoctl stop web1
"""
_END = """\
Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is
missing; 130 Ctrl-C. start, wait, attach, exec and shell end as the process in the VM does.

infernoctl VERB --help tells more of one verb, infernoctl env what can be set."""


def usage_of(verb: Verb, called: str) -> str:
    """The text of --help of one verb, or of one action; `called` is what was typed for it."""
    default = verb.action(verb.default)
    options = (default or verb).options
    others = [name for name in (verb.name, *verb.aliases) if name != called.rsplit(maxsplit=1)[-1]]
    beside = (
        f"doit {verb.name}{f':{verb.hole}' if verb.hole else ''}"
        if verb.is_task
        else " ".join(f"or {name}" for name in others)
    )
    parts = [_usage(verb, called, bool(options)) + (f"    ({beside})" if beside else ""), f"\n{verb.doc}"]
    if verb.more:
        parts.append(f"\n{verb.more}")
    if verb.actions:
        parts += ["\nverbs:", *(_line(each.name, each, _OPTION) for each in verb.actions)]
    if options:
        names = [each.name for each in verb.actions if each.options == options]
        parts += [f"\noptions of {' and '.join(names)}:" if names else "\noptions:", describe(options)]
    if verb.actions:
        parts.append(f"\ninfernoctl {verb.name} VERB --help tells more of one.")
    parts.append(f"\n{verb.examples}")
    return "\n".join(parts)


def _usage(verb: Verb, called: str, has_options: bool) -> str:
    options = " [options]" if has_options else ""
    forms = verb.forms or (f"{verb.operands}{options}".strip(),)
    if verb.actions:
        forms = (*([f"[{verb.default}] {forms[0]}"] if verb.default else []), "VERB ...")
    return "\n".join(
        f"{start}infernoctl {called} {form}".rstrip()
        for start, form in zip(("usage: ", "       "), forms, strict=False)
    )


def describe(options: Iterable[Option]) -> str:
    """The options as --help shows them."""
    lines = []
    for option in options:
        flags = f"-{option.short}, --{option.long}" if option.short else f"--{option.long}"
        left = f"{flags}[={option.hole}]" if option.bare else f"{flags} {option.hole}".rstrip()
        lines += _columns(left, option.help, _OPTION)
    return "\n".join(lines)


def _line(name: str, verb: Verb, width: int) -> str:
    hole = "VERB" if verb.actions and not verb.default else verb.operands
    return "\n".join(_columns(f"{name} {hole}".rstrip(), verb.doc, width))


def _columns(left: str, right: str, width: int) -> list[str]:
    """Two columns: the left one this wide, or on a line of its own; the right one wrapped."""
    first, *more = textwrap.wrap(right, _WIDE - width - 3)
    lines = [f"  {left:<{width}} {first}"] if len(left) <= width else [f"  {left}", f"{'':<{width + 3}}{first}"]
    return lines + [f"{'':<{width + 3}}{line}" for line in more]
