"""Bytes by chance for each parser of the host's: a few hundred here, as many as one likes by `make soak parsers`."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutation, parsers


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(parsers.PARSERS))
def test_no_parser_does_worse_than_an_error_of_ours(name: str) -> None:
    with parsers.PARSERS[name]() as parser:
        seeds = len(parser.seeds)
    assert mutation.run(name, 1, seeds + 60).lines > 10


# Each stands for a parser that lacks something.
BROKEN = {
    "traceback": "int(data)",
    "memory": "bytearray(1 << 40)",
    "endless": "[None for _ in iter(int, 1)]",
}


@pytest.mark.parametrize(
    ("name", "says"), [("traceback", "ValueError"), ("memory", "MemoryError"), ("endless", "SIGPROF")]
)
def test_what_a_parser_must_not_do_is_found(name: str, says: str, tmp_path: Path) -> None:
    text = f"""
import contextlib
from tests import mutation, parsers
parsers.PARSERS["broken"] = lambda: contextlib.nullcontext(parsers.Parser([b"x"], lambda data: {BROKEN[name]}))
mutation.CPU_S_OF_AN_INPUT = 0.2
mutation.main("broken", 1, 5, {str(tmp_path / "input")!r})
"""
    cwd = mutation.CHECKOUT
    done = subprocess.run([sys.executable, "-c", text], cwd=cwd, capture_output=True, text=True, check=False)
    ended = "SIGPROF" if done.returncode < 0 else done.stderr
    assert done.returncode != 0
    assert says in ended
    assert (tmp_path / "input").read_bytes() == b"x"


def test_inputs_follow_from_the_seed_and_are_not_alike() -> None:
    first, again = ([mutation.mutated(random.Random(seed), [b"seed" * 9]) for seed in range(50)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 30
