"""The LVM thin pool that docs/storage.md has one make, on the rig's spare disk, and the snapshots in it."""

from __future__ import annotations

import json
import re

from rig.cache import CHECKOUT
from tests.rig.typed import Host

GROUP = "inferno_rootfs_vg"


def set_up(host: Host) -> None:
    """The commands of the page, with this host's disk. A small pool: a guest's few MiB are percents of it."""
    text = (CHECKOUT / "docs/storage.md").read_text()
    found = re.search(r"^    DISK=/dev/sdX\n(?:    .*\n)+", text, re.MULTILINE)
    assert found is not None
    # VMs may write more than it has, as with any thin pool.
    small = found[0].replace("--extents 95%FREE", "--size 256M")
    assert small != found[0]
    host.sh("set -e\n" + small.replace("/dev/sdX", "/dev/vdc"))


def runs(host: Host) -> dict[str, tuple[str, str]]:
    """The snapshots of runs: name -> whether it is active, how many percent of it are there."""
    said = host.sh(f"lvs --reportformat json -o lv_name,lv_active,data_percent {GROUP}").stdout
    rows = json.loads(said)["report"][0]["lv"]
    return {r["lv_name"]: (r["lv_active"], r["data_percent"]) for r in rows if r["lv_name"].startswith("inferno_run_")}
