"""Rules about scratch disks in a thin pool: none of Firecracker's, and none where scratch disks are files."""

from __future__ import annotations

import os
import stat

from inferno.base.errors import InfernoError
from inferno.base.requirements import Check
from inferno.disk import scratch
from inferno.watch.doctor.rule import NEEDED, Rule
from inferno.watch.doctor.world import World


def rules(world: World) -> list[Rule]:
    needed = scratch.checks(world.settings)
    why = "as root, it would look for file systems and RAID members in what guests wrote"
    alone = Check("scratch disks that udev leaves alone", why, lambda: left_alone(world))
    return [*(Rule(NEEDED, True, check) for check in needed), *([Rule(NEEDED, False, alone)] if needed else [])]


def left_alone(world: World) -> None:
    for vm in world.observed():
        info = os.stat(vm.version.scratch, follow_symlinks=False)
        known = world.read(f"run/udev/data/b{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}") or ""
        if stat.S_ISBLK(info.st_mode) and "E:ID_FS_" in known:
            raise InfernoError(
                f"udev looked into the scratch disk of {vm.name}",
                "docs/storage.md has the rule that tells it not to; then udevadm control --reload",
            )
