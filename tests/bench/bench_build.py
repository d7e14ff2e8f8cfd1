"""How fast the build side is, on this machine, without a rig: no-op create, the tenth thousandth VM, a second VM."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import images
from tests.bench.row import Row, median_pair_s, median_s

BIN = Path(sys.executable).parent
DOIT, CTL = str(BIN / "doit"), str(BIN / "infernoctl")


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="inferno-bench.") as folder:
        work = Path(folder)
        root, empty = work / "root", work / "empty"
        empty.mkdir()
        (empty / "dodo.py").write_text("")
        # With PYTHONDONTWRITEBYTECODE, which some CI sets, every command would compile Inferno anew and only that.
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"INFERNO_ROOT": str(root)}
        image = f"oci:{images.busybox(work / 'layout')}"
        subprocess.run([CTL, "create", "web1", "--image", image], env=env, cwd=work, check=True, capture_output=True)
        found = [*_no_op(env, work, empty), *_second(env, work, root, image)]
        return [*found, _list(env, root)]


def _no_op(env: dict[str, str], work: Path, empty: Path) -> list[Row]:
    no_op = [DOIT, "create:web1"]
    few, base = median_pair_s(no_op, ["sh", "-c", f"cd {empty} && exec {DOIT} list"], env, cwd=str(work))
    with sqlite3.connect(Path(env["INFERNO_ROOT"]) / "inferno.db") as db:
        spec, version = db.execute("select spec, version from vms where name = 'web1'").fetchone()
        rows = ((f"known{n}", n, spec, version) for n in range(100, 10_100))
        db.executemany("insert into vms (name, slot, spec, version) values (?, ?, ?, ?)", rows)
    many, base_again = median_pair_s(no_op, ["sh", "-c", f"cd {empty} && exec {DOIT} list"], env, cwd=str(work))
    with sqlite3.connect(Path(env["INFERNO_ROOT"]) / "inferno.db") as db:
        db.execute("delete from vms where name like 'known%'")
    what = "no-op doit create:web1 / doit list of an empty dodo"
    return [
        Row(what, few / base, 1.3, detail=f"{few * 1000:.0f} ms / {base * 1000:.0f} ms"),
        Row(f"{what}, 10,000 VMs known", many / base_again, 1.35, detail=f"{many * 1000:.0f} ms"),
    ]


def _second(env: dict[str, str], work: Path, root: Path, image: str) -> list[Row]:
    base = median_s([CTL, "create", "web1"], env, runs=7, cwd=str(work))
    times = []
    before = _image_bytes(root)
    for number in range(9):
        began = time.perf_counter()
        command = [CTL, "create", f"more{number}", "--image", image]
        subprocess.run(command, env=env, cwd=work, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    spent = statistics.median(times)
    copied = _image_bytes(root) - before
    return [
        Row("create of a second VM / no-op create", spent / base, 3, detail=f"{spent * 1000:.0f} ms"),
        Row("bytes of image copied by 9 more VMs", copied, 0, "bytes"),
    ]


def _image_bytes(root: Path) -> int:
    """Bytes on disk of all bases, each inode counted once."""
    found = {}
    for path in [*root.glob("images/*/rootfs.erofs"), *root.glob("vms/kiln/*/rootfs.img")]:
        info = path.stat()
        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _list(env: dict[str, str], root: Path) -> Row:
    count = len(json.loads(subprocess.run([CTL, "list", "--json"], env=env, check=True, capture_output=True).stdout))
    listing, base = median_pair_s([CTL, "list"], [sys.executable, "-c", "import sqlite3, json"], env, runs=15)
    detail = f"{listing * 1000:.0f} ms / {base * 1000:.0f} ms, {count} VMs"
    return Row("infernoctl list of 10 VMs / python3 -c 'import sqlite3, json'", listing / base, 2, detail=detail)
