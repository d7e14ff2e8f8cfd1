"""What the collector takes from a kiln, of this release or another, and that no line speaks for somebody else."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferno.logs.collector import notices
from inferno.logs.collector.lines import Sieve
from inferno.logs.log_record import parse
from inferno.wire.shared import LOG_SOURCES, MAX_LOG_LINE_BYTES

ID, OTHER = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC"
GOLDEN = (Path(__file__).parents[3] / "contract/host_log.ndjson").read_bytes().splitlines(keepends=True)
RECORDS = [json.loads(line) for line in GOLDEN]
ROUNDS = 400


def sifted(lines: bytes, cut: Callable[[int], int] = lambda left: left) -> tuple[list[bytes], int]:
    """The lines that are passed on, when they come in pieces of the lengths that `cut` says; how many are refused."""
    sieve, out = Sieve("web", ID), b""
    while lines:
        at = cut(len(lines))
        piece, lines = lines[:at], lines[at:]
        out += sieve.feed(piece)
    assert sieve.held == 0
    return out.splitlines(keepends=True), sieve.refused.count


def value(chance: random.Random, depth: int = 3) -> Any:
    """Any JSON value, numbers and texts of many forms among them."""
    texts = ["", "x", 'é"\\', "\x1b[2J\0", f'", "vm_id": "{OTHER}", "', "\u2028", "collector"]
    plain = [None, True, False, 0, -1, 1.5e-7, 1e300, 2**70, chance.choice(texts)]
    if depth and chance.random() < 0.4:
        inner = [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        return inner if chance.random() < 0.5 else {f"k{n}": each for n, each in enumerate(inner)}
    return chance.choice(plain)


def written(chance: random.Random, fields: dict[str, Any]) -> bytes:
    """The record in another notation than kiln's: order of fields, spaces, escapes, forms of numbers."""
    items = list(fields.items())
    chance.shuffle(items)
    separators = chance.choice([(",", ":"), (", ", ": "), (" ,  ", " :\t")])
    text = json.dumps(dict(items), ensure_ascii=chance.random() < 0.5, separators=separators)
    if chance.random() < 0.3:
        text = text.replace("1e+300", "10.0E+299").replace("vm_id", "vm_\\u0069d", 1)
    return text.encode() + b"\n"


def test_this_releases_lines_are_passed_on_in_their_own_bytes() -> None:
    lines, refused = sifted(b"".join(GOLDEN))
    assert refused == 0
    assert lines == [line.replace(b'"vm_id"', b'"vm_name": "web", "vm_id"') for line in GOLDEN]


