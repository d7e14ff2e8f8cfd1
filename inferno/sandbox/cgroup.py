"""The cgroup v2 leaf of a VM, inferno.slice/<ULID>: what limits it, says whether it runs, and ends it for certain.

Inferno makes the slice itself, beside systemd: systemd removes only cgroups of units it knows, and its attempts to
take a controller back from the root are refused by the kernel (EBUSY) while inferno.slice hands it on to leaves.
Both jailer and kiln, and what they start, live in the one leaf; the jailer joins it by `--parent-cgroup`.
"""

import contextlib
import errno
import os
import select
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.sandbox import kernel_thread

SLICE = "inferno.slice"
_MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "memory", "pids", "io")
CPU_PERIOD_US = 100_000
CHANGED = select.POLLPRI  # what poll(2) says of cgroup.events whenever its content changes
# What kiln and firecracker need beside the guest's memory: their own pages (under 10 MiB together; Firecracker's
# SPECIFICATION.md promises 5, kiln aims at 2), what is on its way through vsock, and room for the page cache of the
# disks, which counts here too. That is reclaimed before anything is killed, but not while it waits for a disk: with
# 32 a guest that used all its memory and wrote to a throttled disk was killed, now and then. In MiB.
OVERHEAD_MIB = 96
# Page tables grow with the guest: 8 bytes per 4 KiB page, once in the host's and once in KVM's (EPT/NPT) tables,
# is 1/256 of it; twice that is allowed.
PAGE_TABLE_SHARE = 128
# kiln, firecracker's API and VMM threads, KVM's recovery thread, and as many again; the vcpus' threads come on top.
OVERHEAD_TASKS = 16


