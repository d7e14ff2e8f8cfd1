"""Who is let in: the memory of VMs is summed, also of those that are being started; disk and tasks are looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.life import admission, host
from inferno.sandbox import cgroup
from inferno.settings import Settings, load_settings
from inferno.state import paths
from inferno.state.paths import HostPaths, Paths
from tests.at_once import at_once

ULIDS = [f"01JD8ZK3V5N9Q2R7T4W6X8Y0{number:02}" for number in range(10)]
MIB = 1000  # what VMs may have here
SIZE = cgroup.Limits(1, 256)  # of which three fit: 256 + 2 + 10 MiB each


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """cgroup v2 as files: of which VMs run, and by what limits. The network is that of the INFERNO_ROOT here."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    monkeypatch.setattr(cgroup, "_MOUNT", folder)
    monkeypatch.setattr(paths, "HOST", HostPaths(tmp_path / "host"))
    (tmp_path / "root").mkdir()
    paths.HOST.dir.mkdir()
    paths.HOST.network_root.write_text(f"{tmp_path / 'root'}\n")
    return folder


def settings(tmp_path: Path, **more: str) -> Settings:
    reserve = {"INFERNO_MEMORY_RESERVE": str(host.memory_mib() - MIB), "INFERNO_DISK_RESERVE": "0"}
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), **reserve, **more}, tmp_path / "absent")


def runs(hierarchy: Path, ulid: str, size: cgroup.Limits, populated: int = 1) -> None:
    leaf = hierarchy / cgroup.SLICE / ulid
    leaf.mkdir(parents=True, exist_ok=True)
    (leaf / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    (leaf / "memory.max").write_text(f"{size.memory_max}\n")


def named(tmp_path: Path, ulid: str, name: str) -> None:
    """The record of a version, of which only the name is asked."""
    spec = {"image": "oci:x"}
    fields: dict[str, object] = {"ulid": ulid, "name": name, "slot": 0, "spec": spec, "inputs": {"image": "x"}}
    fields |= {"files": [], "exec_name": "kiln", "base": [0, 0], "scratch_template": "x", "created_at": "", "why": []}
    record = Paths(tmp_path / "root").version(ulid).record
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(fields))


@pytest.mark.parametrize("memory_mib", [64, 128, 512, 4096, 1 << 20])
def test_a_vm_counts_the_same_before_and_while_it_runs(tmp_path: Path, hierarchy: Path, memory_mib: int) -> None:
    runs(hierarchy, ULIDS[0], cgroup.Limits(2, memory_mib))
    found = admission.memory(settings(tmp_path))
    assert found.running == {ULIDS[0]: admission.need_mib(memory_mib)}
    assert (found.most, found.used) == (MIB, admission.need_mib(memory_mib))


def test_one_too_many_is_refused_and_told_which_vm_would_free_most(tmp_path: Path, hierarchy: Path) -> None:
    named(tmp_path, ULIDS[1], "large")
    runs(hierarchy, ULIDS[0], cgroup.Limits(1, 210))
    runs(hierarchy, ULIDS[1], cgroup.Limits(1, 500))
    runs(hierarchy, ULIDS[2], cgroup.Limits(1, 500), populated=0)
    with pytest.raises(UsageError) as refused:
        admission.admit(settings(tmp_path), "web", ULIDS[3], SIZE)
    assert refused.value.text == "web needs 268 MiB of memory, and of the 1000 MiB for VMs 266 are left"
    assert refused.value.hint == "infernoctl stop large frees most, 513 MiB; or start web with --overcommit"


def test_what_is_not_of_this_root_counts_and_has_no_name(tmp_path: Path, hierarchy: Path) -> None:
    runs(hierarchy, ULIDS[0], cgroup.Limits(1, 900))
    with pytest.raises(UsageError) as refused:
        admission.admit(settings(tmp_path), "web", ULIDS[3], SIZE)
    assert refused.value.hint and "one of another INFERNO_ROOT, frees most, 917 MiB" in refused.value.hint


def test_a_vm_that_is_too_large_for_the_host_alone_is_told_so(tmp_path: Path, hierarchy: Path) -> None:
    with pytest.raises(UsageError, match="1000 are left") as refused:
        admission.admit(settings(tmp_path), "web", ULIDS[3], cgroup.Limits(1, 2000))
    assert refused.value.hint and "INFERNO_MEMORY_RESERVE" in refused.value.hint


