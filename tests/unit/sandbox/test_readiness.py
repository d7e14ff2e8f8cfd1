"""Waiting for a start: over as soon as there is an answer, and with the reason when it is no."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.sandbox import launch, readiness
from inferno.sandbox.readiness import Outcome

SPEAK = """
import socket, sys, os, signal
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(sys.argv[1])
"""
LONG_S = 3600.0  # longer than any test may take
DEADLINE_S = 20
Start = Callable[..., Outcome]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a piece of Python that may `say.send`, as a launched process does, and waits for what it becomes."""
    started: list[int] = []
    with contextlib.ExitStack() as held:
        notify = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        notify.bind(str(tmp_path / "notify.sock"))

        def run(script: str, timeout_s: float = LONG_S, *, closed: bool = False) -> Outcome:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(reader, False)
            argv = [sys.executable, "-c", SPEAK + script, str(tmp_path / "notify.sock")]
            actions = [(os.POSIX_SPAWN_DUP2, writer, to) for to in (1, 2)]
            pid = os.posix_spawn(argv[0], argv, dict(os.environ), file_actions=actions)
            os.close(writer)
            held.callback(os.close, reader)
            process = os.pidfd_open(pid)
            held.callback(os.close, process)
            if closed:  # waits until it has closed the pipe
                hang_up = select.poll()
                hang_up.register(reader, 0)
                assert hang_up.poll(DEADLINE_S * 1000)
            outcome = readiness.wait(notify, reader, process, timeout_s)
            if outcome.ended is None:
                started.append(pid)
            return outcome

        yield run
        for pid in started:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def test_ready_returns_at_once_though_the_process_goes_on(start: Start) -> None:
    outcome = start(r"say.send(b'READY=1\nSTATUS=pid 7 in the guest'); signal.pause()")
    assert outcome.ready
    assert outcome.ended is None


def test_other_words_are_no_readiness(start: Start) -> None:
    outcome = start(r"say.send(b'READY=0\nXREADY=1\nREADY=10'); say.send(b'\xff' * 5000); say.send(b'')")
    assert not outcome.ready
    assert outcome.ended == 0


def test_the_reason_is_kilns_own(start: Start) -> None:
    script = r"print('early noise'); say.send(b'STATUS=no such file: /bin/nope'); sys.exit(127)"
    outcome = start(script)
    assert not outcome.ready
    assert outcome.ended == 127
    assert outcome.reason(LONG_S) == "no such file: /bin/nope"
    assert outcome.lines() == ["early noise"]


def test_word_then_death_is_still_up(start: Start) -> None:
    """A process as short as `true`: it ran, and how it ended is for `status` to say."""
    assert start("say.send(b'READY=1'); os._exit(0)").ready


def test_a_panic_of_the_jailer_is_one_line(start: Start) -> None:
    outcome = start(
        """
sys.stderr.write("thread 'main' panicked at src/jailer/src/main.rs:355:27:\\n"
    "Jailer error: Failed to create /dev/kvm via mknod inside the jail: File exists (os error 17)\\n"
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\\n")
sys.stderr.flush(); os.abort()"""
    )
    assert outcome.ended == -6
    assert (
        outcome.reason(LONG_S)
        == "jailer: Failed to create /dev/kvm via mknod inside the jail: File exists (os error 17)"
    )


def test_last_words_are_the_reason_without_those_that_follow_them(start: Start) -> None:
    outcome = start("print('kiln: cannot start /firecracker\\nkiln:   a line of the console'); sys.exit(1)")
    assert outcome.reason(LONG_S) == "kiln: cannot start /firecracker"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sys.exit(3)", "the jailer ended with status 3 and said nothing"),
        ("os.kill(os.getpid(), 9)", "the jailer was killed by SIGKILL"),
    ],
)
def test_a_silent_end_is_told_as_it_was(start: Start, script: str, said: str) -> None:
    assert start(script).reason(LONG_S) == said


def test_time_runs_out_though_the_pipe_was_closed(start: Start) -> None:
    outcome = start("os.close(1); os.close(2); signal.pause()", timeout_s=0.5, closed=True)
    assert not outcome.ready
    assert outcome.ended is None
    assert outcome.reason(0.5) == "its process did not run within 0.5 s"


def test_a_flood_costs_bounded_memory_and_keeps_the_last(start: Start) -> None:
    outcome = start("sys.stdout.write('x' * 999 + '\\n'); print('y' * 1000000); print('last'); sys.exit(1)")
    assert len(outcome.output) <= 64 * 1024
    assert outcome.reason(LONG_S) == "last"
    assert max(map(len, outcome.lines())) < 500


def test_nothing_from_a_jail_reaches_a_terminal_as_it_is(start: Start) -> None:
    outcome = start(r"say.send(b'STATUS=\x1b[31mred\x07\x9b\xff'); print('\x1b]0;title\x07\x00\u202e'); sys.exit(1)")
    assert all(char.isprintable() for line in [*outcome.lines(), outcome.reason(LONG_S)] for char in line)


@pytest.mark.parametrize(
    ("script", "says"), [("kill -SYS $$", "kiln was killed by SIGSYS"), ("exit 125", "kiln ended with status 125")]
)
def test_how_kiln_ended_is_seen_by_who_started_it(script: str, says: str) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # else a busy machine could be later than it waits
    assert (launch.seen_end(pid) or "").startswith(says)
    assert launch.seen_end(pid) is None, "it was seen, and is not a child of ours any more"


@pytest.mark.parametrize("flood", ["os.write(1, b'x' * 65536)", "say.send(b'STATUS=' + b'x' * 4000)"])
def test_a_flood_of_words_gets_no_more_time(start: Start, flood: str) -> None:
    outcome = start(f"while True: {flood}", 0.5)
    assert (outcome.ready, outcome.ended) == (False, None)
    assert len(outcome.output) <= 65536
