"""The verbs that change something: `infernoctl VERB NAME …` becomes the task `VERB:NAME`, run in this process."""

from __future__ import annotations

import difflib
import textwrap
from typing import Any

from inferno import cli
from inferno.errors import UsageError
from inferno.names import check_name
from tasks import VERBS
from tasks.engine import options
from tasks.engine.verb import Verb


def act(verb: str, words: list[str]) -> int:
    """Run a verb; return the exit status. Raises UsageError before anything is changed."""
    row = VERBS.get(verb)
    if row is None:
        near = difflib.get_close_matches(verb, [*VERBS, *cli.READING], 1)
        raise UsageError(f"there is no verb {verb!r}", f"did you mean {near[0]}?" if near else "infernoctl --help")
    if "--help" in words or "-h" in words:
        print(_usage_of(row))
        return 0
    command = None
    if verb == "create" and "--" in words:
        words, command = words[: words.index("--")], words[words.index("--") + 1 :]
    given, subjects = options.parse(verb, row.options, words, mixed=True)
    if command is not None:
        given["cmd"] = command
    tasks = _tasks(row, subjects)
    from tasks.engine import main

    return main.run(tasks, {task: dict(given) for task in tasks})


def _tasks(row: Verb, subjects: list[str]) -> list[str]:
    if row.subject == "once":
        if subjects:
            raise UsageError(f"{row.name} takes no name", f"infernoctl {row.name} --help")
        return [row.name]
    if not subjects:
        hole = "the name of a VM" if row.subject == "vm" else "an image"
        raise UsageError(f"{row.name} needs {hole}", f"infernoctl {row.name} --help")
    if row.subject == "vm":
        for name in subjects:
            check_name(name)
    return [f"{row.name}:{subject}" for subject in dict.fromkeys(subjects)]


def usage(words: list[str]) -> str:
    """The text of --help, or of `help VERB`."""
    if words and words[0] in VERBS:
        return _usage_of(VERBS[words[0]])
    if words and words[0] in cli.READING:
        return f"infernoctl {words[0]}: {cli.READING[words[0]][1]}"
    return _OVERVIEW + "\n".join(
        [
            "Look:",
            *(_line(verb, text) for verb, (_, text) in cli.READING.items()),
            "\nChange (each is a task: doit VERB:NAME):",
            *(_line(row.name + _HOLE[row.subject], row.doc) for row in VERBS.values()),
            "\ninfernoctl VERB --help tells more of one verb.",
        ]
    )


_HOLE: dict[str, str] = {"vm": " NAME…", "ref": " IMAGE…", "once": ""}
_OVERVIEW = """\
Inferno turns OCI images into Firecracker microVMs.

  infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
  infernoctl start web1 --detach
  infernoctl logs tail --vm web1
  infernoctl stop web1

"""
_EXAMPLES = {
    "create": """
        infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
        infernoctl create job1 --image oci:./layout:v1 --env MODE=fast -- /bin/worker --once

        A field that is not given keeps what the VM has; again with nothing new, nothing is built.""",
    "start": """
        infernoctl start web1            follows its output; Ctrl-C stops it; ends with its status
        infernoctl start web1 --detach   returns when the image's process runs""",
    "stop": """
        infernoctl stop web1 --timeout 30    the image's stop signal, then SIGKILL after 30 s""",
}


def _usage_of(row: Verb) -> str:
    text = f"usage: infernoctl {row.name}{_HOLE[row.subject]} [options]    (doit {row.name}"
    text += {"vm": ":NAME", "ref": ":IMAGE", "once": ""}[row.subject] + f")\n\n{row.doc}\n"
    parts: list[Any] = [text]
    if row.options:
        parts.append("options:\n" + options.describe(row.options))
    if row.name in _EXAMPLES:
        parts.append("\n" + textwrap.dedent(_EXAMPLES[row.name]).strip("\n"))
    return "\n".join(parts)


def _line(left: str, right: str) -> str:
    return f"  {left:<18} {right}"
