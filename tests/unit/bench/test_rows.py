"""Rows of the benchmark: choosing them, what they share, one that cannot be measured, the table, the exit status."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import results, row, table
from tests.bench.measure import BenchError, Measured, several
from tests.bench.row import Lab, Result, Row

CHECKOUT = Path(__file__).resolve().parents[3]


def made(id: str, measure: Callable[[Lab], Measured], bar: float = 2) -> Row:
    return Row(id, f"what {id} is", bar, "", statistics.median, measure)


def result(*samples: float, bar: float = 2, unit: str = "") -> Result:
    return Result("id", "what", bar, unit, statistics.median(samples), samples)


def fails(_: Lab) -> Measured:
    raise BenchError("skopeo is not installed")


KNOWN = {
    each.id: each
    for each in (
        made("one", lambda _: several([1.1, 1.0, 1.2, 1.1, 1.1])),
        made("two", fails),
        made("three", lambda _: several([1, 2, 3, 4, 5])),
    )
}


def test_no_words_are_all_rows_and_words_are_those_in_the_order_of_the_table() -> None:
    assert [each.id for each in bench.choose([], KNOWN)] == ["one", "two", "three"]
    assert [each.id for each in bench.choose(["three", "one", "three"], KNOWN)] == ["one", "three"]


def test_an_unknown_row_is_wrong_usage_and_lists_the_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bench.main(["one", "four", "--results", str(tmp_path / "r")], KNOWN) == 2
    assert capsys.readouterr().err == "no such row: four; there are: one, two, three\n"
    assert not (tmp_path / "r").exists()


def test_a_row_that_cannot_be_measured_says_why_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = tmp_path / "bench/results.ndjson"
    assert bench.main(["--results", str(kept)], KNOWN) == 1
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.out.splitlines()[2:4]] == ["one", "three"]
    assert said.out.splitlines()[-1] == "two could not be measured: skopeo is not installed"
    assert "2 of 3, two: what two is\n  two could not be measured: skopeo is not installed\n" in said.err
    [run], damaged = results.read(kept)
    assert (list(run.rows), run.failed, damaged) == (["one", "three"], {"two": "skopeo is not installed"}, [])


def test_all_rows_measured_is_success(tmp_path: Path) -> None:
    assert bench.main(["one", "three", "--results", str(tmp_path / "r")], KNOWN) == 0


def test_results_that_cannot_be_kept_are_printed_all_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bench.main(["one", "--results", str(tmp_path)], KNOWN) == 1
    said = capsys.readouterr()
    assert "| one" in said.out
    assert "the results could not be kept" in said.err


def test_the_end_by_a_signal_keeps_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: Lab) -> Measured:
        raise bench.Ended(2)

    known = {**KNOWN, "two": made("two", interrupted)}
    assert bench.main(["--results", str(tmp_path / "r")], known) == 130
    assert list(results.read(tmp_path / "r")[0][0].rows) == ["one"]
    assert "| one" in capsys.readouterr().out


def test_list_measures_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bench.main(["--list", "--results", str(tmp_path / "r")], KNOWN) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["one", "two", "three"]


def test_what_rows_share_is_made_once_and_goes_after_the_last_of_them(tmp_path: Path) -> None:
    log = []

    class Thing:
        def __enter__(self) -> None:
            log.append("made")

        def __exit__(self, *_: object) -> None:
            log.append("gone")

    def shared(lab: Lab) -> str:
        lab.enter(Thing())
        return "it"

    def measure(lab: Lab) -> Measured:
        log.append(lab.shared(shared))
        return several([1] * 5)

    known = {name: made(name, measure) for name in ("one", "two")}
    bench.main(["--results", str(tmp_path / "r")], known)
    assert log == ["made", "it", "it", "gone"]


def test_what_rows_share_and_cannot_be_made_is_tried_once() -> None:
    tries = []

    def shared(_: Lab) -> None:
        tries.append(1)
        raise OSError("no disk")

    lab = Lab()
    for _ in range(2):
        with pytest.raises(BenchError, match=r"^no disk$"):
            lab.shared(shared)
    assert tries == [1]


@pytest.mark.parametrize(
    ("samples", "wide"),
    [([1.0, 0.9, 1.1, 1.0, 1.0], False), ([1.0, 0.875, 1.125, 1, 1], False), ([1.0, 0.87, 1.125, 1, 1], True)],
    ids=["narrow", "a-quarter", "more"],
)
def test_a_range_over_a_quarter_of_the_value_is_wide(samples: list[float], wide: bool) -> None:
    assert result(*samples).wide is wide
    assert ("wide range" in table.mark(result(*samples))) is wide
    assert ("wide range: " in "\n".join(table.results([result(*samples)]))) is wide


def test_the_table_has_the_value_its_range_how_many_and_the_bar() -> None:
    lines = table.results([result(1.1, 1.0, 1.2, 1.1, 1.1, bar=1), result(3, unit="MiB")])
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert cells[2] == ["id", "what", "1.10", "1–1.20", "5", "1", "over", ""]
    assert cells[3] == ["id", "what", "3 MiB", "", "1", "2 MiB", "over", ""]
    assert len({len(line) for line in lines}) == 1


def test_reasons_are_one_line() -> None:
    assert row.reason(BenchError("a word")) == "a word"
    assert (
        row.reason(ValueError("pytest ended with 1:\nTraceback:\n\n  OSError: no"))
        == "pytest ended with 1: OSError: no"
    )
    assert row.reason(KeyError()) == "KeyError"


def test_the_benchmarks_own_rows_have_ids_that_can_be_typed_and_no_make_target_has_their_name() -> None:
    known = row.rows()
    assert {"noop-create", "list", "base", "pull", "log-way", "boot"} <= set(known)
    assert [name for name in known if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)] == []
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert set(known) & set(targets) == set()
    assert [name for name, each in known.items() if not (each.what and each.bar >= 0)] == []


def test_two_rows_of_one_id_are_refused() -> None:
    row.rows()
    with pytest.raises(ValueError, match="two rows have the id list"):
        row.row("list", "another", bar=1)(fails)
