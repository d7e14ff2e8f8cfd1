"""VMs that were really created come back after their database is lost, and a create of them changes nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferno.life import status
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.state import rebuild, vm_record
from inferno.state.database import State
from inferno.state.paths import Paths
from tests import images

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent


def test_a_lost_database_is_rebuilt_from_the_vms_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    layout = f"oci:{images.busybox(tmp_path / 'layout')}"

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "INFERNO_ROOT": str(root)}
        done = subprocess.run(
            [BIN / "infernoctl", *words],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr
        return done

    def rows() -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(root / "inferno.db")) as db:
            columns = "name, slot, spec, env, version, created_at"
            return db.execute(f"select {columns} from machines order by name").fetchall()

    typed("create", "web1", "web2", "web3", "--image", layout, "--env", "TOKEN=s3cret", "--memory", "192")
    typed("destroy", "web2", "--yes")
    before = rows()
    assert len(before) == 2
    for path in root.glob("inferno.db*"):
        path.unlink()
    assert typed("list", "--json").stdout == "[]\n"
    done = typed("db", "rebuild")
    assert done.stdout == "web1 is back\nweb3 is back\n"
    assert "s3cret" not in done.stdout + done.stderr
    assert rows() == before
    versions = sorted(os.listdir(root / "vms/kiln"))
    said = typed("create", "web1", "web3").stderr
    assert "version 01" not in said, "nothing was made"
    assert sorted(os.listdir(root / "vms/kiln")) == versions
    assert "lacks nothing" in typed("db", "rebuild").stderr


def test_a_vm_that_runs_is_found_again(hierarchy: Path, tmp_path: Path) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root")})
    paths = Paths(settings.root)
    with contextlib.closing(State(settings.db_path)) as state:
        for name in ("web1", "web2"):
            state.reserve(name)
            state.save(name, {"image": "x"}, f"01JD8ZK3V5N9Q2R7T4W6X8Y12{name[-1]}")
            row = state.vm(name)
            assert row is not None
            vm_record.write(paths, row)
    leaf = hierarchy / cgroup.SLICE / str(row.version)
    leaf.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as process:
        cgroup.add(leaf.name, process.pid)
        for path in settings.root.glob("inferno.db*"):
            path.unlink()
        assert status.list_all(settings) == []
        rebuild.rebuild(paths, settings.db_path)
        assert {vm.name: (vm.state, vm.ip) for vm in status.list_all(settings)} == {
            "web1": ("created", "172.16.0.2"),
            "web2": ("running", "172.16.0.6"),
        }
        cgroup.kill(leaf.name)
    assert cgroup.wait_empty(leaf.name, time.monotonic() + 10)
    cgroup.remove(leaf.name)
