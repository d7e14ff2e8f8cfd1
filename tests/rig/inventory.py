"""Run in the rig: prints all that a VM's life may leave behind on a host, a line each, in a stable order.

Left out is what nobody can be blamed for: PIDs, counters, times, the databases' own files (whose VMs are listed); and
what only makes the next create or start quick: images, the archive with init, the rules as they were last loaded; and
what all starts of a host share from the first on: the network's lock, whose the network is, the table of
starts under way. What is kept of a VM's bad ends, to be looked at, stays too.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(os.environ["INFERNO_ROOT"])
HOST = Path("/run/inferno")
SHARED = (ROOT / "run", HOST, HOST / "network", HOST / "root", HOST / "starts")
OURS = (
    "infernoctl",
    "inferno.logs.collector",
    "inferno/logs/collector",
    "jailer",
    "kiln",
    "firecracker",
    "dnsmasq",
    "mke2fs",
)


def said(*words: str) -> list[str]:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def processes() -> Iterator[str]:
    for line in said("ps", "-eo", "comm=,args="):
        if any(word in line for word in OURS) and "inventory.py" not in line:
            yield line


def network() -> Iterator[str]:
    yield from (line.split(":", 1)[1] for line in said("ip", "-o", "link"))
    yield from (line.split(":", 1)[1].partition("\\")[0] for line in said("ip", "-o", "addr"))
    yield from said("ip", "route")
    yield from (re.sub(r"counter packets \d+ bytes \d+", "counter", line) for line in said("nft", "list", "ruleset"))


def kernel() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield " ".join(line.split()[3:6])
    yield from (folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "inferno" in folder)
    yield from said("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    mapped = [line.split()[0] for line in said("dmsetup", "ls")]  # without numbers, which a reboot deals anew
    yield from mapped
    if mapped != ["No"]:  # "No devices found": then there is no pool, and lvs takes its time to find none
        yield from said("lvs", "--noheadings", "--options", "lv_full_name")


def files() -> Iterator[str]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if Path(folder, name) != ROOT / "images"]
        folders[:] = [name for name in folders if os.listdir(Path(folder, name)) != ["init.cpio"]]
        folders[:] = [name for name in folders if name != "debug" or Path(folder).parent != ROOT / "vms"]
        for name in [*folders, *names]:
            path = Path(folder, name)
            if ".db" not in name and name != "ruleset.nft" and path not in SHARED:
                info = path.lstat()
                links = info.st_nlink if path.is_file() else ""
                yield f"{path} {info.st_mode:o} {info.st_uid}:{info.st_gid} {links}"
    yield from (f"/tmp/{name}" for name in os.listdir("/tmp"))
    for folder in (Path("/run"), Path("/run/inferno")):
        found = folder.iterdir() if folder.is_dir() else ()
        yield from (str(path) for path in found if "inferno" in str(path) and path not in SHARED)


def rows() -> Iterator[str]:
    """Of tasks.db the VMs alone: that a step was done last time is only its history, and images stay."""
    for name, question in (("inferno.db", "select name from vms"), ("tasks.db", "select task from task_state")):
        if (ROOT / name).exists():
            with contextlib.closing(sqlite3.connect(ROOT / name)) as db:
                found = {str(row[0]) for row in db.execute(question) if not row[0].startswith(("image:", "rootfs:"))}
            yield from {f"{name}: {row.partition(':')[2] or row}" for row in found}


def main() -> None:
    for part in (processes, network, kernel, files, rows):
        for found in sorted(part()):
            print(f"{part.__name__}: {found.rstrip()}")


if __name__ == "__main__":
    main()
