"""The rig's QEMU: nested guests live on when its processors are kicked and load FPU state, which hangs Debian's."""

from __future__ import annotations

from tests.rig import shaking
from tests.rig.typed import Host


def test_guests_that_compute_survive_a_thousand_stops_and_continues(host: Host) -> None:
    names = shaking.start_guests(host)
    with shaking.fpu_loaded(host.rig):
        shaking.shake(host.rig)
    for name in names:
        assert host.type(f"exec {name} -- echo answers", timeout=60).stdout == "answers\n"
