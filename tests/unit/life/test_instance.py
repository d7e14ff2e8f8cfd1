"""Which version of a VM runs, whatever was deleted by hand: the kernel's cgroups say so, and links lead there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.life.instance import Instance
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.state.paths import Paths
from inferno.state.slot import Slot

pytestmark = pytest.mark.root
OLD, NEW = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC"


@pytest.fixture
def old_runs(hierarchy: Path) -> Iterator[None]:
    """A process in the leaf of the version OLD."""
    leaf = hierarchy / cgroup.SLICE / OLD
    leaf.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as process:
        cgroup.add(OLD, process.pid)
        yield
        cgroup.kill(OLD)
    assert cgroup.wait_empty(OLD, time.monotonic() + 10)
    cgroup.remove(OLD)


def note(paths: Paths, ulid: str) -> None:
    """What create leaves of a version, as far as it is looked for."""
    paths.owned("web1").mkdir(parents=True, exist_ok=True)
    os.symlink(f"../../vms/kiln/{ulid}", paths.owned("web1") / ulid)
    paths.vm("web1").mkdir(parents=True, exist_ok=True)
    paths.current("web1").unlink(missing_ok=True)
    paths.current("web1").symlink_to(f"../kiln/{ulid}")


@pytest.mark.usefixtures("old_runs")
@pytest.mark.parametrize("victim", ["vms", "vms/web1", "vms/web1/started"])
def test_what_runs_is_found_though_its_links_were_deleted_and_a_create_made_new_ones(
    tmp_path: Path, victim: str
) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root")})
    paths = Paths(settings.root)
    note(paths, OLD)
    vm = Instance(settings, "web1", Slot(0), OLD)
    vm.mark(paths.version(OLD))
    path = settings.root / victim
    shutil.rmtree(path) if victim != "vms/web1/started" else path.unlink()
    assert vm.running() == paths.version(OLD)
    note(paths, NEW)
    created = Instance(settings, "web1", Slot(0), NEW)
    assert created.running() == paths.version(OLD)
