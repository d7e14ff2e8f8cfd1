"""kiln and init as the release before made them, for tests of a host that was updated while VMs of that ran.

No programs are kept in the repository: they are built from its history, by the commit named here, and cached by it. It
is the last commit of that release; with the next release it becomes the last one of this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inferno.artifact import cargo
from rig.cache import CHECKOUT, cached, digest

COMMIT = "29a5515c377e1e28be176fe852228a7be9a55982"
_PARTS = ("Cargo.toml", "Cargo.lock", ".cargo", "kiln", "guest", "tests/contract")
_EXAMPLES = (("kiln", "timed"), ("init", "supervise"))


def examples() -> Path:
    """The folder with `timed` and `supervise` (tests.examples), and that release's golden files in `contract`."""
    return cached("previous", digest(COMMIT), "kiln and init of the release before, for tests", _build_examples)


def programs() -> Path:
    """The folder with kiln and init as VMs have them."""
    return cached("previous-programs", digest(COMMIT), "kiln and init of the release before", _build_programs)


def _build_examples(folder: Path) -> None:
    source, target = _extract(folder), folder / "target"
    words: list[str | Path] = ["cargo", "build", "--quiet", "--locked", "--offline", "--target-dir", target]
    words += [word for package, name in _EXAMPLES for word in ("--package", package, "--example", name)]
    path = f"{os.environ['PATH']}:{Path.home()}/.cargo/bin"
    subprocess.run(words, cwd=source, check=True, env={**os.environ, "PATH": path})
    for _, name in _EXAMPLES:
        shutil.copy(target / cargo.TARGET / "debug/examples" / name, folder)
    (source / "tests/contract").rename(folder / "contract")
    for done in (source, target):
        shutil.rmtree(done)


def _build_programs(folder: Path) -> None:
    source = _extract(folder)
    for crate, name in cargo.BINARIES.items():
        cargo.build(crate, folder / name, source)
    shutil.rmtree(source)


def _extract(folder: Path) -> Path:
    """Put the sources into a folder in this one, or skip the test where the history does not have them."""
    source = folder / "source"
    source.mkdir()
    words = ["git", "archive", "--output", source / "all.tar", COMMIT, *_PARTS]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, check=False, text=True)
    if done.returncode:
        said = done.stderr.strip().replace("\n", " ")
        pytest.skip(f"the release before cannot be built here, commit {COMMIT[:12]} (git fetch --unshallow?): {said}")
    subprocess.run(["tar", "-xf", "all.tar"], cwd=source, check=True)
    return source
