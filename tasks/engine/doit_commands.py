"""doit's commands as Inferno gives them: on our loader, with one-line errors and the exit statuses users know.

They stand in for the stock ones in infernoctl, and by pyproject.toml where `doit` is run in a checkout.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from doit.cmd_clean import Clean as StockClean
from doit.cmd_forget import Forget as StockForget
from doit.cmd_help import Help as StockHelp
from doit.cmd_ignore import Ignore as StockIgnore
from doit.cmd_info import Info as StockInfo
from doit.cmd_list import List as StockList
from doit.cmd_run import Run as StockRun
from doit.cmdparse import CmdParseError

from inferno.base import files, requirements
from inferno.base.errors import InfernoError, UsageError
from inferno.console import streams
from inferno.console.errors import report, say
from inferno.console.verbs.tasks import TASKS

from . import parallel


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwound like Ctrl-C, but with a status of its own."""


class _Ours:
    """Mixed into each command: its errors are ours. The loader is one of ours too."""

    loader: Any
    bin_name: str

    def __init__(self, **known: Any) -> None:
        streams.fill()  # before doit keeps what is standard output now
        super().__init__(**known)

    def parse_execute(self, words: list[str]) -> int | None:
        try:
            status: int | None = super().parse_execute(words)  # type: ignore[misc]
            streams.flush()
            return status
        except CmdParseError as error:  # doit's text goes on with all options there are, as Python shows them
            text = str(error).partition(" (parsing options")[0].strip()
            name = getattr(self, "name", "doit")
            text = text.removeprefix("Error parsing Command: ")
            return _refused(UsageError(f"{name}: {text}", f"{self.bin_name} help {name}"))
        except InfernoError as error:
            return _refused(error)
        except PermissionError as error:
            return _refused(requirements.denied(error))
        except OSError as error:
            return streams.lost(error)


def _refused(error: InfernoError) -> int:
    report(error)
    return error.status


class List(_Ours, StockList): ...  # type: ignore[misc]


class Ignore(_Ours, StockIgnore): ...  # type: ignore[misc]


class Clean(_Ours, StockClean):  # type: ignore[misc]
    """Removes what tasks have made and nobody uses; fails when something stays."""

    def execute(self, params: Any, args: list[str]) -> int | None:
        status: int | None = super().execute(params, args)
        return self.loader.command.output.exit_status or status


class Forget(_Ours, StockForget): ...  # type: ignore[misc]


class Info(_Ours, StockInfo):  # type: ignore[misc]
    """What a task is, needs and makes, and why it would run: exit 1 when it would."""

    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        if len(pos_args) != 1:
            raise UsageError("info looks at one task at a time", f"{self.bin_name} info {pos_args[0]}")
        from . import info

        tasks = {task.name: task for task in self.task_list}
        text, is_current = info.describe(tasks[pos_args[0]], tasks, None if hide_status else self.dep_manager)
        self.outstream.write(text)
        return 0 if is_current else 1


class Help(_Ours, StockHelp):  # type: ignore[misc]
    """`doit help create` and `doit help create:web1` are `infernoctl create --help`."""

    def execute(self, params: Any, args: list[str]) -> int | None:
        verb = args[0].partition(":")[0] if args else ""
        if verb not in TASKS:
            return int(super().execute(params, args) or 0)
        from inferno.console import help

        print(help.usage_of_task(verb))
        return 0


class Run(_Ours, StockRun):  # type: ignore[misc]
    """Runs tasks; then what they left for the end: printing a result, following a VM in the foreground."""

    name = "run"

    def execute(self, params: Any, args: list[str]) -> int | None:
        os.umask(os.umask(0o022) | 0o022)  # what root makes here is written by nobody else, whatever its umask
        _need_root(args)  # before the databases are opened, which would make them this user's
        self._take_signals()
        status: int | None = 1
        try:
            with parallel.in_threads(lambda: self.loader.command.transaction):
                status = super().execute(params, args)
            self.loader.command.transaction.check_interrupted()
        except KeyboardInterrupt as end:
            self.loader.command.transaction.unwind()
            say("stopped; what this run had made is undone")
            return 128 + (signal.SIGTERM if isinstance(end, Terminated) else signal.SIGINT)
        except Exception as error:
            if not files.is_full(error):
                raise
            full = files.disk_full(self.loader.command.asked.paths.root)  # what doit notes of a task had no room
            self.loader.command.transaction.unwind()
            report(full)
            return UsageError.status
        finally:
            command = getattr(self.loader, "command", None)
            if command:
                if status:
                    command.transaction.unwind()
                command.transaction.release()
        if status:
            return self.loader.command.output.exit_status or status
        return self._end()

    def _take_signals(self) -> None:
        def interrupt(number: int, _frame: Any) -> None:
            end = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
            command = getattr(self.loader, "command", None)
            if command is None:
                raise end
            command.transaction.interrupt(end)

        signal.signal(signal.SIGTERM, interrupt)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the caller has it ignored: nohup, `&`
            signal.signal(signal.SIGINT, interrupt)

    def _end(self) -> int:
        status = 0
        try:
            for action in self.loader.command.output.at_end:
                status = action() or status
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        return status


def _need_root(words: list[str]) -> None:
    """Raises UsageError when a task of a VM or an image is asked for by anybody but root."""
    for word in words:
        row = TASKS.get(word.partition(":")[0])
        if row and row.subject != "once":
            requirements.need_root()
