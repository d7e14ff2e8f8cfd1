"""Two runs of the benchmark side by side: which two, and which rows moved by more than both their ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import compare, results
from tests.bench.results import Run
from tests.bench.row import Result


def result(value: float, low: float, high: float, id: str = "list", unit: str = "") -> Result:
    return Result(id, "what", 2, unit, value, (low, value, value, value, high))


def run(*rows: Result, commit: str = "9c17e65abc", **machine: object) -> Run:
    return Run("2026-11-30T10:41:07Z", commit, False, {"cores": 2, "load": 0.5, **machine}, {r.id: r for r in rows})


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (result(1.0, 0.9, 1.1), result(1.3, 1.25, 1.35), "worse"),
        (result(1.3, 1.25, 1.35), result(1.0, 0.9, 1.1), "better"),
        (result(1.0, 0.5, 1.1), result(1.3, 1.25, 1.35), ""),
        (result(1.0, 0.95, 1.05), result(1.3, 0.9, 1.35), ""),
        (result(1.0, 1.0, 1.25), result(1.25, 1.25, 1.25), ""),
        (result(0.6, 0.6, 0.6), result(0.601, 0.601, 0.601), "worse"),
        (result(1.0, 1.0, 1.0), result(2.0, 2.0, 2.0, unit="MiB"), ""),
        (None, result(1.0, 0.9, 1.1), ""),
        (result(1.0, 0.9, 1.1), None, ""),
    ],
    ids=["worse", "better", "within-the-first", "within-the-second", "exactly", "sizes", "units", "new", "gone"],
)
def test_a_row_moved_when_it_did_so_by_more_than_both_ranges(
    before: Result | None, after: Result | None, word: str
) -> None:
    assert compare.moved(before, after) == word


RUNS = [run(commit="aaaa111"), run(commit="bbbb222"), run(commit="aaaa333"), run(commit="")]


@pytest.mark.parametrize(
    ("asked", "found"),
    [([], (2, 3)), (["1", "3"], (0, 2)), (["-4", "-1"], (0, 3)), (["aaaa", "bbbb222"], (2, 1)), (["3", "3"], (2, 2))],
    ids=["last-two", "numbers", "from-the-end", "commits", "same"],
)
def test_runs_are_chosen(asked: list[str], found: tuple[int, int]) -> None:
    assert compare.choose(asked, RUNS) == found


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["1"], "two runs can be compared, not 1"),
        (["1", "5"], "there is no run 5: there are 4"),
        (["0", "1"], "there is no run 0: there are 4"),
        (["cccc", "1"], "there is no run cccc"),
        (["aaa", "1"], "there is no run aaa"),
    ],
    ids=["one", "beyond", "nought", "commit", "too-short"],
)
def test_runs_that_are_not_there_are_refused(asked: list[str], why: str) -> None:
    with pytest.raises(LookupError, match=f"^{why}"):
        compare.choose(asked, RUNS)


@pytest.mark.parametrize(("runs", "why"), [(RUNS[:1], "there is one"), ([], "there is none")], ids=["one", "none"])
def test_two_runs_are_needed(runs: list[Run], why: str) -> None:
    with pytest.raises(LookupError, match=why):
        compare.choose([], runs)


def test_side_by_side_has_every_row_of_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r"
    results.append(run(result(1.0, 0.9, 1.1), result(3, 3, 3, "old", "MiB"), kernel="6.1"), path)
    results.append(run(result(1.5, 1.4, 1.6), result(2, 2, 2, "new"), kernel="6.12", load=9), path)
    assert compare.main(["--results", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A = run 1, 2026-11-30T10:41:07Z, 9c17e65abc, 2 rows, load 0.5"
    assert lines[2:4] == ["not the same kernel: 6.1 and 6.12", ""]
    assert [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[6:]] == [
        ["list", "1 (0.90–1.10)", "1.50 (1.40–1.60)", "1.50", "worse"],
        ["old", "3 MiB (3–3)", "–", "", ""],
        ["new", "–", "2 (2–2)", "", ""],
    ]


def test_numbers_from_the_end_are_words_and_not_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "second", "third"):
        results.append(run(result(1, 1, 1, name)), tmp_path / "r")
    assert compare.main(["-3", "-1", "--results", str(tmp_path / "r")]) == 0
    said = capsys.readouterr().out
    assert ("first" in said, "second" in said, "third" in said) == (True, False, True)


def test_what_is_missing_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--results", str(tmp_path / "r")]) == 2
    assert "there are no results yet" in capsys.readouterr().err
    results.append(run(), tmp_path / "r")
    assert compare.main(["--results", str(tmp_path / "r")]) == 2
    assert "two runs are needed" in capsys.readouterr().err


def test_a_damaged_line_is_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.append(run(), tmp_path / "r")
    with (tmp_path / "r").open("a") as file:
        file.write("{\n")
    assert compare.main(["--list", "--results", str(tmp_path / "r")]) == 0
    said = capsys.readouterr()
    assert said.out == "run 1, 2026-11-30T10:41:07Z, 9c17e65abc, 0 rows, load 0.5\n"
    assert "line 2 of" in said.err
