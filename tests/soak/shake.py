"""The rig's processors kicked for 20 s while guests compute in it: both still answer. It is QEMU that is tried."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

from tests.rig import prepared, shaking
from tests.rig.typed import Host

NEEDS = "rig"
SECONDS = 20
FASTEST_S, SLOWEST_S = 0.01, 0.04  # 25 to 100 times a second


@contextlib.contextmanager
def place() -> Iterator[tuple[Host, tuple[str, ...]]]:
    """A rig, and the names of two VMs in it that run."""
    prepared.build_artifacts()
    with prepared.rig(prepared.extra()) as rig:
        host = Host(rig)
        yield host, shaking.start_guests(host)


def trial(seed: int, place: tuple[Host, tuple[str, ...]]) -> str:
    """Shake, with a period by chance."""
    host, names = place
    period_s = random.Random(seed).uniform(FASTEST_S, SLOWEST_S)
    times = int(SECONDS / period_s)
    with shaking.fpu_loaded(host.rig):
        shaking.shake(host.rig, times, period_s)
    for name in names:
        assert host.type(f"exec {name} -- echo answers", timeout=60).stdout == "answers\n"
    return f"{times} times, once in {period_s * 1000:.0f} ms"
