"""A VM's life, and the steps it is made of. Each of these verbs is a task of doit."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import LIFE, STEPS, Verb
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

_OVERCOMMIT = Option("overcommit", "start it also where the host's memory does not suffice for all its VMs", bool)

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
                "with -i, the keys that leave the terminal: characters, ctrl-X or DEL, by comma (ctrl-p,ctrl-q)",
                metavar="KEYS",
            ),
            _OVERCOMMIT,
        ),
        is_task=True,
        examples="""\
infernoctl start web1            follows its output; Ctrl-C stops it; ends with its status
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
            Option("kill", "kill the VM at once; with --timeout or --signal, after it was asked to end", bool),
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
        examples="infernoctl create web1 --memory 1024 && infernoctl restart web1    takes up the new version",
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
        more="A VM that runs is refused without --force.",
        examples="infernoctl destroy web1 --yes    its versions, its log, its address; images stay: images prune",
    ),
)

STEP_VERBS = (
    Verb(
        "artifacts",
        STEPS,
        "build or fetch kiln, init, vmm and kernel",
        is_task=True,
        examples="infernoctl artifacts    once, and after an update of Inferno",
    ),
    Verb("kiln", STEPS, "build kiln, the supervisor in the jail", is_task=True, examples="infernoctl kiln"),
    Verb("vmm", STEPS, "fetch firecracker and jailer by their pinned digests", is_task=True, examples="infernoctl vmm"),
    Verb("kernel", STEPS, "build the guest kernel", is_task=True, examples="infernoctl kernel"),
    Verb(
        "rootfs",
        STEPS,
        "make the read-only root file system of an image",
        "IMAGE...",
        access,
        is_task=True,
        examples="infernoctl rootfs nginx:latest docker-daemon:app:dev",
    ),
    Verb(
        "initrd",
        STEPS,
        "render run.json and pack the VM's initrd",
        "NAME...",
        is_task=True,
        examples="infernoctl initrd web1    of a VM that was created before",
    ),
    Verb("disk", STEPS, "make the VM's scratch disk", "NAME...", is_task=True, examples="infernoctl disk web1"),
    Verb("jail", STEPS, "lay the VM's jail out anew", "NAME...", is_task=True, examples="infernoctl jail web1"),
    Verb(
        "launch",
        STEPS,
        "launch the jailer; done when the image's process runs",
        "NAME...",
        is_task=True,
        examples="infernoctl launch web1    after network, disk and jail; start does all four",
    ),
    Verb(
        "task",
        STEPS,
        "run tasks by their names, as doit does in a checkout",
        "TASK...",
        run="task_verbs.task",
        forms=(
            "VERB:NAME [options]...",
            "VERB NAME... [options]",
            "list | info TASK | clean TASK... | forget TASK... | help [TASK]",
        ),
        words=0,
        more="""\
list says what tasks there are, and list --all names those of every VM. info says what a task needs and
makes, and why it would run; it ends with 1 when it would. clean removes what a task made. What you forget
runs again.""",
        examples="""\
infernoctl task create:web1 --image nginx:latest start:web1 --detach
infernoctl task info create:web1""",
    ),
)

# Steps whose names are Docker's nouns, or a verb of the bash version of Inferno: as verbs they would start a build by
# accident.
STEPS_BY_TASK = (
    Verb("init", STEPS, "build init, PID 1 of every guest", is_task=True, examples="infernoctl task init"),
    Verb(
        "image",
        STEPS,
        "resolve an image to its digest, and fetch it",
        "IMAGE...",
        access,
        is_task=True,
        examples="infernoctl task image nginx:latest    fetches it; rootfs also makes its base",
    ),
    Verb(
        "config",
        STEPS,
        "render kiln.json and firecracker.json",
        "NAME...",
        is_task=True,
        examples="infernoctl task config web1    of a VM that was created before",
    ),
    Verb(
        "network",
        STEPS,
        "make the VM's TAP, addresses and firewall elements",
        "NAME...",
        is_task=True,
        examples="infernoctl task network web1",
    ),
)
