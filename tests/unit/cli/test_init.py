"""`infernoctl init`: a data folder, a database and a log collector that can run; twice is the same as once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferno.cli.main import main
from inferno.state.database import State
from inferno.state.paths import Paths

pytestmark = pytest.mark.root


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))
    return Paths(tmp_path / "root")


def test_it_makes_what_a_host_needs_and_keeps_what_there_is(paths: Paths, capfd: pytest.CaptureFixture[str]) -> None:
    for known in (0, 1):
        assert main(["init"]) == 0
        out, err = capfd.readouterr()
        assert f"data folder: {paths.root}\n" in out and f"inferno.db, VMs: {known}\n" in out and err == ""
        assert "log collector: can be started" in out
        assert {path.name for path in paths.root.iterdir()} >= {"inferno.db", "images", "logs", "vms", "run"}
        assert paths.collector.stat().st_mode & 0o777 == 0o700
        if not known:
            with_vm = State(paths.root / "inferno.db")
            with_vm.reserve("web1")
            with_vm.save("web1", {"image": "oci:x"}, "01JD8ZK3V5N9Q2R7T4W6X8Y0AB")
            with_vm.close()


def test_it_builds_nothing(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no cargo, no mkfs
    assert main(["init"]) == 0


def test_a_folder_that_cannot_be_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", "/proc/inferno")
    assert main(["init"]) == 2
    assert "hint: INFERNO_ROOT says where" in capfd.readouterr().err
    assert not os.path.exists("/proc/inferno")
