"""The verbs that change something: `infernoctl VERB NAME …` becomes the task `VERB:NAME`, run in this process."""

from __future__ import annotations

import textwrap

from inferno.base.errors import UsageError
from inferno.console import help_pages, options, suggest
from inferno.console.verb import Verb
from inferno.console.verbs import READING, VERBS
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
        print(_usage_of(row, called))
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


def usage(words: list[str]) -> str:
    """The text of --help, or of `help VERB`. Raises UsageError for what is no verb."""
    if not words or words[0] in ("help", "--help", "-h"):
        return _overview()
    if words[0] in VERBS:
        return _usage_of(VERBS[words[0]], words[0])
    if words[0] in READING:
        return help_pages.PAGES[words[0]]
    raise suggest.verb(words[0], words[1:], VERBS, READING)


def _overview() -> str:
    looks = [_line(f"{verb} {hole}", text) for verb, (_, hole, text) in READING.items() if verb not in _REACHES]
    reaches = [_line(f"{verb} {READING[verb][1]}", READING[verb][2]) for verb in _REACHES]
    acts = {name: _line(f"{row.name} {_HOLE[row.subject]}", row.doc) for name, row in VERBS.items()}
    return "\n".join(
        [
            _INTRODUCTION,
            "A VM's life (each is a task: doit VERB:NAME):",
            *(acts.pop(name) for name in _LIFE),
            "\nLook:",
            *looks,
            "\nReach into a VM that runs:",
            *reaches,
            "\nThe steps of create and start (tasks too):",
            *acts.values(),
            _END,
        ]
    )


_END = """
Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is
missing; 130 Ctrl-C. start, wait, attach, exec and shell end as the process in the VM does.

infernoctl VERB --help tells more of one verb, infernoctl env what can be set."""
_LIFE = ("create", "start", "stop", "restart", "destroy")
_REACHES = ("exec", "shell", "cp", "attach", "ssh-config")
_HOLE: dict[str, str] = {"vm": "NAME…", "ref": "IMAGE…", "once": ""}
_INTRODUCTION = """\
Inferno turns OCI images into Firecracker microVMs.

  infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
  infernoctl start web1 --detach
  infernoctl logs web1
  infernoctl stop web1
"""
_EXAMPLES = {
    "create": """
        infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
        infernoctl create job1 --image oci:./layout:v1 --env MODE=fast -- /bin/worker --once

        What is not given stays as the VM has it; what is given replaces that, all of --env, --tmpfs or --ulimit
        too. Again with nothing new, nothing is built.""",
    "start": """
        infernoctl start web1            follows its output; Ctrl-C stops it; ends with its status
        infernoctl start web1 --detach   returns when the image's process runs""",
    "stop": """
        infernoctl stop web1 --timeout 30    the image's stop signal, then SIGKILL after 30 s""",
    "restart": """
        infernoctl create web1 --memory 1024 && infernoctl restart web1    takes up the new version""",
    "destroy": """
        infernoctl destroy web1 --yes        its versions, its log, its address; images stay: images prune""",
    "image": """
        infernoctl image nginx:latest        fetched, not yet made into a base: rootfs does both""",
    "rootfs": """
        infernoctl rootfs nginx:latest docker-daemon:app:dev""",
    "images pull": """
        infernoctl images pull nginx:latest
        INFERNO_REGISTRY_PASSWORD=… infernoctl images pull registry.example/app:v1 --creds me""",
}


def _usage_of(row: Verb, called: str) -> str:
    words = ["usage: infernoctl", called, _HOLE[row.subject], "[options]" if row.options else ""]
    subject = {"vm": ":NAME", "ref": ":IMAGE", "once": ""}[row.subject]
    parts = [f"{' '.join(filter(None, words))}    (doit {row.name}{subject})\n\n{row.doc}"]
    if row.options:
        parts.append("\noptions:\n" + options.describe(row.options))
    if called in _EXAMPLES:
        parts.append("\n" + textwrap.dedent(_EXAMPLES[called]).strip("\n"))
    return "\n".join(parts)


def _line(left: str, right: str) -> str:
    return f"  {left:<22} {right}"
