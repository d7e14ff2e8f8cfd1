"""The steps that a VM's life is made of. Each of these verbs, but `task`, is a task of doit."""

from __future__ import annotations

from inferno.console.verbs.life import access
from inferno.console.verbs.verb import STEPS, Verb

VERBS = (
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
        examples="infernoctl initrd web1    for a VM that was created before",
    ),
    Verb("disk", STEPS, "make the VM's scratch disk", "NAME...", is_task=True, examples="infernoctl disk web1"),
    Verb("jail", STEPS, "lay out the VM's jail anew", "NAME...", is_task=True, examples="infernoctl jail web1"),
    Verb(
        "launch",
        STEPS,
        "launch the jailer, and wait until the image's process runs",
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
makes, and why it would run; it exits with 1 if it would. clean removes what a task made. After forget, a
task runs again.""",
        examples="""\
infernoctl task create:web1 --image nginx:latest start:web1 --detach
infernoctl task info create:web1""",
    ),
)

# Steps whose names are Docker's nouns, or a verb of the bash version of Inferno: as verbs they would start a build by
# accident.
BY_TASK = (
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
        examples="infernoctl task config web1    for a VM that was created before",
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
