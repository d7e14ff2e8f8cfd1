"""What --help says: of all verbs in a few lines, of one in full."""

from __future__ import annotations

import textwrap

from inferno.console import help_pages, options, suggest
from inferno.console.verbs import READING, VERBS, Verb


def usage(words: list[str]) -> str:
    """The text of --help, or of `help VERB`. Raises UsageError for what is no verb."""
    if not words or words[0] in ("help", "--help", "-h"):
        return _overview()
    if words[0] in VERBS:
        return usage_of(VERBS[words[0]], words[0])
    if words[0] in READING:
        return help_pages.PAGES[words[0]]
    raise suggest.verb(words[0], words[1:], VERBS, READING)


def _overview() -> str:
    looks = [_line(f"{verb} {hole}", text) for verb, (hole, text) in READING.items() if verb not in _REACHES]
    reaches = [_line(f"{verb} {READING[verb][0]}", READING[verb][1]) for verb in _REACHES]
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


def usage_of(row: Verb, called: str) -> str:
    """The text of --help of a verb that is a task; `called` is what was typed for it."""
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
