"""The steps of a start: network, disk, jail, launch. The table STEPS is what both fronts run.

Each step is idempotent, asks the kernel or the file system whether it is done, and pushes the undo of what it makes
onto the VM's stack before it makes it. Whichever fails, that stack is unwound; once the image's process runs it is
dropped. What a killed start left is found by the next one: a VM whose cgroup leaf is populated counts as running,
anything else is taken away first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inferno.base.errors import InfernoError, UsageError
from inferno.base.records import BadRecordError
from inferno.base.requirements import require
from inferno.disk import scratch
from inferno.disk.need import Need
from inferno.life import exit_status, host, network_owner, run_history
from inferno.life.instance import Instance
from inferno.life.reconcile import network_removals, reconcile, together
from inferno.logs import collector_client, vm_logs
from inferno.net import nft, overlap, resolvers, tap
from inferno.sandbox import cgroup, jail, launch, orphan_jailer
from inferno.spec import create_options, grammar, name_service
from inferno.spec.create_options import Spec
from inferno.state.paths import VersionDir
from inferno.version import versions
from inferno.version.version_json import VersionRecord
from inferno.wire import start as handed
from inferno.wire.shared import KILN_CONFIG, START_FORMAT

_LAST_LINES = 20
# How long the kernel may take to end killed processes: guests' memory is freed before a leaf counts as empty.
_KILL_WAIT_S = 30.0


@dataclass(slots=True)
class Brought:
    """`run` is the run's ULID, `start` start.json; `unreachable` are the host's name servers where a guest has none.

    `secrets` is the message with them until it is handed over; None without any.
    """

    run: str
    start: bytes
    unreachable: list[str]
    secrets: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Start:
    """One start of one VM. `version` is the one that runs, or else the current one; `undo` is the VM's stack."""

    vm: Instance
    version: VersionDir
    record: VersionRecord
    undo: contextlib.ExitStack
    start_format: int | None = None  # of the start.json that its kiln and init read
    launched: bool = False  # by this start; else it ran already, or runs not yet
    pid: int | None = None  # of what it launched: the jailer, and then kiln
    failure: str = "its start was interrupted"  # what is said of a launch that is undone
    run: str | None = None  # the ULID of the run that it launched
    log_position: int = 0  # where this run's lines begin in the VM's log
    release: Callable[[], None] | None = None  # ends that the start is counted (inferno/life/admission.py)
    _reconciled: bool = field(default=False)
    _brought: Brought | None = field(default=None)

    @property
    def brought(self) -> Brought:
        """What this start brings into the guest: looked up once, before anything is made. Raises UsageError."""
        if self._brought is None:
            spec = create_options.merge(self.vm.saved or self.record.spec.to_json(), {}, self.vm.name)
            found = resolvers.of_start(spec, self.vm.settings)
            run, secrets = run_history.new_id(), self._secrets(spec)
            hosts = [handed.Host(one.address, [one.name]) for one in map(name_service.host, spec.add_host)]
            number = self.start_format or START_FORMAT
            start = handed.text(run, found.resolv, hosts, secrets=secrets is not None, number=number)
            self._brought = Brought(run, start, found.unreachable, secrets)
        return self._brought

    def _secrets(self, spec: Spec) -> bytes | None:
        if not spec.secret and not spec.at_start:
            return None
        if not handed.takes_secrets(self.start_format):
            text = f"the current version of {self.vm.name} was made before secrets could be handed over"
            raise UsageError(text, f"doit create:{self.vm.name} makes one that takes --secret and --at-start")
        from inferno.life import secrets  # a start without any does not pay for it

        fixed = {word.partition("=")[0] for word in self.record.spec.env}
        return secrets.of_start(spec, fixed, self.vm.settings)

    def running(self) -> bool:
        return cgroup.populated(self.version.ulid)

    def untouched(self) -> bool:
        """Whether nothing was launched from what is laid out."""
        return self.vm.started() is None

    def reconcile(self) -> None:
        """Once per start, before the first thing is made: look up what it brings, take away what an earlier run left.

        What was only laid out, by a start that was killed or by a step run alone, is what this one goes on from.
        """
        if not self._reconciled and not self.running():
            _ = self.brought
        if not self._reconciled and not self.untouched():
            reconcile(self.vm, "start", network=False)
        self._reconciled = True


