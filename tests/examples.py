"""Programs only for tests: kiln and init with time limits of the test's choice (kiln/examples, guest/examples)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT


def example(package: str, name: str) -> Path:
    """One of them, built when it is not."""
    cargo = shutil.which("cargo", path=f"{os.environ['PATH']}:{Path.home()}/.cargo/bin")
    if cargo is None:
        pytest.skip("needs cargo")
    words = ["build", "--quiet", "--locked", "--package", package, "--example", name]
    subprocess.run([cargo, *words, "--manifest-path", CHECKOUT / "Cargo.toml"], check=True, cwd=CHECKOUT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))
    return target / f"x86_64-unknown-linux-gnu/debug/examples/{name}"
