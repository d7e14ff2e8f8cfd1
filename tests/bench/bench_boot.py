"""What jailer, kiln and infernoctl add to a boot and its end, beside Firecracker alone; what kiln and init weigh.

The boots are in the rig, one rig for all of them, in turn: with emulation the seconds say little, the ratios more. The
first of each is not counted; boot_in_rig.py has the order. One rig at a time should run: two of them want four
processors.
"""

from __future__ import annotations

import json

from rig.machine import Rig
from tests.bench.built import artifacts
from tests.bench.measure import LEAST, Measured, exact, run, several, walls
from tests.bench.place import CACHE, CHECKOUT
from tests.bench.row import Lab, row

TO_BYTE = "to the first HTTP byte / firecracker alone"
WITHIN_S = 1800


def boots(lab: Lab) -> dict[str, list[float]]:
    """What boot_in_rig found."""
    lab.shared(artifacts)
    image = CACHE / "demo/nginx"
    run([CHECKOUT / "tools/make-nginx-image", image])
    with Rig.start(extra=image) as rig:
        done = rig.run(["python", "-m", "tests.bench.boot_in_rig", "oci:/extra", str(LEAST)], timeout=WITHIN_S)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


@row("boot", f"jailer's launch {TO_BYTE}", bar=1.15)
def boot(lab: Lab) -> Measured:
    found = lab.shared(boots)
    return walls(found["launch"], found["raw"]).measured()


@row("start", f"infernoctl start --detach {TO_BYTE}", bar=1.6)
def start(lab: Lab) -> Measured:
    found = lab.shared(boots)
    before = sorted(start - launch for start, launch in zip(found["start"], found["launch"], strict=True))
    rest = f"{before[len(before) // 2]:.2f} s before the jailer runs: Python, tasks, TAP, nft, scratch, jail"
    return walls(found["start"], found["raw"]).measured(f"; {rest}")


@row("stop", "stop, process's exit to the end / python3 -c pass", bar=4)
def stop(lab: Lab) -> Measured:
    found = lab.shared(boots)
    return walls(found["stop"], found["python"]).measured()


@row("kiln-memory", "kiln's memory (RSS)", bar=2, unit="MiB", value=max)
def kiln_memory(lab: Lab) -> Measured:
    return several([kib / 1024 for kib in lab.shared(boots)["kiln_rss_kib"]])


@row("kiln-size", "kiln's binary", bar=1.5, unit="MiB")
def kiln_size(lab: Lab) -> Measured:
    return exact((lab.shared(artifacts) / "kiln").stat().st_size / 2**20)


@row("init-size", "init's binary", bar=2, unit="MiB")
def init_size(lab: Lab) -> Measured:
    return exact((lab.shared(artifacts) / "init").stat().st_size / 2**20)
