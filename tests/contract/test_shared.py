"""What Python shares with kiln and init: tests/contract/shared.json, to which each program's own tests hold it too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inferno.life import stop
from inferno.wire import shared

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = json.loads(Path(__file__).with_name("shared.json").read_text())
KILN, INIT = SHARED["kiln_waits_s"], SHARED["init_waits_s"]
# How each program's test asks for a value; a key that fewer than two hold themselves to is not shared.
TESTS = {"kiln": CHECKOUT / "kiln/src/contract.rs", "init": CHECKOUT / "guest/src/contract.rs"}
PYTHON = {name.lower(): value for name, value in vars(shared).items() if name.isupper()}


def asked_by(program: str) -> set[str]:
    return set(re.findall(r'"([a-z_]+)"', TESTS[program].read_text())) & set(SHARED)


@pytest.mark.parametrize("name", sorted(PYTHON.keys() & SHARED.keys()))
def test_pythons_constants_are_the_shared_ones(name: str) -> None:
    value = PYTHON[name]
    assert (list(value) if isinstance(value, tuple) else value) == SHARED[name]


def test_every_shared_value_is_held_by_two_programs() -> None:
    waits = {"kiln_waits_s", "init_waits_s"}  # the tests below are Python's side of these
    programs = [asked_by("kiln"), asked_by("init"), set(PYTHON) | waits]
    alone = {name for name in SHARED if sum(name in program for program in programs) < 2}
    assert alone == set()


def test_stop_outwaits_the_guest_and_kiln() -> None:
    assert INIT["rest"] + INIT["drain"] + KILN["guest_end"] < stop.GUEST_END_S
    assert KILN["last_lines"] < stop.KILN_END_S


def test_init_waits_for_kilns_late_answer() -> None:
    assert KILN["log_end"] < INIT["report"]


def test_lines_are_dropped_before_the_report_is_believed_without_them() -> None:
    assert KILN["flow_control"] < KILN["log_end"]