@dataclass(frozen=True, slots=True)
class Step:
    """`done` says whether there is nothing to do; `act` does it."""

    name: str
    doc: str
    act: Callable[[Start], None]
    done: Callable[[Start], bool]


def prepare(vm: Instance, undo: contextlib.ExitStack) -> Start:
    """Look up what is to be started. Changes nothing.

    Raises InfernoError when the version is missing or broken, UsageError when this host cannot run VMs.
    """
    running = vm.running()
    chosen = running or versions.current(vm.paths, vm.name)
    try:
        record = versions.read(chosen) if chosen else None
    except BadRecordError as error:
        raise InfernoError(error.text, f"doit create:{vm.name} makes it again") from None
    if chosen is None or record is None:
        raise InfernoError(f"the current version of {vm.name} is missing", f"doit create:{vm.name}")
    if not versions.base_is_whole(chosen, record):
        raise InfernoError(f"the base of {vm.name} is damaged", f"doit create:{vm.name} makes it again")
    require((*host.START, *scratch.tools(vm.settings)))
    if not running:
        network_owner.check(vm.settings)
        overlap.check()
    start_format = None if running else handed.format_for(chosen.file(KILN_CONFIG))
    return Start(vm, chosen, record, undo, start_format)


def take_room(start: Start, *, overcommit: bool) -> None:
    """Count the start, unless the VM runs. Raises UsageError where this host has no room for it, or another
    INFERNO_ROOT has the network."""
    if start.running():
        return
    start.release = _admit(start.vm, start.version, start.record, overcommit=overcommit)
    start.undo.callback(start.release)


def take_room_of(vm: Instance, *, overcommit: bool) -> Callable[[], None] | None:
    """The same for the current version of a VM that is to be stopped before; return what ends it, if it is counted."""
    chosen = versions.current(vm.paths, vm.name)
    record = versions.usable(chosen) if chosen else None
    if chosen is None or record is None:  # `prepare` says what is wrong
        return None
    running = vm.running()
    return _admit(vm, chosen, record, overcommit=overcommit, instead_of=running.ulid if running else "")


def check_brought(vm: Instance) -> None:
    """Before a VM is stopped to be started again: raise UsageError for what its start could not bring."""
    chosen = versions.current(vm.paths, vm.name)
    record = versions.usable(chosen) if chosen else None
    if chosen is not None and record is not None:
        begun = Start(vm, chosen, record, contextlib.ExitStack(), handed.format_for(chosen.file(KILN_CONFIG)))
        _ = begun.brought


def _admit(
    vm: Instance, version: VersionDir, record: VersionRecord, *, overcommit: bool, instead_of: str = ""
) -> Callable[[], None]:
    from inferno.life import admission

    size = cgroup.Limits(record.spec.vcpus, record.spec.memory)
    return admission.admit(vm.settings, vm.name, version.ulid, size, overcommit=overcommit, instead_of=instead_of)


def network(start: Start) -> None:
    start.reconcile()
    vm = start.vm
    if not start.running():
        if start.release is None:  # this step alone: what it makes is this INFERNO_ROOT's
            start.undo.callback(network_owner.take(vm.settings))
        tap.check_free(vm.slot)
        start.undo.callback(together, *network_removals(vm))
    tap.ensure(vm.slot, vm.name, vm.uid, vm.gid)
    nft.ensure(vm.slot, vm.paths.ruleset)


def network_done(start: Start) -> bool:
    vm = start.vm
    if not start.running() and tap.in_use(vm.slot):  # by a VM of another INFERNO_ROOT: `network` says so
        return False
    return tap.matches(vm.slot, vm.name, vm.uid, vm.gid) and nft.matches(vm.slot)


def disk(start: Start) -> None:
    start.reconcile()
    if start.running():
        return
    start.undo.callback(scratch.remove, start.version)
    scratch.make(start.vm.settings, _need(start))


def disk_done(start: Start) -> bool:
    return start.running() or (start.untouched() and scratch.is_made(start.vm.settings, _need(start)))


def lay_out(start: Start) -> None:
    start.reconcile()
    if start.running():
        return
    start.undo.callback(jail.remove, start.version)
    jail.lay_out(start.version, start.record.exec_name, start.vm.gid)


