"""The beginning of a connection to the log collector, as the golden file has it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from inferno.logs.collector import handshake

GOLDEN = json.loads(Path(__file__).with_name("log_protocol.json").read_text())


def test_the_golden_hello_is_answered_as_golden() -> None:
    for hello, answer in (("hello", "answer"), ("hello_before", "answer_before")):
        found = handshake.Hello()
        assert found.feed(GOLDEN[hello].encode() + b"lines\n") == b"lines\n"
        assert (found.over, found.answer.hex(), found.stranger) == (True, GOLDEN[answer], None)
    assert struct.pack("<I", 300).hex() == GOLDEN["acknowledgement_of_300"]


@pytest.mark.parametrize("said", [b'{"protocol": "inferno-log/3"}\n', b'{"protocol": "' + b"x" * 200])
def test_another_version_is_refused(said: bytes) -> None:
    found = handshake.Hello()
    assert found.feed(said) == b""
    assert (found.over, found.answer.hex()) == (True, GOLDEN["answer_to_another"])
    assert found.stranger is not None
    assert len(found.stranger) <= 128


def test_it_may_come_in_pieces() -> None:
    found = handshake.Hello()
    for byte in GOLDEN["hello"].encode():
        assert not found.over
        assert found.feed(bytes([byte])) == b""
    assert (found.over, found.answer.hex()) == (True, GOLDEN["answer"])


def test_lines_without_one_are_taken() -> None:
    found = handshake.Hello()
    assert found.feed(b'{"') == b""
    assert found.feed(b'timestamp": 1}\n') == b'{"timestamp": 1}\n'
    assert (found.over, found.answer, found.stranger) == (True, b"", None)
