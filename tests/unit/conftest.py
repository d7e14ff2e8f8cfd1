"""What unit tests share beyond one file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno import cgroup
from tests.loghost import LogHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    """The host of tests about logs; a file about something else has another."""
    host = LogHost(tmp_path)
    yield host
    host.close()


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """cgroup v2, wherever this host has it."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "cgroup2", "cgroup2", folder], check=False).returncode != 0:
        pytest.skip("cgroup v2 cannot be mounted here")
    monkeypatch.setattr(cgroup, "_MOUNT", folder)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
