"""Processes that do the same at one instant, for tests of what only some of them may have."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import TypeVar

T = TypeVar("T")
_SPAWN = multiprocessing.get_context("spawn")


def at_once(prepare: Callable[..., Callable[[], T]], each: Sequence[tuple[object, ...]]) -> list[T]:
    """Call `prepare(*words)` in a process of its own for each of the tuples, and what these return at one instant.

    Returns the answers, in the order of `each`. Every process lives until all have answered: what one holds as long as
    it lives, no other can have by being late. `prepare` is a function of a module. Raises EOFError when one raises
    something: the traceback is on standard error.
    """
    begin, end = _SPAWN.Barrier(len(each)), _SPAWN.Barrier(len(each) + 1)
    pipes = [_SPAWN.Pipe(duplex=False) for _ in each]
    processes = [
        _SPAWN.Process(target=_take_part, args=(prepare, words, begin, end, there))
        for words, (_, there) in zip(each, pipes, strict=True)
    ]
    for process, (_, there) in zip(processes, pipes, strict=True):
        process.start()
        there.close()  # so that a process that ends closes the pipe
    try:
        answers: list[T] = [here.recv() for here, _ in pipes]
        end.wait()
    except EOFError:
        for process in processes:
            process.kill()
        raise
    finally:
        for process in processes:
            process.join()
        for here, _ in pipes:
            here.close()
    return answers


def _take_part(
    prepare: Callable[..., Callable[[], T]], words: tuple[object, ...], begin: Barrier, end: Barrier, told: Connection
) -> None:
    try:
        act = prepare(*words)
    except BaseException:
        begin.abort()  # the others wait for this one
        raise
    begin.wait()
    told.send(act())
    end.wait()
