"""A VM's life. Each of these verbs is a task of doit."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import LIFE, Verb
from inferno.settings import DEFAULT_STOP_TIMEOUT_S


def _create() -> tuple[Option, ...]:
    from inferno.console.image_options import CREATE

    return CREATE


def access() -> tuple[Option, ...]:
    """How an image is to be had."""
    from inferno.console.image_options import ACCESS

    return ACCESS


_TIMEOUT = Option(
    "timeout",
    f"how long its process may take to end before SIGKILL ({DEFAULT_STOP_TIMEOUT_S})",
    float,
    "SECONDS",
    short="t",
)

_OVERCOMMIT = Option("overcommit", "start it even if the host has too little memory for all its VMs", bool)

VERBS = (
    Verb(
        "create",
        LIFE,
        "build everything that a VM boots from, as a new version",
        "NAME...",
        _create,
        is_task=True,
        command=True,
        forms=("NAME... [options] [-- CMD...]",),
        more="An option that is not given keeps the VM's value. One that is given replaces it: --env, --tmpfs and"
        "\n--ulimit replace all their values. When nothing is new, nothing is built.",
        examples="""\
infernoctl create web1 --image nginx:latest --vcpus 2 --memory 512
infernoctl create job1 --image oci:./layout:v1 --env MODE=fast -- /bin/worker --once""",
    ),
    Verb(
        "start",
        LIFE,
        "start a VM",
        "NAME...",
        (
            Option(
                "detach",
                "return when the image's process runs, instead of following its output to the end",
                bool,
                short="d",
            ),
            Option(
                "interactive",
                "connect this terminal, or standard input, to the process (needs create --tty or -i)",
                bool,
                short="i",
            ),
            Option(
                "detach_keys",
                "with -i, the keys that leave the terminal: characters, ctrl-X or DEL, with commas (ctrl-p,ctrl-q)",
                metavar="KEYS",
            ),
            _OVERCOMMIT,
        ),
        is_task=True,
        examples="""\
infernoctl start web1            follows its output; Ctrl-C stops it; exits with its status
infernoctl start web1 --detach   returns when the image's process runs""",
    ),
    Verb(
        "stop",
        LIFE,
        "stop a VM",
        "NAME...",
        (
            _TIMEOUT,
            Option(
                "signal",
                "the signal to send, instead of the VM's stop signal",
                metavar="NAME|N",
                short="s",
            ),
            Option("kill", "kill the VM at once; with --timeout or --signal, ask it to end first", bool),
        ),
        is_task=True,
        examples="""\
infernoctl stop web1 --timeout 30         the VM's stop signal, then SIGKILL to its process after 30 s
infernoctl stop web1 --kill --timeout 5   the VM's stop signal, then the whole VM is killed after 5 s""",
    ),
    Verb(
        "restart",
        LIFE,
        "stop a VM and start its current version",
        "NAME...",
        (_TIMEOUT, _OVERCOMMIT),
        is_task=True,
        examples="infernoctl create web1 --memory 1024 && infernoctl restart web1    switches to the new version",
    ),
    Verb(
        "destroy",
        LIFE,
        "remove a VM and everything that belongs to it",
        "NAME...",
        (
            Option("yes", "do not ask", bool, short="y"),
            Option("force", "kill the VM if it runs, and do not ask", bool, short="f"),
            Option("keep_logs", "keep its log", bool),
        ),
        is_task=True,
        more="Without --force, destroy refuses a VM that runs.",
        examples="infernoctl destroy web1 --yes    its versions, its log, its address; images stay: images prune",
    ),
)
