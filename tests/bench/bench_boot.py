"""What jailer, kiln and infernoctl add to a boot and its end, beside Firecracker alone; what kiln and init weigh.

Runs in the rig: with emulation the seconds say little, the ratios more.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path

from tests.bench.row import Row
from tests.rig.machine import Rig

CHECKOUT = Path(__file__).resolve().parents[2]
RUNS = 5


def rows() -> list[Row]:
    found = _measure()
    raw, launch, start = (statistics.median(found[key]) for key in ("raw", "launch", "start"))
    stop, python = (statistics.median(found[key]) for key in ("stop", "python"))
    to_byte = "to the first HTTP byte / firecracker alone"
    rest = f"{start - launch:.2f} s of it before the jailer runs: Python, tasks, TAP, nft, scratch, jail"
    return [
        Row(f"jailer's launch {to_byte}", launch / raw, 1.15, detail=f"{launch:.2f} s / {raw:.2f} s"),
        Row(f"infernoctl start --detach {to_byte}", start / raw, 1.6, detail=f"{start:.2f} s / {raw:.2f} s; {rest}"),
        Row(
            "stop, process's exit to the end / python3 -c pass",
            stop / python,
            4,
            detail=f"{stop:.2f} s / {python:.2f} s",
        ),
        Row("kiln's memory (RSS)", max(found["kiln_rss_kib"]) / 1024, 2, "MiB"),
        Row("kiln's binary", (CHECKOUT / "artifacts/kiln").stat().st_size / 2**20, 1.5, "MiB"),
        Row("init's binary", (CHECKOUT / "artifacts/init").stat().st_size / 2**20, 2, "MiB"),
    ]


def _measure() -> dict[str, list[float]]:
    image = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferno/demo/nginx"
    subprocess.run([CHECKOUT / "tools/make-nginx-image", image], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([CHECKOUT / ".venv/bin/doit", "artifacts"], cwd=CHECKOUT, check=True, capture_output=True)
    with Rig.start(extra=image) as rig:
        done = rig.run(["python", "-m", "tests.bench.boot_in_rig", "oci:/extra", str(RUNS)], timeout=900)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found