@pytest.mark.parametrize("seed", range(4))
def test_records_with_other_fields_are_passed_on_whole(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS // 4):
        sent = [
            {**chance.choice(RECORDS), **{f"field{n}": value(chance) for n in range(chance.randrange(4))}}
            for _ in range(chance.randrange(1, 6))
        ]
        lines = b"".join(chance.choice(GOLDEN) if chance.random() < 0.2 else written(chance, each) for each in sent)
        expected = [{**json.loads(line), "vm_name": "web"} for line in lines.splitlines()]
        out, refused = sifted(lines, lambda left: chance.randrange(1, left + 1))
        assert [json.loads(line) for line in out] == expected
        assert refused == 0


def check_own(line: bytes) -> None:
    """A line of a log that this VM, and nobody else, said: for each reader, by whatever it goes."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), line
        return dict(pairs)

    found = json.loads(line, object_pairs_hook=once)
    assert (found["vm_name"], found["vm_id"]) == ("web", ID)
    assert found["source"] in LOG_SOURCES
    assert not notices.is_own(line)
    read = parse(line[:-1])
    assert (read.vm_name, read.vm_id, read.source) == ("web", ID, found["source"])
    assert len(line) <= MAX_LOG_LINE_BYTES and b"\n" not in line[:-1]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_sent_nothing_is_said_for_anybody_else(seed: int) -> None:
    """Each refused line is counted, each other one is this VM's own. Bytes are changed at random places, and pieces of
    what a forger would write are put there."""
    chance = random.Random(seed)
    pieces = [
        f'"vm_id": "{OTHER}", '.encode(),
        b'"vm_name": "db", ',
        b'"source": "collector", ',
        b'"vm_n\\u0061me": "db",',
    ]
    pieces += [
        b"\n",
        b"}\n{",
        b'"',
        b"\\",
        b'\\"',
        b"\\ud800",
        b"\xff",
        b"NaN",
        b"1e999",
        b"[" * 2000,
        b"\0",
        b"\r",
        b"{}",
    ]
    passed = 0
    for _ in range(ROUNDS):
        record = {**chance.choice(RECORDS), "new": value(chance)}
        line = bytearray(chance.choice(GOLDEN) if chance.random() < 0.5 else written(chance, record))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(line))
            line[at : at + chance.choice([0, 0, 1, 8])] = chance.choice([*pieces, bytes([chance.randrange(256)])])
        whole = bytes(line) + b"\n"
        out, refused = sifted(whole + GOLDEN[0], lambda left: chance.randrange(1, left + 1))
        assert len(out) + refused == whole.count(b"\n") + 1
        assert out, "the line that follows is a good one, whatever was before it"
        for each in out:
            check_own(each)
        passed += len(out) - 1
    assert passed > ROUNDS // 10, "or this tries nothing"


RECORD = RECORDS[0]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**RECORD, "vm_id": OTHER, "new": 1}),
        json.dumps({**RECORD, "vm_name": "web", "new": 1}),
        json.dumps({**RECORD, "source": "collector", "new": 1}),
        json.dumps({**RECORD, "source": ["stdout"], "new": 1}),
        json.dumps({**RECORD, "level": "fatal", "new": 1}),
        json.dumps({**RECORD, "timestamp": RECORD["timestamp"].replace("2", "٢"), "new": 1}),
        json.dumps({**RECORD, "timestamp": "2026-11-24T14:17:02Z", "new": 1}),
        json.dumps({**RECORD, "message": None, "new": 1}),
        json.dumps({**RECORD, "message_b64": "eA==", "new": 1}),
        json.dumps({key: each for key, each in RECORD.items() if key != "message"} | {"message_b64": "?", "new": 1}),
        json.dumps({key: each for key, each in RECORD.items() if key != "message"} | {"new": 1}),
        json.dumps({**RECORD, "partial": 1, "new": 1}),
        json.dumps({**RECORD, "dropped": 0, "new": 1}),
        json.dumps({**RECORD, "dropped": True, "new": 1}),
        json.dumps({**RECORD, "dropped": 2**64, "new": 1}),
        json.dumps({**RECORD, "new": "\ud800"}),
        json.dumps({**RECORD, "new": float("nan")}),
        json.dumps({**RECORD, "new": 0}).replace("0}", "1e999}"),
        json.dumps({**RECORD, "new": [1e15] * 16_000}).replace("1000000000000000.0", "1e15"),
        json.dumps(RECORD)[:-1] + ', "new": 1, "new": 2}',
        json.dumps(RECORD)[:-1] + f', "vm_id": "{ID}"}}',
        json.dumps(RECORD)[:-1] + ', "new": ' + "[" * 50_000 + "]" * 50_000 + "}",
    ],
)
def test_what_a_record_of_no_release_says_is_refused(line: str) -> None:
    assert sifted(line.encode() + b"\n") == ([], 1)


def test_what_is_sent_again_is_the_same_again() -> None:
    """Duplicates are known by their bytes."""
    line = written(random.Random(1), {**RECORD, "new": {"deep": [1.5, "é"]}})
    (one,), (two,) = sifted(line)[0], sifted(line)[0]
    assert one == two
    assert re.match(rb'\{"timestamp": "[^"]+", "level": "info", "source": "stdout", "vm_name": "web", "vm_id": ', one)
