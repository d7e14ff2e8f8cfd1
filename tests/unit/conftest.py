"""What unit tests share beyond one file."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.logs import collector_client
from inferno.sandbox import cgroup
from tests.loghost import DEADLINE_S, LogHost


@pytest.fixture(autouse=True)
def patience_with_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync gives up after some seconds without a word, and a test would then find less in the log."""
    monkeypatch.setattr(collector_client, "_PATIENCE_S", DEADLINE_S)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    """The host of tests about logs; a file about something else has another."""
    host = LogHost(tmp_path)
    yield host
    host.close()


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """cgroup v2, wherever this host has it: a part that is this test's own, for the kernel has but one hierarchy."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "cgroup2", "cgroup2", folder], check=False).returncode != 0:
        pytest.skip("cgroup v2 cannot be mounted here")
    own = folder / f"inferno-test-{secrets.token_hex(4)}"
    own.mkdir()
    monkeypatch.setattr(cgroup, "_MOUNT", own)
    yield own
    own.rmdir()
    subprocess.run(["umount", "--lazy", folder], check=True)
