"""The artifacts as tasks: listed, explained, and left alone while nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
NAMES = ("kiln", "init", "vmm", "kernel")
TARGETS = ("kiln", "init", "firecracker", "jailer", "vmlinux")


def doit(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "INFERNO_ROOT": str(root)}
    argv = [Path(sys.executable).with_name("doit"), *words]
    return subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_nothing_is_built_when_nothing_changed(tmp_path: Path) -> None:
    """Also for a host that never built them: what they were made from is noted beside them, not in its database."""
    doit(tmp_path / "one", "artifacts")
    before = [(CHECKOUT / "artifacts" / name).stat().st_mtime_ns for name in TARGETS]
    said = doit(tmp_path / "two", "artifacts").stderr
    steps = [
        line for line in said.splitlines() if not line.startswith("warning: Firecracker")
    ]  # where it is an old one
    assert sorted(filter(None, steps)) == sorted(f"-- {name}" for name in NAMES)
    assert [(CHECKOUT / "artifacts" / name).stat().st_mtime_ns for name in TARGETS] == before


def test_each_is_listed_and_explained(tmp_path: Path) -> None:
    listed = doit(tmp_path, "list").stdout.splitlines()
    for name in (*NAMES, "artifacts"):
        assert any(line.split()[0] == name and len(line.split()) > 2 for line in listed), name
