"""A signal is heard in the main thread alone: what other threads wait for is ended, and they hear of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base import interruption, processes


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    interruption.forget()


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[BaseException | None]]:
    """A thread that does it, and what that raised."""
    raised: list[BaseException | None] = []

    def call() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, raised


def ended(thread: threading.Thread, raised: list[BaseException | None]) -> type[BaseException] | None:
    thread.join(60)
    [error] = raised
    return None if error is None else type(error)


def test_the_main_thread_goes_on() -> None:
    interruption.ask()
    interruption.check()
    assert processes.run(["true"]).status == 0
    interruption.wait_for(lambda: None)


def test_another_thread_ends_at_its_next_step_until_that_is_forgotten() -> None:
    assert ended(*in_thread(interruption.check)) is None
    interruption.ask()
    assert ended(*in_thread(interruption.check)) is KeyboardInterrupt
    assert ended(*in_thread(lambda: interruption.wait_for(lambda: None))) is KeyboardInterrupt
    interruption.forget()
    assert ended(*in_thread(interruption.check)) is None


def test_what_blocks_is_left_alone() -> None:
    begun, never = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        never.wait()

    waiting = in_thread(lambda: interruption.wait_for(block))
    assert begun.wait(60)
    interruption.ask()
    assert ended(*waiting) is KeyboardInterrupt
    never.set()


def test_what_it_raises_is_raised_to_who_waits() -> None:
    def fail() -> None:
        raise OSError("no")

    assert ended(*in_thread(lambda: interruption.wait_for(fail))) is OSError


def test_a_program_that_a_thread_waits_for_is_ended(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    waiting = in_thread(lambda: processes.run(["sh", "-c", f"echo > {begun}; exec sleep infinity"]))
    assert begun.read_text() == "\n"
    interruption.ask()
    assert ended(*waiting) is KeyboardInterrupt
    assert ended(*in_thread(lambda: processes.run(["sleep", "infinity"]))) is KeyboardInterrupt