@pytest.mark.parametrize("more", [{}, {"INFERNO_OVERCOMMIT": "allow"}])
def test_overcommitted_it_starts_and_counts(tmp_path: Path, hierarchy: Path, more: dict[str, str]) -> None:
    runs(hierarchy, ULIDS[0], cgroup.Limits(1, 900))
    release = admission.admit(settings(tmp_path, **more), "web", ULIDS[3], SIZE, overcommit=not more)
    with pytest.raises(UsageError, match="of the 1000 MiB for VMs 0 are left"):
        admission.admit(settings(tmp_path), "db", ULIDS[4], SIZE)
    release()


def test_a_restart_takes_the_place_of_its_own_run(tmp_path: Path, hierarchy: Path) -> None:
    runs(hierarchy, ULIDS[0], cgroup.Limits(1, 900))
    admission.admit(settings(tmp_path), "web", ULIDS[1], cgroup.Limits(1, 900), instead_of=ULIDS[0])()
    with pytest.raises(UsageError):
        admission.admit(settings(tmp_path), "web", ULIDS[1], cgroup.Limits(1, 900))


def test_what_is_being_started_counts_once(tmp_path: Path, hierarchy: Path) -> None:
    """From its look on, and also while its command still holds the line and its cgroup counts already."""
    held = [admission.admit(settings(tmp_path), "web", ulid, SIZE) for ulid in ULIDS[:2]]
    for ulid in ULIDS[:2]:
        runs(hierarchy, ulid, SIZE)
    held.append(admission.admit(settings(tmp_path), "third", ULIDS[2], SIZE))
    with pytest.raises(UsageError):
        admission.admit(settings(tmp_path), "fourth", ULIDS[3], SIZE)
    held.pop()()
    admission.admit(settings(tmp_path), "fourth", ULIDS[3], SIZE)()
    for release in held:
        release()


def about_to_start(root: Path, ulid: str) -> Callable[[], bool]:
    """A start of a VM; its answer is whether it is let in. Its line in the table of starts goes with its process."""
    cgroup._MOUNT = root / "cgroup"
    paths.HOST = HostPaths(root / "host")

    def start() -> bool:
        try:
            admission.admit(settings(root), "web", ulid, SIZE)
        except UsageError:
            return False
        return True

    return start


def test_of_many_starts_at_once_so_many_pass_as_fit(tmp_path: Path, hierarchy: Path) -> None:
    passed = at_once(about_to_start, [(tmp_path, ulid) for ulid in ULIDS[:6]])
    assert sum(passed) == MIB // admission.need_mib(SIZE.memory_mib) == 3
    admission.admit(settings(tmp_path), "web", ULIDS[9], SIZE)()


def test_a_disk_with_too_little_room_is_refused(tmp_path: Path, hierarchy: Path) -> None:
    full = settings(tmp_path, INFERNO_DISK_RESERVE=str(1 << 30))
    with pytest.raises(UsageError, match=r"\d+ MiB are free on the disk of .*; below 1073741824 MiB no VM") as refused:
        admission.admit(full, "web", ULIDS[0], SIZE, overcommit=True)
    assert (
        refused.value.hint == "infernoctl images prune removes what no VM uses; INFERNO_DISK_RESERVE is another limit"
    )
    named(tmp_path, ULIDS[1], "large")
    runs(hierarchy, ULIDS[1], SIZE)
    Paths(full.root).version(ULIDS[1]).scratch.write_bytes(b"x" * (3 << 20))
    with pytest.raises(UsageError) as refused:
        admission.check_disk(full)
    assert refused.value.hint and "infernoctl stop large frees most, 3 MiB that it wrote" in refused.value.hint
    admission.check_disk(full._replace(storage="lvm"))


@pytest.mark.parametrize(("pid_max", "threads_max", "left"), [(32768, 1000, 100), (1000, 32768, 100)])
def test_tasks_are_counted_against_both_limits(tmp_path: Path, pid_max: int, threads_max: int, left: int) -> None:
    for name, text in (
        ("proc/loadavg", "0.20 0.18 0.12 1/900 11206\n"),
        ("proc/sys/kernel/pid_max", f"{pid_max}\n"),
        ("proc/sys/kernel/threads-max", f"{threads_max}\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = admission.tasks(tmp_path)
    assert found.most - found.now == left
