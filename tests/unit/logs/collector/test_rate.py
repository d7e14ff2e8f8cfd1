"""How many lines a VM may log: bursts pass whole, a flood is dropped and counted, no other VM loses a line by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.logs import collector_client
from inferno.logs.collector.rate import BURST_S, Rate
from tests.loghost import DEADLINE_S, LogHost, line, messages

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(count: int, source: str = "stdout", text: str = "x") -> bytes:
    return line(ULID, text, source) * count


def test_a_burst_passes_whole_and_what_is_over_is_counted() -> None:
    clock = Clock()
    rate = Rate(10, clock)
    assert rate.pass_on(lines(10 * BURST_S)) == lines(10 * BURST_S)
    assert rate.pass_on(lines(7)) == b""
    assert (rate.take_dropped(), rate.take_dropped()) == (7, 0)
    clock.now += 0.5
    assert rate.pass_on(lines(7)) == lines(5)
    assert rate.take_dropped() == 2


def test_over_a_long_time_no_more_passes_than_flows_in() -> None:
    clock = Clock()
    rate = Rate(100, clock)
    passed = 0
    for _ in range(1000):
        clock.now += 0.125
        passed += rate.pass_on(lines(50)).count(b"\n")
    flowed = 100 * BURST_S + 100 * 125
    assert flowed - 20 < passed <= flowed  # what flowed in at first found the bucket full
    assert rate.take_dropped() == 50_000 - passed


def test_long_lines_count_for_their_length() -> None:
    rate = Rate(11, Clock())
    long = lines(1, text="x" * 100_000)
    assert rate.pass_on(long * 4) == long * 3, "98 KiB each"
    assert rate.dropped == 1
    tiny = Rate(1, Clock())
    assert tiny.pass_on(long) == long, "one that is larger than all that may be kept passes alone"
    assert tiny.pass_on(lines(1)) == b""


@pytest.mark.parametrize("source", ["init", "kiln", "firecracker"])
def test_what_says_how_a_vm_ended_passes_behind_a_flood(source: str) -> None:
    rate = Rate(10, Clock())
    rate.pass_on(lines(1000))
    passed = rate.pass_on(lines(50, "stderr") + lines(5, source) + lines(50, "kernel"))
    assert passed == lines(5, source)
    assert rate.pass_on(lines(1000, source)).count(b"\n") == 10 * BURST_S // 10 - 5, "but not without end"


def test_without_a_limit_all_pass() -> None:
    rate = Rate(0, Clock())
    assert rate.pass_on(lines(10_000)) == lines(10_000)
    assert rate.take_dropped() == 0


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[LogHost]:
    """A host where a VM may log a line a second, and 30 at once."""
    host = LogHost(tmp_path, INFERNO_LOG_MAX_RATE="1")
    yield host
    host.close()


def dropped(path: Path) -> int:
    """How many lines a log says are missing in it."""
    records = [json.loads(text) for text in path.read_bytes().splitlines()]
    return sum(record["dropped"] for record in records if record["source"] == "collector")


def printed(path: Path) -> list[str]:
    found = [json.loads(text) for text in path.read_bytes().splitlines()]
    return [record["message"] for record in found if record["source"] == "stdout"]


@pytest.mark.root
def test_a_flood_is_bounded_and_told_and_another_vm_loses_nothing(strict: LogHost) -> None:
    flood, web = strict.vm("flood"), strict.vm("web")
    count = 50_000
    with flood.peer() as peer, web.peer() as neighbour:
        for number in range(BURST_S):
            web.tell(neighbour, web.line(f"line {number}"))
            flood.tell(peer, *[flood.line(f"{number}")] * (count // BURST_S))
        neighbour.communicate(timeout=DEADLINE_S)
        peer.communicate(flood.line("the end", "init"), timeout=DEADLINE_S)
    collector_client.sync(strict.settings)
    sent = count // BURST_S * BURST_S
    kept = len(printed(flood.log))
    assert BURST_S <= kept < sent // 100
    assert kept + dropped(flood.log) == sent
    assert "the end" in messages(flood.log)
    assert printed(web.log) == [f"line {number}" for number in range(BURST_S)]
    assert dropped(web.log) == 0
    assert flood.log.stat().st_size < count * 10
    assert len(strict.paths.combined_log.read_bytes().splitlines()) < sent // 10


@pytest.mark.root
def test_a_vm_that_connects_anew_begins_with_what_it_had_left(strict: LogHost) -> None:
    flood = strict.vm("flood")
    for number in range(5):
        flood.say(*[flood.line(f"{number}")] * 1000)
    kept = len(printed(flood.log))
    assert kept + dropped(flood.log) == 5000
    assert kept < 3 * BURST_S, "of five connections one alone found all that may come at once"
