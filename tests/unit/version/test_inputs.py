"""Every setting, field and fact of the host is changed, one at a time: it makes a new version, or is read at start.

What is expected of a field is told by its row. Artifacts, images and bases are stand-ins, as nothing looks into them.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from inferno import settings
from inferno.artifact.firecracker import Vmm
from inferno.base import records
from inferno.base.errors import UsageError
from inferno.base.setting_row import Counts, Setting
from inferno.image import base, local_images
from inferno.image.stamp import Stamp
from inferno.life import status
from inferno.settings import Settings, load_settings
from inferno.spec import create_options
from inferno.spec.create_options import ROWS, Spec, merge
from inferno.spec.option_row import Place, Row
from inferno.state.database import State, VmRow
from inferno.state.slot import Slot
from inferno.version import configs, host_facts, initrd, inputs, make, versions, why
from inferno.version.plan import Plan
from inferno.wire import models
from tests.asked import given, typed

CHECKOUT = Path(__file__).resolve().parents[3]
SLOT = Slot(7)
BUILDS = {"initrd": initrd, "config": configs}
RENDERED = {Place.RUN: "run.json", Place.FIRECRACKER: "firecracker.json", Place.KILN: "kiln.json"}


class Made(NamedTuple):
    """What one create did: the tasks that ran, whether the version is new, and why."""

    ran: set[str]
    is_new: bool
    why: list[str]


class Vm:
    """A VM in an INFERNO_ROOT of its own, created as its tasks create it."""

    def __init__(self, folder: Path) -> None:
        self.share, self.env = folder / "share", {"INFERNO_ROOT": str(folder / "root"), "HOME": str(folder)}
        self.share.mkdir()
        for name in (*versions.ARTIFACTS, "init"):
            (self.share / name).write_text(f"the program {name}")
        records.write(self.share / "vmm.json", Vmm("1.13.0", "a test", {}))
        self.env["INFERNO_SHARE_DIR"] = str(self.share)
        self.spec = Spec("box:v1")
        self._done: dict[str, object] = {}
        (folder / "machine-id").write_text("a" * 32)
        for number, (ref, platform) in enumerate([("box:v1", None), ("box:v1", "linux/amd64"), ("nginx:latest", None)]):
            self.have(ref, platform, f"sha256:{number:064x}")

    @property
    def settings(self) -> Settings:
        return load_settings(self.env, self.share / "env")

    def have(self, ref: str, platform: str | None, digest: str, **process: str) -> None:
        """Note that a reference means an image, whose base is here."""
        made = base.path(digest, self.settings)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(f"the base of {digest}")
        known = {"Entrypoint": ["/bin/init"], "Cmd": ["--now"], "WorkingDir": "/w", "User": "nobody"}
        (made.parent / "config.json").write_text(json.dumps({"config": {**known, **process}}))
        noted = local_images.stamp_path(ref, self.settings, platform)
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(json.dumps(Stamp(ref, digest, "registry", "", platform)._asdict()))

    @property
    def plan(self) -> Plan:
        return Plan(self.settings, "box", self.spec)

    def create(self) -> Made:
        """Each task runs when its inputs are not those of its last run, as doit has it."""
        ran = set()
        for name, build in BUILDS.items():
            build.targets(self.plan)[0].parent.mkdir(parents=True, exist_ok=True)
            if self._is_due(name, build.inputs(self.plan, SLOT.number)):
                build.make(self.plan, SLOT)
                ran.add(name)
        found = None
        if self._is_due("create", inputs.seen(self.plan)):
            found = make.create(self.plan, SLOT)
            ran.add("create")
        current = versions.current(self.plan.paths, "box")
        assert current is not None
        return Made(ran, bool(found and found.is_new), why.told(self.plan.paths, current.ulid))

    def _is_due(self, task: str, inputs: object) -> bool:
        before, self._done[task] = self._done.get(task), json.dumps(inputs, sort_keys=True)
        return before != self._done[task]

    def pending(self) -> list[str]:
        """What `infernoctl why` says of the next create."""
        current = versions.current(self.plan.paths, "box")
        row = VmRow("box", SLOT.number, self.spec.to_json(), current.ulid if current else None, "")
        return why.pending(self.settings, row)

    def files(self) -> dict[str, bytes]:
        """What was rendered."""
        paths = [path for build in BUILDS.values() for path in build.targets(self.plan)]
        return {path.name: path.read_bytes() for path in paths}

    def check_that_nothing_else_counts(self) -> None:
        """Whatever is made anew is what is there: an input that was not declared would show."""
        before = self.files()
        for build in BUILDS.values():
            build.make(self.plan, SLOT)
        assert self.files() == before
        assert not make.create(self.plan, SLOT).is_new
        self._is_due("create", inputs.seen(self.plan))  # the same bytes, in files of another time


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vm:
    made = Vm(tmp_path)
    monkeypatch.setattr(host_facts, "MACHINE_ID", tmp_path / "machine-id")
    assert made.create() == ({"initrd", "config", "create"}, True, ["it is the first version"])
    assert made.create() == (set(), False, ["it is the first version"])
    made.check_that_nothing_else_counts()
    return made


def tasks(row: Row) -> set[str]:
    """The tasks that a change of the field is to run. The image says what run.json is made from, too."""
    initrds, rendered = {Place.RUN, Place.BASE}, {Place.FIRECRACKER, Place.KILN}
    found = {"initrd": initrds, "config": rendered}
    return {"create"} | {task for task, places in found.items() if not places.isdisjoint(row.places)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_field_counts_where_its_row_says(vm: Vm, row: Row) -> None:
    before = vm.files()
    vm.spec = merge(vm.spec.to_json(), create_options.asked(given(*typed(row))), "box")
    made = vm.create()
    assert (made.ran, made.is_new) == (tasks(row), row.makes_version)
    if row.makes_version:
        assert [line.partition(":")[0] for line in made.why if not line.startswith("image: sha256")] == (
            ["image", "image"] if row.name == "image" else [row.name, *(["image"] if Place.BASE in row.places else [])]
        )
    vm.check_that_nothing_else_counts()
    if Place.BASE not in row.places:
        after = vm.files()
        assert {place for place, name in RENDERED.items() if before[name] != after[name]} == set(RENDERED) & set(
            row.places
        )
    assert vm.pending() == []


# A value to change each setting to; when that counts is told by its row. Those that say where all of this is have none,
# and INFERNO_SHARE_DIR has a test of its own.
VALUES = {
    "LOG_LEVEL": "debug",
    "INFERNO_STORAGE": "lvm",
    "VG_NAME": "other",
    "INFERNO_POOL_MAX_PERCENT": "50",
    "ROOTFS_SIZE_MB": "64",
    "INFERNO_SCRATCH_BYTES_PER_INODE": "4096",
    "INFERNO_UID_BASE": "900000",
    "INFERNO_JAIL_UID": "1234",
    "INFERNO_JAIL_GID": "1234",
    "INFERNO_FIRECRACKER": "/opt/firecracker",
    "INFERNO_JAILER": "/opt/jailer",
    "INFERNO_UNSUPPORTED_FIRECRACKER": "refuse",
    "INFERNO_SSH_KEYS": next(row.example for row in ROWS if row.name == "ssh_key"),
    "INFERNO_DNS": "192.0.2.53",
    "INFERNO_START_TIMEOUT": "5",
    "INFERNO_IMAGE_MAX_AGE": "0",
    "INFERNO_IMAGE_COMPRESSION": "lz4",
    "INFERNO_INSECURE_REGISTRIES": "localhost:5000",
    "INFERNO_IMAGE_MAX_MB": "1",
    "INFERNO_IMAGE_MAX_ENTRIES": "1",
    "INFERNO_IMAGE_TIMEOUT": "1",
    "INFERNO_LOG_MAX_SIZE_MB": "1",
    "INFERNO_LOG_MAX_FILES": "2",
    "INFERNO_LOG_MAX_RATE": "1",
    "INFERNO_MEMORY_RESERVE": "100",
    "INFERNO_OVERCOMMIT": "allow",
    "INFERNO_DISK_RESERVE": "100",
}
SETTINGS = [(field, row) for field, _, row in settings.ROWS]
# Where the library reads the settings of each kind.
READERS = {
    Counts.VERSION: ("version", "disk"),
    Counts.START: ("disk", "life", "sandbox", "net", "state"),
    Counts.IMAGE: ("image",),
    Counts.LOGS: ("logs",),
}


def test_each_setting_is_changed_here() -> None:
    apart = {"INFERNO_SHARE_DIR", *(row.name for _, row in SETTINGS if row.counts is Counts.PLACE)}
    assert set(VALUES) == {row.name for _, row in SETTINGS} - apart


@pytest.mark.parametrize("row", [row for _, row in SETTINGS if row.name in VALUES], ids=lambda row: row.name)
def test_a_setting_makes_a_version_or_none(vm: Vm, row: Setting) -> None:
    vm.env[row.name] = VALUES[row.name]
    expected = [row.name] if row.counts is Counts.VERSION else []
    assert [line.partition(":")[0] for line in vm.pending()] == expected
    made = vm.create()
    assert made.is_new == bool(expected)
    assert [line.partition(":")[0] for line in made.why if made.is_new] == expected
    vm.check_that_nothing_else_counts()


def readers(field: str) -> set[str]:
    """The packages in which some code reads an attribute of this name."""
    found = set()
    for path in (CHECKOUT / "inferno").rglob("*.py"):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.Attribute) and node.attr == field for node in ast.walk(tree)):
            found.add(path.relative_to(CHECKOUT / "inferno").parts[0].removesuffix(".py"))
    return found


@pytest.mark.parametrize(("field", "row"), SETTINGS)
def test_a_setting_is_read_where_it_counts(field: str, row: Setting) -> None:
    assert row.counts not in READERS or readers(field) & set(READERS[row.counts])


def test_an_artifact_counts_by_its_content(vm: Vm, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    vm.share.rename(moved)
    vm.env["INFERNO_SHARE_DIR"] = str(moved)
    assert not vm.create().is_new
    for name in (*versions.ARTIFACTS, "init"):
        (moved / name).write_text(f"another {name}")
        assert [line.partition(":")[0] for line in vm.pending()] == [name]
        made = vm.create()
        assert [line.partition(":")[0] for line in made.why] == [name]
        assert made.ran == ({"initrd", "create"} if name == "init" else {"create"})
    records.write(moved / "vmm.json", Vmm("1.12.0", "a test", {}))
    (moved / "firecracker").write_text("an old firecracker")
    assert [line.partition(":")[0] for line in vm.create().why] == ["firecracker"]
    vm.check_that_nothing_else_counts()


def test_an_image_that_was_pulled_again_counts(vm: Vm) -> None:
    vm.have("box:v1", None, f"sha256:{99:064x}")
    assert [line.partition(":")[0] for line in vm.pending()] == ["image"]
    assert vm.create().ran == {"initrd", "create"}
    vm.have("nginx:latest", "linux/arm64", f"sha256:{98:064x}")
    assert vm.create().ran == set(), "of another platform"


def _machine_id() -> None:
    host_facts.MACHINE_ID.write_text("b" * 32)


def _clock() -> None:
    real = time.time
    time.time = lambda: real() + 1e8  # undone by the fixture


def _umask() -> None:
    os.umask(0o077)


def _folder() -> None:
    os.chdir("/")


def _environment() -> None:
    os.environ.update(TZ="Asia/Tokyo", LANG="tr_TR.UTF-8", LC_ALL="tr_TR.UTF-8", USER="x", SOURCE_DATE_EPOCH="5")


# What of this host may be another, and the reason that is told; none where it does not count.
HOST: dict[str, tuple[Callable[[], None], list[str]]] = {
    "machine-id": (_machine_id, ["machine-id"]),
    "clock": (_clock, []),
    "umask": (_umask, []),
    "folder": (_folder, []),
    "environment": (_environment, []),
}


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(time, "time", time.time)
    environ, folder, mask = dict(os.environ), os.getcwd(), os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)


@pytest.mark.parametrize("fact", HOST)
@pytest.mark.usefixtures("restored")
def test_a_fact_of_the_host_makes_a_version_or_none(vm: Vm, fact: str) -> None:
    change, reasons = HOST[fact]
    change()
    assert [line.partition(":")[0] for line in vm.pending()] == reasons
    made = vm.create()
    assert made.is_new == bool(reasons)
    assert [line.partition(":")[0] for line in made.why if made.is_new] == reasons
    vm.check_that_nothing_else_counts()


_OPENED: list[list[str]] = []


def _note(event: str, args: tuple[object, ...]) -> None:
    if _OPENED and event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str | os.PathLike):
        _OPENED[-1].append(os.fspath(args[0]))


def test_no_other_file_of_the_host_is_looked_at(vm: Vm, tmp_path: Path) -> None:
    """Its resolvers are read at start (net.resolvers)."""
    sys.addaudithook(_note)  # for good: it notes nothing after this test
    _OPENED.append([])
    try:
        vm.spec = merge(vm.spec.to_json(), {"memory": 200, "env": ["A=1"]}, "box")
        vm.create()
    finally:
        opened = _OPENED.pop()
    own = (str(tmp_path), str(CHECKOUT / "inferno"), sys.prefix, sys.base_prefix, "/dev/null")
    assert str(host_facts.MACHINE_ID) in opened
    assert [path for path in opened if not path.startswith(own)] == []


def test_the_stop_signal_asked_for_comes_before_the_images(vm: Vm) -> None:
    def recorded() -> tuple[int, int | None]:
        current = versions.current(vm.plan.paths, "box")
        assert current is not None
        with contextlib.closing(State(vm.settings.db_path)) as state:
            state.reserve("box")
            state.save("box", vm.spec.to_json(), current.ulid)
        return versions.read(current).stop_signal, status.status(vm.settings, "box").stop_signal

    assert recorded() == (signal.SIGTERM, signal.SIGTERM)
    vm.have("box:v1", None, f"sha256:{99:064x}", StopSignal="SIGQUIT")
    vm.create()
    assert recorded() == (signal.SIGQUIT, signal.SIGQUIT)
    for word, number in (("RTMIN+3", signal.SIGRTMIN + 3), ("2", signal.SIGINT)):
        vm.spec = merge(vm.spec.to_json(), create_options.asked(given("--stop-signal", word)), "box")
        vm.create()
        assert recorded() == (number, number)
    with pytest.raises(UsageError, match=r"--stop-signal 'TREM' is not a signal"):
        create_options.asked(given("--stop-signal", "TREM"))


def test_values_of_variables_are_not_told(vm: Vm) -> None:
    vm.spec = merge(vm.spec.to_json(), {"env": ["TOKEN=hunter2", "MODE=a"]}, "box")
    assert vm.create().why == ["env: TOKEN, MODE"]
    vm.spec = merge(vm.spec.to_json(), {"env": ["TOKEN=hunter3", "MODE=a"]}, "box")
    assert vm.create().why == ["env: TOKEN"]
    vm.spec = merge(vm.spec.to_json(), {"env": ["MODE=a", "TOKEN=hunter3"]}, "box")
    assert vm.create().why == ["env: in another order"]


def test_what_another_inferno_renders_is_a_reason_of_its_own(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "BOOT_ARGS", "console=ttyS0")
    monkeypatch.setattr(configs, "makers", list)  # as if its modules were others
    made = vm.create()
    assert made.ran == {"config", "create"}
    assert [line.partition(":")[0] for line in made.why] == ["firecracker.json"]


def test_a_field_that_the_version_before_did_not_know_makes_none(vm: Vm) -> None:
    current = versions.current(vm.plan.paths, "box")
    assert current is not None
    record = json.loads(current.record.read_text())
    del record["inputs"]["spec"]["tmpfs"], record["inputs"]["spec"]["vcpus"], record["inputs"]["settings"]
    current.record.chmod(0o644)
    current.record.write_text(json.dumps(record))
    assert vm.pending() == []
    assert not make.create(vm.plan, SLOT).is_new
    vm.spec = merge(vm.spec.to_json(), {"vcpus": 2}, "box")
    assert vm.pending() == ["vcpus: 1 -> 2"]
