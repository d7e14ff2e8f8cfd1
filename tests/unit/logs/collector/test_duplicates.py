"""Lines that are sent again: told from new ones by the log itself, whatever is between them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferno.logs.collector import notices
from inferno.logs.collector.duplicates import Again
from tests.loghost import line

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"


def lines(*numbers: int) -> bytes:
    return b"".join(line(ULID, f"line {number}") for number in numbers)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.write_bytes(lines(*range(10)))
    return path


@pytest.mark.parametrize(
    ("sent", "new"),
    [
        ((), ()),
        ((10, 11), (10, 11)),
        ((8, 9, 10), (10,)),
        ((9,), ()),
        (tuple(range(12)), (10, 11)),
        ((8, 10), (10,)),
        ((3, 3), (3,)),
        ((10, 9), (10, 9)),
    ],
)
def test_what_the_log_has_is_left_out(log: Path, sent: tuple[int, ...], new: tuple[int, ...]) -> None:
    assert Again(log).without(lines(*sent)) == lines(*new)


def test_it_may_come_in_pieces_and_ends_where_something_new_begins(log: Path) -> None:
    again = Again(log)
    assert [again.without(lines(*part)) for part in ((7,), (8,), (9, 10), (9,))] == [
        b"",
        b"",
        lines(10),
        lines(9),
    ]


def test_what_the_collector_said_between_is_no_line_of_the_vms(log: Path) -> None:
    with log.open("ab") as file:
        file.write(notices.refused("web", ULID, 3, b"{") + lines(10))
    assert Again(log).without(lines(9, 10, 11)) == lines(11)


def test_a_rotation_between_does_not_matter(log: Path) -> None:
    log.rename(log.with_name("web.log.0"))
    assert Again(log).without(lines(8, 9, 10)) == lines(10)
    log.write_bytes(lines(10))
    assert Again(log).without(lines(8, 9, 10, 11)) == lines(11)


def test_only_the_end_of_a_large_log_is_looked_at(log: Path) -> None:
    log.write_bytes(lines(*range(20_000)))
    assert Again(log).without(lines(1)) == lines(1)
    assert Again(log).without(lines(19_999, 20_000)) == lines(20_000)
