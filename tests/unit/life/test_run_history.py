"""Each start is a run: what sees its end first completes its row, once, and a kill in between loses nothing."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from inferno.base import records
from inferno.cli.main import main
from inferno.life import exit_status, run_history
from inferno.life.exit_status import ExitStatus
from inferno.life.instance import Instance
from inferno.life.reconcile import reconcile
from inferno.life.run_history import Stopped
from inferno.sandbox import jail
from inferno.settings import load_settings
from inferno.state.database import State
from inferno.state.paths import VersionDir
from inferno.state.runs_table import END_UNSEEN, Run
from inferno.wire.shared import EXIT_STATUS

pytestmark = pytest.mark.root
ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
# As kiln writes it of a process that was killed.
KILLED = ExitStatus(0, None, None, None, 9, False, None, "2026-11-30T12:00:00.000001Z", "2026-11-30T12:00:05.000001Z")

AS_ASKED, LATE = Stopped(), "its process did not end within 10 s of SIGTERM"


@pytest.fixture
def vm(tmp_path: Path) -> Instance:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root")})
    settings.root.mkdir()
    with contextlib.closing(State(settings.db_path)) as state:
        state.reserve("web1")
        state.save("web1", {"image": "oci:x"}, ULID)
        row = state.vm("web1")
    assert row is not None
    return Instance.of(settings, row)


def run(vm: Instance, status: ExitStatus | None = KILLED) -> VersionDir:
    """A start of the VM, as far as it is noted, and the end of its VMM."""
    version = vm.paths.version(ULID)
    version.jail.mkdir(parents=True)
    exit_status.forget(vm.paths, vm.name)
    vm.mark(version)
    run_history.begin(vm, version, run_history.new_id())
    if status:
        records.write(version.jail / EXIT_STATUS, status)
    return version


def test_the_next_command_completes_the_run(vm: Instance) -> None:
    run(vm)
    (seen,) = run_history.history(vm)
    assert (seen.ended_at, seen.signal, seen.noticed_by) == (KILLED.exited_at, 9, None), (
        "it is told before it is written"
    )
    assert not reconcile(vm, "start", network=False)
    (done,) = run_history.history(vm)
    assert done == seen._replace(noticed_by="start")
    assert done.reason == "its process was ended by SIGKILL"
    assert not reconcile(vm, "create", network=False)
    assert run_history.history(vm) == [done]


@pytest.mark.parametrize(
    ("status", "stopped", "exit_code", "reason"),
    [
        (KILLED._replace(signal=None, exit_code=0), None, 0, "its process exited"),
        (KILLED._replace(signal=None, exit_code=0), AS_ASKED, 0, "it was stopped"),
        (
            KILLED._replace(oom_killed=True),
            AS_ASKED,
            137,
            "the guest had no memory left, and its kernel killed the process",
        ),
        (KILLED, AS_ASKED, 137, "it was stopped, by SIGKILL"),
        (KILLED, Stopped(LATE), 137, f"it was stopped: {LATE}, and was killed"),
        (KILLED._replace(signal=15), Stopped(LATE), 143, "it was stopped, by SIGTERM"),
        (KILLED._replace(signal=None, exit_code=3), Stopped(LATE), 3, "it was stopped"),
        (
            KILLED._replace(signal=None, vm_signal=9, vm_error="killed by signal 15 to kiln"),
            Stopped("its guest did not answer"),
            137,
            "it was stopped: its guest did not answer, and its VM was ended",
        ),
        (
            KILLED._replace(signal=None, vm_signal=9, vm_error="killed by signal 15 to kiln"),
            AS_ASKED,
            137,
            "it was stopped, by an end of its VM",
        ),
        (
            KILLED._replace(signal=None, vm_signal=9, vm_error="killed by signal 15 to kiln"),
            None,
            137,
            "killed by SIGTERM to kiln",
        ),
        (
            KILLED._replace(signal=None, vm_signal=9, vm_error="firecracker was killed by signal 9: unexpected"),
            None,
            137,
            "firecracker was killed by SIGKILL: unexpected",
        ),
        (
            KILLED._replace(signal=None, vm_error="kernel panic: VFS: no root"),
            None,
            125,
            "kernel panic: VFS: no root",
        ),
        (KILLED._replace(signal=40), None, 168, "its process was ended by signal 40"),
        (KILLED._replace(signal=None, error="no such program: /x"), None, 125, "no such program: /x"),
        (None, None, 125, "it left no exit status: it was cut off with the host"),
    ],
)
def test_the_reason_is_in_words(
    vm: Instance, status: ExitStatus | None, stopped: Stopped | None, exit_code: int, reason: str
) -> None:
    run(vm, status)
    reconcile(vm, "stop", network=False, stopped=stopped)
    (done,) = run_history.history(vm)
    assert (done.exit_code, done.reason, run_history.reason(vm)) == (exit_code, reason, reason)


def test_the_verb_tells_them_newest_first(
    vm: Instance, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(vm.settings.root))
    assert (main(["runs", "web1"]), capfd.readouterr().out) == (0, "RUN  VERSION  STARTED  ENDED  EXIT  REASON\n")
    for status in (KILLED, KILLED._replace(signal=None, exit_code=7)):
        run(vm, status)
        reconcile(vm, "stop", network=False, stopped=AS_ASKED)
    assert main(["runs", "web1"]) == 0
    head, *lines = capfd.readouterr().out.splitlines()
    assert [line.split(maxsplit=5)[3:] for line in (head, *lines)] == [
        ["ENDED", "EXIT", "REASON"],
        ["2026-11-30T12:00:05Z", "7", "it was stopped"],
        ["2026-11-30T12:00:05Z", "SIGKILL", "it was stopped, by SIGKILL"],
    ]
    assert main(["runs", "web1", "--json"]) == 0
    newest, oldest = json.loads(capfd.readouterr().out)
    assert list(newest) == list(Run._fields)
    assert (newest["exit_code"], oldest["exit_code"], oldest["signal"], newest["version"]) == (7, 137, 9, ULID)
    assert newest["run"] > oldest["run"]
    assert main(["runs", "web2"]) == 2


def killed_at(vm: Instance, module: str, function: str, *, after: bool) -> None:
    """Have a process reconcile that is killed when it comes to a function, or when it comes back from it."""
    child = os.fork()
    if not child:
        owner = importlib.import_module(module)
        real: Callable[..., object] = getattr(owner, function)

        def killing(*args: object, **kwargs: object) -> None:
            if after:
                real(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, function, killing)
        try:
            reconcile(vm, "start", network=False)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("module", "function", "after", "noticed_by"),
    [
        ("inferno.life.exit_status", "record", False, "stop"),
        ("inferno.life.exit_status", "record", True, "stop"),
        ("inferno.sandbox.jail", "remove", True, "stop"),
        ("inferno.life.run_history", "end", False, "stop"),
        ("inferno.life.run_history", "end", True, "start"),
    ],
)
def test_a_killed_command_leaves_the_end_to_the_next(
    vm: Instance, module: str, function: str, after: bool, noticed_by: str
) -> None:
    run(vm)
    killed_at(vm, module, function, after=after)
    assert not reconcile(vm, "stop", network=False)
    (done,) = run_history.history(vm)
    assert (done.ended_at, done.signal, done.noticed_by) == (KILLED.exited_at, 9, noticed_by)
    assert vm.started() is None


def test_a_run_whose_traces_were_deleted_by_hand_is_ended_by_the_next_start(vm: Instance) -> None:
    version = run(vm)
    jail.remove(version)
    vm.unmark()
    run(vm)
    newest, lost = run_history.history(vm)
    assert lost.reason == END_UNSEEN
    assert newest.run > lost.run


def test_without_a_database_nothing_is_noted_and_none_is_made(vm: Instance) -> None:
    run(vm)
    for path in vm.settings.root.glob("inferno.db*"):
        path.unlink()
    assert not reconcile(vm, "stop", network=False)
    assert run_history.history(vm) == []
    assert list(vm.settings.root.glob("inferno.db*")) == []
