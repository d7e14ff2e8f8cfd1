"""The thin pool VG_NAME/rootfs_pool, as LVM describes it: how full it is, and what is in it. One `lvs` says all.

Inferno makes no pool: which disks it takes is the administrator's to say (docs/storage.md has the commands).
"""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

from inferno.base.errors import InfernoError, UsageError
from inferno.base.processes import Arg, CommandError, Result, run
from inferno.settings import Settings

NAME = "rootfs_pool"
_GROUP_NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*")  # lvm(8), VALID NAMES
_FIELDS = "lv_name,lv_tags,lv_health_status,zero,data_percent,metadata_percent"
# A power cut may leak blocks of a pool, which is harmless, but LVM would not activate it until somebody repairs that:
# thin_check(8), --auto-repair, mends leaks and nothing else.
_MENDED = ("--config", 'global/thin_check_options=["-q", "--auto-repair"]')
# LVM's own locks make its commands wait for each other; one that takes longer waits for a disk.
_TIMEOUT_S = 120


class Pool(NamedTuple):
    """`volumes` maps all logical volumes of the group to their tags. Percentages are of data and metadata."""

    group: str
    data: float
    metadata: float
    zeroes: bool
    health: str
    volumes: dict[str, frozenset[str]]

    @property
    def path(self) -> str:
        return f"{self.group}/{NAME}"

    def check(self, max_percent: int) -> None:
        """Raise InfernoError when no VM should be given a disk of it."""
        if self.health:
            raise InfernoError(f"the thin pool {self.path} is in trouble: {self.health}", "see lvmthin(7)")
        if not self.zeroes:
            raise InfernoError(
                f"the thin pool {self.path} does not zero blocks: a VM could read what another wrote",
                f"lvchange --zero y {self.path}",
            )
        for what, full, more in (("", self.data, "--size"), ("'s metadata", self.metadata, "--poolmetadatasize")):
            if full >= max_percent:
                raise InfernoError(
                    f"the thin pool {self.path}{what} is {full:.1f} % full; from {max_percent} % on no VM is started",
                    f"lvextend {more} +1G {self.path}; or another limit: INFERNO_POOL_MAX_PERCENT",
                )


def check(settings: Settings) -> None:
    """Raise UsageError when the pool is not there, InfernoError when it is not fit for a VM."""
    read(settings.vg_name).check(settings.pool_max_percent)


def lvm(program: str, *words: Arg, check: bool = True) -> Result:
    """Run one of LVM's commands; each may be the first to activate the pool. Raises MissingToolError, CommandError."""
    return run([program, "--quiet", *_MENDED, *words], check=check, timeout=_TIMEOUT_S)


def read(group: str) -> Pool:
    """What LVM says now. Raises UsageError when there is no such pool."""
    if not _GROUP_NAME.fullmatch(group):
        raise UsageError(f"VG_NAME={group!r} is not a name of a volume group", "unset VG_NAME or correct it")
    rows = _rows(group)
    if rows and NAME in rows and not rows[NAME]["data_percent"]:
        lvm("lvchange", "--activate", "y", f"{group}/{NAME}")  # what is not active says nothing of its blocks
        rows = _rows(group)
    row = rows.get(NAME)
    if row is None or not row["data_percent"]:
        raise UsageError(
            f"there is no thin pool {group}/{NAME}", "docs/storage.md says how to make one; or unset INFERNO_STORAGE"
        )
    return Pool(
        group,
        float(row["data_percent"]),
        float(row["metadata_percent"]),
        row["zero"] == "zero",
        row["lv_health_status"],
        {name: frozenset(each["lv_tags"].split(",")) for name, each in rows.items()},
    )


def _rows(group: str) -> dict[str, dict[str, str]]:
    """The group's logical volumes by name; none without the group."""
    said = lvm("lvs", "--reportformat", "json", "--options", _FIELDS, group, check=False)
    if said.status:
        said = lvm("lvs", group, check=False)  # the same in words: its JSON keeps them among much else
        if said.status == 0 or is_missing(said):
            return {}
        raise CommandError(["lvs", group], said, None)
    try:
        return {row["lv_name"]: row for report in json.loads(said.stdout)["report"] for row in report["lv"]}
    except (ValueError, KeyError, TypeError):
        raise InfernoError("lvs does not answer in JSON", "LVM 2.02.158 or newer is needed") from None


def is_missing(said: Result) -> bool:
    """Whether a command failed only because the volume, or its group, is not there."""
    return b"not found" in said.stderr or b"Failed to find" in said.stderr


def node(volume: str) -> os.stat_result:
    """The device of VG/LV. Raises OSError while it is not active."""
    return os.stat(f"/dev/{volume}")
