"""What `make bench ROW...` and `make bench-compare` hand over: make takes the words after `bench` for targets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BENCH = ".venv/bin/python -m tests.bench"


def would_run(checkout: Path, *words: str) -> list[str]:
    """The words of the commands that make would run, without the set-up and what does nothing."""
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words],
        cwd=checkout,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    return [line for line in lines if line not in ("tools/setup", ":")]


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["bench"], BENCH),
        (["bench", "noop-create", "list"], f"{BENCH} noop-create list"),
        (["bench", "docs"], f"{BENCH} docs"),  # a folder that is there: make would find it up to date
        (["bench", "ROWS=noop-create list"], f"{BENCH} noop-create list"),
        (["bench-compare"], f"{BENCH}.compare"),
        (["bench-compare", "RUNS=-3 -1"], f"{BENCH}.compare -3 -1"),
    ],
    ids=["all", "rows", "a-folder", "variable", "compare", "runs"],
)
def test_words_are_rows(checkout: Path, words: list[str], command: str) -> None:
    assert would_run(checkout, *words) == [command]
