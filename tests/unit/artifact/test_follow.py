"""Long programs: their lines become progress, their last words an error."""

import errno
import os
from pathlib import Path

import pytest

from inferno.artifact.follow import follow
from inferno.base.errors import MissingToolError
from inferno.base.processes import CommandError
from inferno.base.progress import Progress

Told = list[tuple[str, int | None, str]]


def teller(told: Told) -> Progress:
    def progress(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        told.append((what, done, detail))

    return progress


def test_every_line_is_told_in_order_with_its_number() -> None:
    told: Told = []
    follow(["sh", "-c", "echo one; echo two >&2; printf three"], what="job", progress=teller(told))
    assert told == [("job", None, ""), ("job", 1, "one"), ("job", 2, "two"), ("job", 3, "three")]


def test_the_last_line_is_told_again_while_the_program_is_silent(tmp_path: Path) -> None:
    """The program waits until it has been told twice more, so the test does not depend on time."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told: Told = []

    def progress(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        told.append((what, done, detail))
        if detail == "one" and told.count(("job", 1, "one")) == 3:
            fifo.write_text("go on\n")

    follow(["sh", "-c", f"echo one; read x < {fifo}; echo two"], what="job", progress=progress, again_s=0.01)
    assert told[0] == ("job", None, "")
    assert told[-4:] == 3 * [("job", 1, "one")] + [("job", 2, "two")]


def test_a_failure_carries_the_last_lines_and_the_status() -> None:
    with pytest.raises(CommandError) as caught:
        follow(["sh", "-c", "seq 100; exit 3"], what="job")
    assert caught.value.result.status == 3
    assert caught.value.output.splitlines() == [str(n) for n in range(61, 101)]


def test_a_program_that_is_not_there_is_named_with_its_package() -> None:
    with pytest.raises(MissingToolError) as caught:
        follow(["no-such-program"], what="job")
    assert caught.value.status == 127


def test_when_telling_fails_the_program_is_ended(tmp_path: Path) -> None:
    class TellingFailedError(Exception):
        pass

    def progress(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        if detail:
            raise TellingFailedError(what)

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(TellingFailedError):
        follow(["sh", "-c", f"echo ready; exec cat {fifo}"], what="job", progress=progress)
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):  # nobody reads it
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
