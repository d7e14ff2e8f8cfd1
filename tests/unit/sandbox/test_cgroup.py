"""Leaves of real cgroups: all of it where v2 has its controllers, who-runs-here wherever v2 is mounted at all."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup
from inferno.sandbox.cgroup import Limits
from tests.loghost import DEADLINE_S, eventually
from tests.threads import poll_timeout_ms

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
UNIFIED, HYBRID = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")


def test_limits_leave_room_around_the_guest() -> None:
    limits = Limits(vcpus=2, memory_mib=512)
    files = dict(limits.files())
    assert files["cpu.max"] == "200000 100000"
    assert int(files["memory.max"]) == (512 + 96 + 4) << 20
    assert (files["memory.swap.max"], files["memory.oom.group"]) == ("0", "1")
    assert int(files["pids.max"]) > 2 + 4


@pytest.fixture
def root() -> Path:
    for mount in (UNIFIED, HYBRID):
        if (mount / "cgroup.controllers").exists():
            return mount
    pytest.skip("cgroup v2 is not mounted here")


@pytest.fixture
def leaf(root: Path) -> Iterator[Path]:
    """A leaf without limits, with a process in it that waits to be ended."""
    assert cgroup.leaves(root) == set(), "VMs run on this host"
    path = root / cgroup.SLICE / ULID
    path.mkdir(parents=True)
    yield path
    cgroup.kill(ULID, root)
    assert cgroup.wait_empty(ULID, time.monotonic() + 10, root)
    cgroup.remove(ULID, root)
    assert not path.parent.exists()


def start_in(leaf: Path) -> subprocess.Popen[bytes]:
    script = 'echo $$ > "$1"/cgroup.procs && echo in && exec cat'
    process = subprocess.Popen(["sh", "-c", script, "sh", str(leaf)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"in\n"
    return process


@pytest.mark.root
def test_running_is_what_the_kernel_says(root: Path, leaf: Path) -> None:
    assert not cgroup.populated(ULID, root)
    assert cgroup.running(root) == set()
    process = start_in(leaf)
    assert cgroup.populated(ULID, root)
    assert cgroup.running(root) == {ULID}
    with pytest.raises(InfernoError, match="cannot be removed"):
        cgroup.remove(ULID, root)
    assert not cgroup.wait_empty(ULID, time.monotonic() + 0.05, root)
    process.communicate()
    assert cgroup.wait_empty(ULID, time.monotonic() + 10, root)
    assert not cgroup.populated(ULID, root)


@pytest.mark.root
def test_waiting_ends_with_the_last_process_not_with_a_tick(root: Path, leaf: Path) -> None:
    process, hour_s = start_in(leaf), 3600
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(cgroup.wait_empty, ULID, time.monotonic() + hour_s, root)
        [thread] = pool._threads
        eventually(lambda: poll_timeout_ms(thread) is not None)
        assert (poll_timeout_ms(thread) or 0) > hour_s * 1000 / 2, "it does not wake up before there is an event"
        process.communicate()
        assert waits.result(DEADLINE_S)


@pytest.mark.root
def test_kill_ends_everything(root: Path, leaf: Path) -> None:
    processes = [start_in(leaf) for _ in range(3)]
    cgroup.kill(ULID, root)
    assert [process.wait(10) for process in processes] == [-9, -9, -9]
    for process in processes:
        process.communicate()
    assert cgroup.wait_empty(ULID, time.monotonic() + 10, root)


@pytest.mark.root
def test_what_was_never_there_does_not_run_and_is_gone(root: Path) -> None:
    assert not cgroup.populated("01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ", root)
    assert cgroup.wait_empty("01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ", 0, root)
    assert cgroup.memory_events("01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ", root) == {}
    cgroup.kill("01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ", root)
    cgroup.remove("01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ", root)


@pytest.mark.root
def test_a_host_without_the_controllers_is_told_so(root: Path) -> None:
    if set(cgroup.CONTROLLERS) <= set((root / "cgroup.controllers").read_text().split()):
        pytest.skip("this host has them all")
    with pytest.raises(InfernoError, match="controller"):
        cgroup.create(ULID, Limits(1, 128), root)
    assert cgroup.leaves(root) == set()
    cgroup.remove(ULID, root)


@pytest.mark.root
def test_a_leaf_has_its_limits_and_hits_them() -> None:
    if not (UNIFIED / "cgroup.controllers").exists():
        pytest.skip("cgroup v2 with controllers is not mounted here")
    assert cgroup.create(ULID, Limits(1, 64))
    assert not cgroup.create(ULID, Limits(2, 64))
    leaf = UNIFIED / cgroup.SLICE / ULID
    try:
        assert (leaf / "cpu.max").read_text() == "200000 100000\n"
        assert int((leaf / "memory.max").read_text()) == Limits(2, 64).memory_max
        assert (leaf / "memory.oom.group").read_text() == "1\n"
        eater = 'echo $$ > "$1"/cgroup.procs; exec python3 -c "b = bytearray(256 << 20)"'
        assert subprocess.run(["sh", "-c", eater, "sh", str(leaf)], check=False).returncode == -9
        assert cgroup.memory_events(ULID)["oom_kill"] == 1
    finally:
        assert cgroup.wait_empty(ULID, time.monotonic() + 10)
        cgroup.remove(ULID)
    assert not leaf.parent.exists()
