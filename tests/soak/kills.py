"""A command on a VM killed at some moment: the next command converges, and nothing is left over.

The commands are start, stop, exec, cp both ways, and destroy of a VM that runs. `make soak builds` is for those that
need no VM to run.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.rig.convergence import SERVER, kill
from tests.rig.typed import Host
from tests.soak.web import WORDS, Web, web

NEEDS = "rig"
LATEST = 1.1  # of the time that the command usually takes
FILES, MIB = 20, 1  # what cp carries
ASIDE = "/var/tmp/soak"  # outside of what the inventory looks at
# What is typed behind `infernoctl` while the VM runs.
ON_A_RUNNING_VM = {
    "exec": "exec web -- sh -c 'sleep 0.2; cat /etc/passwd'",
    "cp into it": f"cp {ASIDE}/there web:/tmp/",
    "cp out of it": f"cp web:/tmp/there {ASIDE}/back",
    "destroy": "destroy other --force --yes",
}
# What must work right after, and what must hold of it.
PROOFS = {
    "destroy": "infernoctl destroy other --force --yes; infernoctl list --json | grep -c other | grep -x 0",
    "exec": "infernoctl exec web -- true",
    "cp into it": f"infernoctl cp {ASIDE}/there web:/tmp/ && infernoctl exec web -- sh -c 'cat /tmp/there/*'"
    f" | cmp - {ASIDE}/all",
    "cp out of it": f"infernoctl cp web:/tmp/there/. {ASIDE}/again && cat {ASIDE}/again/* | cmp - {ASIDE}/all",
}
VERBS = ("start", "start", "stop", *ON_A_RUNNING_VM)


@dataclass(frozen=True)
class Place:
    """The rig with its VM, and the seconds that each of the commands usually takes."""

    web: Web
    usual_s: dict[str, float]


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """The place of `web`, with files to carry; each command on a running VM was timed."""
    with web() as rested:
        host, usual_s = rested.host, dict(rested.usual_s)
        host.sh(
            f"mkdir -p {ASIDE}/there && for i in $(seq 10 {9 + FILES}); do"
            f" head -c {MIB}M /dev/urandom > {ASIDE}/there/$i; done; cat {ASIDE}/there/* > {ASIDE}/all"
        )
        host.type("start web --detach")
        _other(host)
        for verb, line in ON_A_RUNNING_VM.items():
            began = time.monotonic()
            host.type(line)
            usual_s[verb] = time.monotonic() - began
        host.type("stop web")
        yield Place(rested, usual_s)


def trial(seed: int, place: Place) -> str:
    """Kill one command, run another, and look at what is there."""
    chance = random.Random(seed)
    verb, storage = chance.choice(VERBS), chance.choice(["file", "lvm"])
    after_s = chance.uniform(0, LATEST) * place.usual_s[verb]
    following, host = chance.choice(["start", "stop"]), place.web.host
    settings = f"INFERNO_STORAGE={storage}"
    if verb in WORDS:
        place.web.begin(verb, storage)
        kill(host, after_s, WORDS[verb], settings)
    else:
        _on_a_running_vm(place, verb, after_s, settings)
    place.web.converges(following, storage)
    return f"{verb} killed after {after_s:.2f} s, then {following}; scratch on {storage}"


def _on_a_running_vm(place: Place, verb: str, after_s: float, settings: str) -> None:
    """Start the VM, kill the command on it, and type it once more, whole."""
    host = place.web.host
    host.sh(f"{settings} infernoctl start web --detach; rm -rf {ASIDE}/back {ASIDE}/again; mkdir {ASIDE}/again")
    if verb == "cp out of it":
        host.type(ON_A_RUNNING_VM["cp into it"])
    if verb == "destroy":
        _other(host)
    kill(host, after_s, ON_A_RUNNING_VM[verb], settings)
    host.sh(PROOFS[verb])


def _other(host: Host) -> None:
    """One more VM that runs."""
    host.create("other", SERVER)
    host.type("start other --detach")
