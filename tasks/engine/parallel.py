"""`doit -n N`: build tasks in N threads. What a signal ends is ended in all of them before anything is undone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from doit import cmd_run
from doit.runner import MThreadRunner

from inferno.base import interruption
from inferno.base.errors import UsageError

from .. import stages
from .transaction import Transaction


class ThreadRunner(MThreadRunner):  # type: ignore[misc]  # doit has no types
    """doit's own, with threads that are joined however the run ends, and teardown once, when all tasks have ended."""

    def __init__(self, transaction: Transaction, *known: Any) -> None:
        super().__init__(*known)
        self._transaction = transaction
        self._queues: list[queue.Queue[Any]] = []  # of results, of jobs: in this order doit makes them
        self._threads: list[threading.Thread] = []

    def Queue(self) -> queue.Queue[Any]:
        self._queues.append(queue.Queue())
        return self._queues[-1]

    def Child(self, target: Callable[..., None], args: tuple[Any, ...]) -> threading.Thread:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        return self._threads[-1]

    def get_next_job(self, completed: Any) -> Any:
        if self._transaction.interrupted:
            return None
        return super().get_next_job(completed)

    def run_tasks(self, task_dispatcher: Any) -> None:
        interruption.forget()
        self._transaction.is_parallel = True
        try:
            super().run_tasks(task_dispatcher)
        except BaseException:
            interruption.ask()  # of the others
            self._transaction.check_interrupted()  # the signal itself, not what a thread made of it
            raise
        finally:
            for _ in self._threads:
                self._queues[1].put(None)  # wakes those that wait for a job
            for thread in self._threads:
                thread.join()
            self._transaction.is_parallel = False
        self._transaction.check_interrupted()

    def teardown(self) -> None:
        if threading.current_thread() is threading.main_thread():
            super().teardown()


def check_options(params: Any) -> None:
    """Raises UsageError for options of doit's `run` that cannot be meant."""
    if params.get("par_type") == "process" and "par_type" in params._non_default_keys:
        raise UsageError("-P process: tasks run in threads of this process", "leave it out: -n N")
    if params.get("num_process", 0) < 0:
        raise UsageError(f"-n {params['num_process']} is not a number of threads", "-n 2, say")


def check_tasks(params: Any, selected: Sequence[str]) -> None:
    """Raises UsageError when a task is to run in threads that changes what runs on this host."""
    for task in selected if params.get("num_process") else ():
        if not stages.is_build(task.partition(":")[0]):
            raise UsageError(f"{task} does not run with -n: only what is built is built in parallel", "leave out -n")


@contextmanager
def in_threads(transaction: Callable[[], Transaction]) -> Iterator[None]:
    """While the `with` lasts, doit's command `run` takes this runner where it would take its own."""
    stock = cmd_run.MThreadRunner
    cmd_run.MThreadRunner = lambda *known: ThreadRunner(transaction(), *known)
    try:
        yield
    finally:
        cmd_run.MThreadRunner = stock