def laid_out(start: Start) -> bool:
    return start.running() or (start.untouched() and jail.is_fresh(start.version, start.vm.gid))


def launched(start: Start) -> bool:
    return start.running()


def launch_it(start: Start) -> None:
    """Launch, and return once the image's process runs; then nothing is undone any more."""
    start.reconcile()
    if start.running():
        return
    if start.release is None:  # a task of somebody's own asked for this one
        take_room(start, overcommit=False)
    vm = start.vm
    if collector_client.ensure_running(vm.settings):
        collector_client.sync(vm.settings)  # what the run before said last is not of this one
    start.log_position = vm_logs.end(vm.paths, vm.name)
    start.undo.callback(_end, start)
    exit_status.forget(vm.paths, vm.name)
    vm.mark(start.version)
    start.run = start.brought.run
    run_history.begin(vm, start.version, start.run)
    jail.hand_over(start.version, start.brought.start, vm.gid, is_read=start.start_format is not None)
    with jail.opened(start.version) as root:
        collector_client.link_into(vm.paths, root)
    try:
        start.pid = launch.launch(_plan(start), vm.settings.start_timeout_s, start.brought.secrets)
    except InfernoError as error:
        start.failure = error.text
        if isinstance(error, launch.LaunchError):
            raise _explained(start, error) from None
        raise
    start.launched, start.brought.secrets = True, None
    start.undo.pop_all()
    if start.release:  # its cgroup counts from here on
        start.release()


STEPS = (
    Step("network", "make the VM's TAP, addresses and firewall elements", network, network_done),
    Step("disk", "make the VM's scratch disk", disk, disk_done),
    Step("jail", "lay the VM's jail out anew", lay_out, laid_out),
    Step("launch", "launch the jailer; done when the image's process runs", launch_it, launched),
)


def run(start: Start) -> bool:
    """All steps, in order; return whether the VM was started (it may run already). A failure undoes what was made."""
    with start.undo:
        for step in STEPS:
            if not step.done(start):
                step.act(start)
        start.undo.pop_all()
    return start.launched


def _need(start: Start) -> Need:
    template = Path(start.vm.settings.root, start.record.scratch_template)
    return Need(start.version, template, start.vm.uid, start.vm.gid)


def _plan(start: Start) -> launch.Plan:
    vm, spec = start.vm, start.record.spec
    jailer = start.version.file("jailer")
    try:  # root is about to execute it
        for program in (jailer, start.version.file(start.record.exec_name)):
            jail.check_trusted(program, 0o555)
    except FileNotFoundError as error:
        raise InfernoError(f"{error.filename} is missing", f"doit create:{vm.name}") from None
    io = {}
    if spec.io_max:
        disks = {cgroup.disk_of(path) for path in (start.version.base, start.version.scratch)}
        io = dict.fromkeys(disks, grammar.io_max(spec.io_max))
    limits = cgroup.Limits(spec.vcpus, spec.memory, io, spec.cpu_weight)
    return launch.Plan(
        jailer,
        start.version,
        start.record.exec_name,
        vm.uid,
        vm.gid,
        limits,
        max_file_bytes=scratch.size(start.version),  # the only file that has to be written
    )


def _end(start: Start) -> None:
    """Undo a launch: end what runs of it, keep what it says of its end."""
    ulid = start.version.ulid
    orphan_jailer.end(start.version)
    cgroup.kill(ulid)
    cgroup.wait_empty(ulid, time.monotonic() + _KILL_WAIT_S)
    exit_status.record(start.vm.paths, start.vm.name, start.version, start.failure)
    cgroup.remove(ulid)
    run_history.end(start.vm, "start")
    start.vm.unmark()


def _explained(start: Start, error: launch.LaunchError) -> InfernoError:
    """The reason, and the last lines: those that were on their way to the log, and those that got there."""
    vm = start.vm
    collector_client.sync(vm.settings)
    logged = vm_logs.tail(vm.paths, vm.name, _LAST_LINES, since=start.log_position)
    lines = tuple([*logged, *error.lines][-_LAST_LINES:])
    return InfernoError(f"{vm.name} did not start: {error.text}", f"infernoctl logs show --vm {vm.name}", lines)
