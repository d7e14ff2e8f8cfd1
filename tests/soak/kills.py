"""A start or stop of a VM killed at some moment: the next command converges, and nothing is left over."""

from __future__ import annotations

import random

from tests.rig.convergence import kill
from tests.soak.web import WORDS, Web, web

NEEDS = "rig"
LATEST = 1.1  # of the time that the command usually takes


place = web


def trial(seed: int, place: Web) -> str:
    """Kill one command, run another, and look at what is there."""
    chance = random.Random(seed)
    verb, storage = chance.choice(["start", "start", "stop"]), chance.choice(["file", "lvm"])
    after_s = chance.uniform(0, LATEST) * place.usual_s[verb]
    following = chance.choice(["start", "stop"])
    place.begin(verb, storage)
    kill(place.host, after_s, WORDS[verb], f"INFERNO_STORAGE={storage}")
    place.converges(following, storage)
    return f"{verb} killed after {after_s:.2f} s, then {following}; scratch on {storage}"
