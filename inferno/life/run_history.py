"""The history of a VM's runs: noted at its start, and completed by the command that sees its end first.

A run is one start of a VM to its end. Its row is written after `started` is linked and before the launch, and it is
completed after the exit status was kept and before `started` goes (`reconcile`). So a command that is killed between
leaves the link, and the next one completes the row. A row is completed once.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import sqlite3
from collections.abc import Iterator
from signal import Signals

from inferno.base import files
from inferno.base.named_tuple import NamedTuple
from inferno.life import exit_status
from inferno.life.exit_status import ExitStatus
from inferno.life.instance import Instance
from inferno.state.database import State, if_there
from inferno.state.paths import VersionDir
from inferno.state.runs_table import Begin, End, Run

NO_WORD = "it left no exit status"
# As kiln writes them (kiln/src/vmm.rs, kiln/src/supervisor.rs).
_STOPPED = re.compile(rf"killed by signal {Signals.SIGTERM.value} to kiln.*")
_SIGNAL = re.compile(r"\bsignal (\d{1,2})\b")


class Stopped(NamedTuple):
    """A stop ended the run. `overdue` says what it waited for in vain; empty when the process ended as it was asked."""

    overdue: str = ""


def new_id() -> str:
    """A ULID for a run that is about to begin. Its library's import costs 9 ms where doit is loaded."""
    from ulid import ULID

    return str(ULID())


def begin(vm: Instance, version: VersionDir, run: str) -> None:
    """Note that `version` is about to be launched, as the run `run`. On a full disk nothing is noted."""
    with _opened(vm) as state:
        if state:
            state.runs.begin(Begin(run, vm.name, version.ulid, _now()))


def end(vm: Instance, by: str, *, stopped: Stopped | None = None) -> None:
    """Complete the VM's run, if there is one to complete. Nothing runs, and the exit status was kept.

    `by` is the command that noticed; `stopped` says how it ended the run, which else ended by itself.
    """
    with _opened(vm) as state:
        if state and state.runs.is_open(vm.name):
            state.runs.end(vm.name, _end(exit_status.last(vm.paths, vm.name), by, stopped))


def history(vm: Instance) -> list[Run]:
    """The VM's runs, the newest first. An end that no command has written yet is told as the exit status has it."""
    with _opened(vm) as state:
        found = state.runs.of(vm.name) if state else []
    if found and found[0].ended_at is None and vm.running() is None:
        seen = _end(exit_status.last(vm.paths, vm.name), "", None)
        found[0] = found[0]._replace(**{**seen._asdict(), "noticed_by": None})
    return found


def reason(vm: Instance) -> str | None:
    """Why the VM's last run ended, in words; None while one goes on, and before the first."""
    status = exit_status.last(vm.paths, vm.name)
    if status is None:
        return None
    last = next(iter(history(vm)), None)
    if last is not None and last.run == (status.run or last.run) and last.reason is not None:
        return last.reason
    return _reason(status, None)


def _end(status: ExitStatus | None, by: str, stopped: Stopped | None) -> End:
    if status is None:
        return End(_now(), None, None, NO_WORD, by)
    return End(status.exited_at or _now(), exit_status.code(status), status.signal, _reason(status, stopped), by)


def _reason(status: ExitStatus, stopped: Stopped | None) -> str:
    """Why it ended, in a few words: first what went wrong."""
    if stopped and status.vm_error and _STOPPED.fullmatch(status.vm_error):
        ended = f": {stopped.overdue}, and its VM was ended" if stopped.overdue else ", by an end of its VM"
        return f"it was stopped{ended}"
    told = [text for text in (status.error, status.vm_error) if text]
    if status.oom_killed:
        told.append("the guest had no memory left, and its kernel killed the process")
    if told:
        return _SIGNAL.sub(lambda found: signal_name(int(found[1])), "; ".join(told))
    if stopped and stopped.overdue and status.signal == Signals.SIGKILL:
        return f"it was stopped: {stopped.overdue}, and was killed"
    if stopped:
        return f"it was stopped, by {signal_name(status.signal)}" if status.signal else "it was stopped"
    return f"its process was ended by {signal_name(status.signal)}" if status.signal else "its process exited"


def signal_name(number: int) -> str:
    """SIGTERM for 15; a real-time signal by its number."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextlib.contextmanager
def _opened(vm: Instance) -> Iterator[State | None]:
    """The database; None where there is none: then nothing is known of the VM, and nothing is noted.

    A full disk is not a reason to leave a run as it is: better that the history lacks it.
    """
    with if_there(vm.settings.db_path) as state:
        try:
            yield state
        except sqlite3.OperationalError as error:
            if not files.is_full(error):
                raise
