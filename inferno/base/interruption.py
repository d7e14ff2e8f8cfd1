"""How threads hear that a signal asked for the end: Python runs a signal's handler in the main thread alone.

`ask` is for the handler. From then on whatever a thread but the main one does here ends with KeyboardInterrupt: a
`check` between two steps, a `wait_for` that would block, and, by SIGTERM, the programs that it waits for.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Protocol


class _Program(Protocol):
    def terminate(self) -> None: ...


class _Now:
    asked = False


_now = _Now()
_lock = threading.RLock()  # reentrant: the handler of a signal may come while the main thread holds it
_programs: list[_Program] = []
_waiting: list[queue.SimpleQueue[BaseException | None]] = []


def ask() -> None:
    """Have all threads end at their next step."""
    with _lock:
        _now.asked = True
        for program in _programs:
            program.terminate()
        for waits in _waiting:
            waits.put(KeyboardInterrupt())


def forget() -> None:
    """Nobody is asked any more: for the next command of this process, once all threads have ended."""
    with _lock:
        _now.asked = False


def check() -> None:
    """Raises KeyboardInterrupt in a thread that was asked to end."""
    if _now.asked and not _is_main():
        raise KeyboardInterrupt


@contextlib.contextmanager
def ends(program: _Program) -> Iterator[None]:
    """While the `with` lasts, a program that this thread waits for, which ends when the thread is asked to."""
    if _is_main():
        yield
        return
    with _lock:
        _programs.append(program)
        if _now.asked:
            program.terminate()
    try:
        yield
    finally:
        with _lock:
            _programs.remove(program)


def wait_for(blocking: Callable[[], None]) -> None:
    """Call what may block for long. A thread that is asked to end meanwhile leaves it to itself.

    Raises KeyboardInterrupt then, or what `blocking` raises.
    """
    if _is_main():
        blocking()
        return
    answers: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def call() -> None:
        try:
            blocking()
        except BaseException as error:
            answers.put(error)
        else:
            answers.put(None)

    with _lock:
        check()
        _waiting.append(answers)
    threading.Thread(target=call, daemon=True).start()
    try:
        answer = answers.get()
    finally:
        with _lock:
            _waiting.remove(answers)
    if answer is not None:
        raise answer


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
