"""How fast the build side is, without a rig: a create that changes nothing, a second VM, the list.

These commands are over in a tenth of a second or two, of which most is Python loading modules. What makes their ratios
vary is mostly the scheduler of a machine that does other things too, so there are more pairs than elsewhere. Every side
is run with byte code that is there already, and with the same number of VMs in each pair.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import images
from tests.bench.built import artifacts
from tests.bench.measure import Measured, Pairs, Side, command, environment, run, several
from tests.bench.place import CHECKOUT
from tests.bench.row import Lab, row

BIN = Path(sys.executable).parent
DOIT, CTL = BIN / "doit", BIN / "infernoctl"
NO_OP = "no-op doit create:web1 / doit list of an empty dodo"


class Host(NamedTuple):
    """An INFERNO_ROOT with the VM web1, the environment that names it, and folders to work in."""

    root: Path
    env: dict[str, str]
    work: Path
    empty: Path
    image: str


def host(lab: Lab) -> Host:
    lab.shared(artifacts)
    work = lab.folder()
    made = Host(work / "root", environment(INFERNO_ROOT=work / "root"), work, work / "empty", f"oci:{work / 'layout'}")
    images.busybox(work / "layout")
    made.empty.mkdir()
    (made.empty / "dodo.py").write_text("")
    run([CTL, "create", "web1", "--image", made.image], made.env, work)
    return made


@row("noop-create", NO_OP, bar=1.2)
def noop_create(lab: Lab) -> Measured:
    return _no_op(lab)


@row("noop-create-10k", f"{NO_OP}, 10,000 VMs known", bar=1.35)
def noop_create_10k(lab: Lab) -> Measured:
    with _known(lab.shared(host).root / "inferno.db", 10_000):
        return _no_op(lab)


def _no_op(lab: Lab) -> Measured:
    on = lab.shared(host)
    ours, theirs = command([DOIT, "create:web1"], on.env, CHECKOUT), command([DOIT, "list"], on.env, on.empty)
    return lab.watch.pairs(ours, theirs, 11).measured()


@contextlib.contextmanager
def _known(database: Path, count: int) -> Iterator[None]:
    """So many VMs more in the database, like web1."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        like = db.execute("select spec, env, version from machines where name = 'web1'").fetchone()
        rows = ((f"known{n}", n, *like) for n in range(100, 100 + count))
        db.executemany("insert into machines (name, slot, spec, env, version) values (?, ?, ?, ?, ?)", rows)
    try:
        yield
    finally:
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("delete from machines where name like 'known%'")


class Second(NamedTuple):
    """Creates of a second VM beside creates that change nothing, and the bytes of image that each copied."""

    pairs: Pairs
    copied: list[float]


def second(lab: Lab) -> Second:
    """Each VM is gone before the next is made: all of them are a second one."""
    on = lab.shared(host)
    numbers, copied = itertools.count(), list[float]()

    def create() -> None:
        run([CTL, "create", f"second{next(numbers)}", "--image", on.image], on.env, on.work)

    def before() -> None:
        copied.append(-_image_bytes(on.root))

    def after() -> None:
        copied[-1] += _image_bytes(on.root)
        run([CTL, "destroy", f"second{len(copied) - 1}", "--yes"], on.env, on.work)

    no_op = command([CTL, "create", "web1"], on.env, on.work)
    return Second(lab.watch.pairs(Side(create, before, after), no_op), copied)


@row("second-vm", "create of a second VM / no-op create", bar=3)
def second_vm(lab: Lab) -> Measured:
    return lab.shared(second).pairs.measured()


@row("second-vm-bytes", "bytes of image copied for a second VM", bar=0, unit="bytes", value=max)
def second_vm_bytes(lab: Lab) -> Measured:
    return several(lab.shared(second).copied)


def _image_bytes(root: Path) -> int:
    """Bytes on disk of all bases, each inode counted once."""
    found = {}
    for path in [*root.glob("images/*/rootfs.erofs"), *root.glob("vms/kiln/*/rootfs.img")]:
        info = path.stat()
        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


@row("list", "infernoctl list of 10 VMs / python3 -c 'import sqlite3, json'", bar=1.7)
def list_vms(lab: Lab) -> Measured:
    on = lab.shared(host)
    for number in range(2, 11):
        run([CTL, "create", f"web{number}", "--image", on.image], on.env, on.work)
    count = len(json.loads(run([CTL, "list", "--json"], on.env)))
    bare = command([sys.executable, "-c", "import sqlite3, json"], on.env)
    return lab.watch.pairs(command([CTL, "list"], on.env), bare, 15).measured(f"; {count} VMs")
