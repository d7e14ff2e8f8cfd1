"""A start that was killed between launching the jailer and the jailer's step into the cgroup: the next one ends it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.life.instance import Instance
from inferno.life.reconcile import reconcile
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.state.paths import Paths
from inferno.state.slot import Slot
from tests import images

pytestmark = pytest.mark.root
ULID, OTHER = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC"


@pytest.fixture
def vm(tmp_path: Path) -> Instance:
    """A VM that was launched; its jailer is busybox, which waits for its standard input to end."""
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root")})
    vm = Instance(settings, "web1", Slot(0), ULID)
    version = Paths(settings.root).version(ULID)
    version.jail.mkdir(parents=True)
    version.file("jailer").write_bytes(images.busybox_program())
    version.file("jailer").chmod(0o555)
    vm.mark(version)
    return vm


@pytest.fixture
def launched(vm: Instance) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Jailers by the ids they were given, and one program that is not a jailer."""
    jailer = vm.paths.version(ULID).file("jailer")
    words = ["sh", "-c", "read word", "jailer", "--id"]
    found = {
        ULID: subprocess.Popen([*words, ULID], executable=jailer, stdin=subprocess.PIPE),
        OTHER: subprocess.Popen([*words, OTHER], executable=jailer, stdin=subprocess.PIPE),
        "none": subprocess.Popen([*words, ULID], stdin=subprocess.PIPE),
    }
    yield found
    for process in found.values():
        process.communicate()


def test_the_jailer_that_nobody_waits_for_is_ended_and_no_other(
    vm: Instance, launched: dict[str, subprocess.Popen[bytes]]
) -> None:
    assert not cgroup.populated(ULID)
    assert not reconcile(vm, "start", network=False)
    assert launched[ULID].wait(10) == -9
    assert launched[OTHER].poll() is None
    assert launched["none"].poll() is None
    assert not vm.paths.version(ULID).jail.exists()
    assert vm.started() is None


def test_after_a_run_nobody_is_looked_for(vm: Instance, launched: dict[str, subprocess.Popen[bytes]]) -> None:
    version = vm.paths.version(ULID)
    subprocess.run(["chown", "800000", version.jail], check=True)  # as the jailer does, from within the cgroup
    assert not reconcile(vm, "start", network=False)
    assert launched[ULID].poll() is None
