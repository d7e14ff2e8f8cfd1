"""A power cut at some moment of a VM's start or stop: the host boots, the next command converges, nothing is left."""

from __future__ import annotations

import random

from tests.rig.convergence import cut_power
from tests.soak.web import WORDS, Web, web

NEEDS = "rig"
LATEST = 1.5  # of the time that the command usually takes: the moments just after it are as good


place = web


def trial(seed: int, place: Web) -> str:
    """Cut the power during one command, run another, and look at what is there."""
    chance = random.Random(seed)
    verb, storage = chance.choice(["start", "start", "stop"]), chance.choice(["file", "lvm"])
    after_s = chance.uniform(0, LATEST) * place.usual_s[verb]
    following = chance.choice(["start", "stop"])
    place.begin(verb, storage)
    cut_power(place.host, after_s, WORDS[verb], f"INFERNO_STORAGE={storage}")
    state = place.host.states()["web"]
    assert state != "running", "a VM runs on a host that has just booted"
    place.converges(following, storage)
    return f"power cut {after_s:.2f} s after {verb}, then {following}; the VM was {state}; scratch on {storage}"
