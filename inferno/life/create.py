"""What `create` does beyond the files of a version: the slot, the database, what the new version replaces.

Each step pushes its undo onto the VM's stack, which is unwound when a later one fails, and dropped once all is on
record. The caller holds the VM's lock.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from inferno.base import files
from inferno.base.named_tuple import NamedTuple
from inferno.life import host
from inferno.settings import Settings
from inferno.state import vm_record
from inferno.state.database import State, VmRow
from inferno.state.paths import Paths
from inferno.state.slot import Slot
from inferno.version import versions
from inferno.version.plan import Plan

if TYPE_CHECKING:
    from inferno.version.make import Made


class Network(NamedTuple):
    tap_device: str
    guest_ip: str
    gateway_ip: str
    mac_address: str


class Created(NamedTuple):
    """What create answers: the current version and what on this host is the VM's own. The shape is the predecessor's;
    `volume` is always None."""

    name: str
    version: str
    chroot_dir: str
    network: Network
    volume: None


def check(plan: Plan, state: State) -> None:
    """Raises UsageError, before anything is changed: this host cannot give what was asked, or the name is taken."""
    host.check_size(plan.spec.vcpus, plan.spec.memory)
    if state.vm(plan.name) is None:
        state.check_host_name(plan.name)


def reserve(plan: Plan, state: State, undo: contextlib.ExitStack) -> Slot:
    """The VM's slot; a new VM gets one, which is given back when a later step fails."""
    known = state.vm(plan.name)
    if known is None or known.version is None:  # the latter: left by a create that was killed

        def forget() -> None:
            files.remove_tree(plan.paths.vm(plan.name))  # first: on a full disk the database needs the room
            state.remove(plan.name)

        undo.callback(forget)
    return Slot(state.reserve(plan.name, is_new=True).slot)


def slot_number(plan: Plan, state: State) -> int | None:
    """The VM's slot, if it has one: then it is an input of what is made for it."""
    row = state.vm(plan.name)
    return row.slot if row else None


def is_current(plan: Plan, state: State) -> bool:
    """Whether the version on record is the current one, with every file of it in place."""
    row = state.vm(plan.name)
    if row is None or row.version is None or not versions.intact(plan.paths, plan.name, row.version):
        return False
    noted = versions.is_noted(plan.paths, plan.name, plan.paths.version(row.version))
    return noted and vm_record.is_written(plan.paths, row)


def create(plan: Plan, state: State, undo: contextlib.ExitStack) -> Made:
    """Make the version and put it on record; then remove what it replaces. Raises InfernoError.

    What fails after the version is on record leaves it there: the next create goes on with the removal.
    """
    # A create that has nothing to do is not to load what makes versions, nor the ends of VMs.
    from inferno.life import destroy
    from inferno.sandbox import cgroup
    from inferno.version import make
    from inferno.version.prune import sweep

    slot, before = reserve(plan, state, undo), state.vm(plan.name)
    made = make.create(plan, slot)
    if made.is_new:
        undo.callback(make.take_back, plan.paths, plan.name, made)
    if before and before.spec is not None and before.version is not None:
        undo.callback(_record, plan, state, before.spec, before.version)
    _record(plan, state, plan.spec.to_json(), made.ulid)
    versions.note_current(plan.paths, plan.name, plan.paths.version(made.ulid))
    undo.pop_all()
    _keep_end(plan, state)
    sweep(plan.paths, plan.name, cgroup.populated)
    destroy.forget_unfinished(plan.settings, state)
    return made


def _record(plan: Plan, state: State, spec: dict[str, object], version: str) -> None:
    """In the database, and beside the VM's files."""
    state.save(plan.name, spec, version)
    saved = state.vm(plan.name)
    assert saved is not None
    vm_record.write(plan.paths, saved)


def _keep_end(plan: Plan, state: State) -> None:
    """The version that ended by itself may be swept: what it says of its end is not to go with it."""
    from inferno.life.instance import Instance

    row = state.vm(plan.name)
    vm = Instance.of(plan.settings, row) if row else None
    if vm and vm.started():
        from inferno.life.reconcile import reconcile

        reconcile(vm, "create", network=False)


def describe(settings: Settings, row: VmRow) -> Created:
    """The line that create prints: the predecessor's shape."""
    slot = Slot(row.slot)
    network = Network(slot.tap, slot.guest, slot.gateway, slot.mac)
    jail = str(Paths(settings.root).version(str(row.version)).jail)
    return Created(row.name, str(row.version), jail, network, None)
