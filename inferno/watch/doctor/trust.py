"""Rules about what VMs are made from and as whom they run: filters, folders, uids, the fence."""

from __future__ import annotations

from inferno.artifact import firecracker, pins
from inferno.base.errors import InfernoError
from inferno.life import network_owner
from inferno.net import check, nft, overlap
from inferno.sandbox import cgroup
from inferno.settings import ENV_FILE
from inferno.state import guard
from inferno.state.slot import SLOTS
from inferno.watch.doctor.rule import NEEDED, NotApplicableError, Rule, UnknownError
from inferno.watch.doctor.world import World

_WEAKENING = ("--no-seccomp", "--seccomp-filter")
_FILTERED = "2"  # proc(5): SECCOMP_MODE_FILTER


def rules(world: World) -> list[Rule]:
    rule = world.rule
    return [
        rule(
            1, True, "Firecracker's seccomp filters", "they are what holds a guest that took Firecracker over", filtered
        ),
        rule(6, True, "folders that only root writes", "jailer and jails are made from what lies there", trusted),
        rule(6, False, "nobody trusted beside root", "a program of that user becomes root", only_root),
        rule(6, True, "INFERNO_ROOT closed to other users", "secrets, logs and private images lie there", closed),
        rule(7, True, "a uid and gid per VM", "VMs that share one can reach each other's jails", own_uids),
        rule(
            12, True, "the fence around guests", "a guest reaches the host, its neighbours, and cloud metadata", fenced
        ),
        rule(NEEDED, True, "a Firecracker with support", "leaks that are found in others are not mended", supported),
        rule(NEEDED, True, "a network for VMs that nobody else has", "VMs would take over addresses of others", alone),
        rule(18, True, "snapshots", "they hold guests' memory, and fill disks", no_snapshots),
        rule(20, True, "page-fault handlers", "a guest can flood them", no_handlers),
    ]


def filtered(world: World) -> None:
    for vm in world.observed():
        if any(word.startswith(_WEAKENING) for word in vm.kiln.firecracker.args):
            raise InfernoError(f"{vm.name} runs Firecracker without its filters", f"infernoctl create {vm.name}")
        for pid in cgroup.processes(vm.ulid):
            for task in world.file(f"proc/{pid}/task").iterdir():
                found = dict(
                    line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line
                )
                if found.get("Seccomp", "").strip() != _FILTERED:
                    thread = found.get("Name", task.name)
                    raise InfernoError(f"{vm.name}: thread {thread} of PID {pid} is not filtered", _restart(vm.name))


def _restart(name: str) -> str:
    return f"infernoctl restart {name}"


def trusted(world: World) -> None:
    guard.check(world.settings)


def only_root(world: World) -> None:
    if world.settings.trust_uid is not None:
        raise InfernoError(
            f"root runs and keeps what uid {world.settings.trust_uid} may change (INFERNO_TRUST_UID)",
            f"install Inferno and INFERNO_ROOT where root alone writes; take the line out of {ENV_FILE}",
        )


def closed(world: World) -> None:
    guard.check_closed(world.settings)


def own_uids(world: World) -> None:
    settings = world.settings
    for name, value in (("INFERNO_JAIL_UID", settings.jail_uid), ("INFERNO_JAIL_GID", settings.jail_gid)):
        if value is not None:
            raise InfernoError(f"{name}={value} makes all VMs share it", f"unset {name}; restart the VMs")
    mine = range(settings.uid_base, settings.uid_base + SLOTS)
    hint = "INFERNO_UID_BASE=N in /etc/inferno/env: the first of 16384 free ones"
    for file, kind in (("etc/passwd", "uid"), ("etc/group", "gid")):
        for name, _, number, *_ in (line.split(":") for line in _lines(world, file, 3)):
            if number.isdigit() and int(number) in mine:
                raise InfernoError(f"{kind} {number} of {name} is in the range of VMs", hint)
    for file in ("etc/subuid", "etc/subgid"):
        for name, first, count, *_ in (line.split(":") for line in _lines(world, file, 3)):
            if first.isdigit() and count.isdigit():
                theirs = range(int(first), int(first) + int(count))
                if theirs and mine[0] <= theirs[-1] and theirs[0] <= mine[-1]:
                    raise InfernoError(f"/{file} gives {name} ids of the range of VMs", hint)


def _lines(world: World, name: str, fields: int) -> list[str]:
    return [line for line in (world.read(name) or "").splitlines() if line.count(":") >= fields - 1]


def fenced(world: World) -> None:
    for running in world.observed():
        vm = running.vm
        try:
            check.check_tap(vm.slot, vm.name, vm.uid, vm.gid)
            check.check_fence(vm.slot)
            if not nft.matches(vm.slot):
                raise InfernoError("Docker's chain DOCKER-USER lacks the rules that let guests pass")
        except InfernoError as error:
            raise InfernoError(f"{vm.name}: {error.text}", f"doit network:{vm.name}") from None


def supported(world: World) -> None:
    """A release whose end is not announced does not make a host unfit by the calendar alone."""
    lapse = firecracker.lapse(world.settings.share_dir)
    if lapse and not lapse.is_certain:
        raise UnknownError(
            lapse.text, "a newer Inferno, or INFERNO_FIRECRACKER and INFERNO_JAILER with a newer release"
        )
    if lapse:
        raise InfernoError(lapse.text, f"infernoctl artifacts, where {pins.RELEASE.url} can be reached; then create")


def alone(world: World) -> None:
    network_owner.check(world.settings)
    overlap.check()


def no_snapshots(_: World) -> None:
    raise NotApplicableError("Inferno takes none")


def no_handlers(_: World) -> None:
    raise NotApplicableError("Inferno has none: guests' memory is anonymous")