class Limits(NamedTuple):
    """What one VM may use. `io` maps a device ("major:minor") to io.max words ("rbps=1048576 wiops=100")."""

    vcpus: int
    memory_mib: int
    io: Mapping[str, str] = MappingProxyType({})
    cpu_weight: int | None = None

    @property
    def memory_max(self) -> int:
        """In bytes: the guest's memory and the allowance for what runs around it."""
        return (self.memory_mib + OVERHEAD_MIB + self.memory_mib // PAGE_TABLE_SHARE) << 20

    def files(self) -> list[tuple[str, str]]:
        """The leaf's interface files and what is written to them."""
        return [
            ("cpu.max", f"{self.vcpus * CPU_PERIOD_US} {CPU_PERIOD_US}"),
            ("memory.max", str(self.memory_max)),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("pids.max", str(self.vcpus + OVERHEAD_TASKS)),
            *((("cpu.weight", str(self.cpu_weight)),) if self.cpu_weight else ()),
            *(("io.max", f"{device} {words}") for device, words in sorted(self.io.items())),
        ]


def disk_of(path: Path) -> str:
    """The "major:minor" that io.max knows a block device by, or the disk below a file: of a partition, the whole.

    Raises InfernoError when it is on no disk (a network's, or memory's).
    """
    info = os.stat(path)
    device = info.st_rdev if stat.S_ISBLK(info.st_mode) else info.st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    try:
        whole = place.resolve(strict=True).parent if (place / "partition").exists() else place
        return (whole / "dev").read_text().strip()
    except OSError:
        raise InfernoError(f"{path} is on no disk whose I/O can be limited", "leave out --io-max") from None


def mount() -> Path:
    """Where cgroup v2 is. Raises UsageError on a host that has only v1, or v2 beside it without controllers."""
    if (_MOUNT / "cgroup.controllers").exists():
        return _MOUNT
    raise UsageError(
        "this host has no unified cgroup v2 at /sys/fs/cgroup",
        "boot it with systemd.unified_cgroup_hierarchy=1 (the default since Debian 11)",
    )


def need_controllers(directory: Path) -> None:
    """Raises UsageError unless the children of `directory` can be given every controller that limits a VM."""
    absent = sorted(set(CONTROLLERS) - set((directory / "cgroup.controllers").read_text().split()))
    if absent:
        raise UsageError(
            f"this host's cgroup v2 has no {' and '.join(absent)} controller",
            "is it in use by cgroup v1, or turned off (cgroup_disable=) on the kernel's command line?",
        )


def parent(ulid: str) -> str:
    """What the jailer's --parent-cgroup is told."""
    return f"{SLICE}/{ulid}"


def create(ulid: str, limits: Limits, root: Path | None = None) -> bool:
    """Make the leaf and set its limits; return whether it was new. `root` is where cgroup v2 is mounted.

    Raises InfernoError when the kernel lacks a controller or refuses a limit.
    """
    leaf = _leaf(ulid, root or mount())
    new = _make(leaf)
    for name, value in limits.files():
        try:
            files.write_setting(leaf / name, value)
        except FileNotFoundError:
            if name == "memory.swap.max":  # a kernel without swap accounting has no swap to forbid
                continue
            raise InfernoError(f"this host's kernel has no cgroup limit {name}") from None
        except OSError as error:
            raise InfernoError(f"cgroup {name} = {value!r}: {error.strerror}") from None
    return new


def populated(ulid: str, root: Path | None = None) -> bool:
    """Whether anything runs in the leaf: this is what "the VM is running" means. One file is read."""
    try:
        descriptor = _events(ulid, root)
    except FileNotFoundError:
        return False
    try:
        return _populated(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def watched(ulid: str, root: Path | None = None) -> Iterator[tuple[int, Callable[[], bool]]]:
    """A descriptor on which poll(2) says CHANGED when the leaf may have become empty, and whether it is.

    Raises FileNotFoundError when the leaf is gone.
    """
    descriptor = _events(ulid, root)
    try:
        yield descriptor, lambda: not _populated(descriptor)
    finally:
        os.close(descriptor)


def running(root: Path | None = None) -> set[str]:
    """The ULIDs of all versions that run now."""
    return {ulid for ulid in leaves(root) if populated(ulid, root)}


def leaves(root: Path | None = None) -> set[str]:
    """The ULIDs of all leaves there are, running or left behind."""
    try:
        with os.scandir((root or _MOUNT) / SLICE) as entries:
            return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    except FileNotFoundError:
        return set()


def pids(ulid: str, root: Path | None = None) -> list[int]:
    """The PIDs in the leaf, in no order; none when it is gone."""
    try:
        return [int(line) for line in (_leaf(ulid, root) / "cgroup.procs").read_text().split()]
    except OSError:  # ENOENT, or ENODEV when it goes while it is read
        return []


def processes(ulid: str, root: Path | None = None) -> dict[int, int]:
    """The PIDs in the leaf with their sessions (0: not seen from here), without threads of the kernel's."""
    found = {}
    for pid in pids(ulid, root):
        with contextlib.suppress(ProcessLookupError):
            if not kernel_thread.name_of(pid):
                found[pid] = os.getsid(pid)
    return found


def add(ulid: str, pid: int, root: Path | None = None) -> None:
    """Move a process, or a thread of the kernel's, into the leaf. Raises OSError, as when there is none."""
    files.write_setting(_leaf(ulid, root) / "cgroup.procs", str(pid))


def wait_empty(ulid: str, deadline: float, root: Path | None = None) -> bool:
    """Wait until nothing runs in the leaf, or time.monotonic() passes `deadline`; return whether it is empty."""
    try:
        descriptor = _events(ulid, root)
    except FileNotFoundError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, CHANGED)
        while _populated(descriptor):
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0:
                return False
            poll.poll(left_ms)
        return True
    finally:
        os.close(descriptor)


def kill(ulid: str, root: Path | None = None) -> None:
    """SIGKILL everything in the leaf, forks in flight included. A leaf that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        files.write_setting(_leaf(ulid, root) / "cgroup.kill", "1")


def remove(ulid: str, root: Path | None = None) -> None:
    """Remove the leaf, and the slice with the last one. Raises InfernoError while something still runs in it."""
    leaf = _leaf(ulid, root)
    try:
        leaf.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InfernoError(f"cgroup {parent(ulid)} cannot be removed: {error.strerror}", "does it still run?") from None
    try:
        leaf.parent.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
            raise


def memory_events(ulid: str, root: Path | None = None) -> dict[str, int]:
    """The leaf's memory.events (low, high, max, oom, oom_kill …: counts since it was made); {} when it is gone."""
    lines = read(ulid, "memory.events", root).splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


def read(ulid: str, name: str, root: Path | None = None) -> str:
    """The leaf's interface file `name`; empty when the leaf is gone, or the kernel has no such file."""
    try:
        return (_leaf(ulid, root) / name).read_text()
    except OSError:  # ENOENT, or ENODEV when it goes while it is read
        return ""


def _events(ulid: str, root: Path | None) -> int:
    """cgroup.events, open. Raises FileNotFoundError when the leaf is gone, or goes while it is looked for."""
    path = _leaf(ulid, root) / "cgroup.events"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
        raise


def _leaf(ulid: str, root: Path | None) -> Path:
    """On a host without cgroup v2 there is no such path, so nothing runs there: `create` is who needs it."""
    return (root or _MOUNT) / SLICE / ulid


def _make(leaf: Path) -> bool:
    """mkdir, with the controllers handed down; again when a parallel remove took the empty slice away meanwhile."""
    for _ in range(100):
        try:
            leaf.parent.mkdir(exist_ok=True)
            _delegate(leaf.parent.parent)
            _delegate(leaf.parent)
            leaf.mkdir()
        except FileExistsError:
            return False
        except FileNotFoundError:
            continue
        return True
    raise InfernoError(f"cgroup {leaf} cannot be made: {SLICE} is removed again and again")


def _delegate(directory: Path) -> None:
    """Give the children of `directory` the controllers that are needed."""
    control = directory / "cgroup.subtree_control"
    missing = set(CONTROLLERS) - set(control.read_text().split())
    if not missing:
        return
    need_controllers(directory)
    files.write_setting(control, " ".join(f"+{name}" for name in sorted(missing)))


def _populated(descriptor: int) -> bool:
    try:
        return b"populated 1" in os.pread(descriptor, 4096, 0)
    except OSError as error:
        if error.errno == errno.ENODEV:  # the leaf was removed while its file was open
            return False
        raise
