"""The ledger of time: what it adds up, and that it stands just before pytest's closing line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rig import boots
from tests import ledger
from tests.ledger import Ledger, Noted

SUITE = {
    "rig/test_long.py": """
        import time, pytest
        from rig import boots
        @pytest.fixture(scope="module")
        def rig():
            boots.note("restored", time.time() - 2)
        def test_first(rig): pass
        def test_second(rig): assert False

    """,
    "unit/test_short.py": "def test_it(): pass",
}


def test_steps_rigs_files_and_tests_are_added_up() -> None:
    kept = Ledger(began=1060.0)
    kept.noted = [
        Noted("step", 1000, 1002.5, ".venv/bin/ruff check --quiet ."),
        Noted("step", 1003, 1050, "tools/build --rig"),
        Noted("rig", 1061, 1063, "restored", "tests/rig/test_a.py"),
        Noted("rig", 1070, 1080, "booted", "tests/rig/test_a.py"),
        Noted("rig", 1070, 1073.5, "restored", "tests/rig/test_b.py"),
    ]
    for test, setup, call in [
        ("tests/rig/test_a.py::test_1", 40.0, 2.0),
        ("tests/rig/test_a.py::test_2", 0.5, 7.0),
        ("tests/rig/test_b.py::test_1", 1.0, 0.5),
        ("tests/unit/test_c.py::test_1", 0.0, 1.25),
    ]:
        kept.tests[test]["setup"] += setup
        kept.tests[test]["call"] += call
    assert list(kept.lines(now=1200.0)) == [
        "total 3 min 20 s; seconds of each step: ruff check 2.5, build 47.0, pytest 140.0",
        "rigs: 1 booted, 2 restored, in 15.5 s",
        "test files, by the seconds of their tests:",
        "    49.5 s  tests/rig/test_a.py (rigs: 2)",
        "     1.5 s  tests/rig/test_b.py (rigs: 1)",
        "         1 below 3 s: c 1.2",
        "slowest tests, their setup included:",
        "    42.0 s  tests/rig/test_a.py::test_1 (setup 40.0)",
        "     7.5 s  tests/rig/test_a.py::test_2 (setup 0.5)",
        "     1.5 s  tests/rig/test_b.py::test_1 (setup 1.0)",
        "     1.2 s  tests/unit/test_c.py::test_1 (setup 0.0)",
    ]


def test_only_the_ten_slowest_are_named() -> None:
    kept = Ledger()
    for number in range(30):
        kept.tests[f"test_x.py::test_{number}"]["call"] = number
    named = [line for line in kept.lines(kept.began) if "::" in line]
    assert len(named) == 10
    assert named[0].endswith("test_29 (setup 0.0)")
    assert named[-1].endswith("test_20 (setup 0.0)")


def test_a_step_is_noted_by_the_scripts_as_it_is_read_here(tmp_path: Path, checkout: Path) -> None:
    script = f'. "{checkout}/tools/steps.sh"; step printf %s. one; timed "a name" true; timed fails false'
    done = subprocess.run(
        ["sh", "-euc", script], env={**os.environ, boots.LEDGER: f"{tmp_path}/file"}, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    found = ledger.read(tmp_path / "file")
    assert [(each.kind, each.what) for each in found] == [("step", "printf %s. one"), ("step", "a name")]
    assert 0 <= found[0].began <= found[0].ended <= found[1].began <= found[1].ended


def test_a_failed_step_is_a_failure_also_where_it_is_looked_at(checkout: Path) -> None:
    script = f'. "{checkout}/tools/steps.sh"; timed fails false || exit 7'
    assert subprocess.run(["sh", "-euc", script], check=False).returncode == 7


def test_a_line_that_nobody_writes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("boot\t1\t2\tx\n")
    with pytest.raises(ValueError, match="neither a step nor a rig"):
        ledger.read(tmp_path / "file")


def test_without_a_ledger_nothing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(boots.LEDGER, raising=False)
    monkeypatch.chdir(tmp_path)
    boots.note("booted", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("processes", ["0", "2"])
def test_it_stands_before_the_closing_line(tmp_path: Path, checkout: Path, processes: str) -> None:
    """One process or several: each test once, and the rig that a test's process began."""
    for name, text in SUITE.items():
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text(re.sub(r"^ {8}", "", text, flags=re.MULTILINE))
    (tmp_path / "before").write_text("step\t1000.5\t1002.5\tcargo test --quiet\n")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rf",
        "-p",
        "tests.ledger",
        "--ledger",
        "before",
        "-n",
        processes,
        "--dist",
        "loadfile",
    ]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*argv, "--rootdir", tmp_path, "-c", os.devnull, "rig", "unit"],
        cwd=tmp_path, env={**env, "PYTHONPATH": str(checkout)}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    *_, failed, title, total, rigs, head, long, short, slow_head, slowest, _, _, closing = done.stdout.splitlines()
    assert failed.startswith("FAILED ")
    assert re.fullmatch(r"=+ the ledger of time =+", title)
    assert re.search(r"; seconds of each step: cargo test 2\.0, pytest \d+\.\d$", total)
    assert re.fullmatch(r"rigs: 1 restored, in 2\.\d s", rigs)
    assert (head, slow_head) == (
        "test files, by the seconds of their tests:", "slowest tests, their setup included:"
    )  # fmt: skip
    assert re.fullmatch(r" +\d\.\d s  rig/test_long\.py \(rigs: 1\)", long)
    assert re.fullmatch(r" +1 below 3 s: short 0\.\d", short)
    assert re.fullmatch(r" +\d\.\d s  \w+/test_\w+\.py::test_\w+ \(setup \d\.\d\)", slowest)
    assert closing.startswith("1 failed, 2 passed in ")
