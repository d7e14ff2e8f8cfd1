"""Kicks a rig's processors: QEMU is stopped and continued many times while guests run in it.

With a QEMU that delivers an injected interrupt twice (emulator.py) every guest that computes hangs within seconds.
"""

from __future__ import annotations

import contextlib
import time

from rig.machine import Rig
from tests.rig.typed import Host

TIMES, PERIOD_S = 1000, 0.02
COMPUTE = "while :; do i=$((i+1)); done"


def start_guests(host: Host) -> tuple[str, ...]:
    """Two VMs that do nothing but compute, as many as the rig has processors."""
    names = ("one", "two")
    host.create_all(dict.fromkeys(names, COMPUTE))
    for name in names:
        host.type(f"start {name} --detach")
    return names


def shake(rig: Rig, times: int = TIMES, period_s: float = PERIOD_S) -> None:
    """Stop and continue the rig `times` times, once in `period_s`. Raises RigError."""
    with contextlib.closing(rig.monitor()) as monitor:
        for number in range(times):
            due = time.monotonic() + period_s
            monitor.call("stop")
            monitor.call("cont")
            if number + 1 < times:
                time.sleep(max(0.0, due - time.monotonic()))  # in which the guests run
