"""Programs that mean harm, in C: compiled on this machine, where a compiler is, for guests and jails."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compiled(folder: Path, name: str) -> Path:
    """The program, static and small, in `folder`."""
    source, target = Path(__file__).with_name(f"{name}.c"), folder / name
    subprocess.run(["gcc", "-static", "-Os", "-s", "-pthread", "-o", target, source], check=True, capture_output=True)
    return target
