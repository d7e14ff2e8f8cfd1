"""Writing, removing and locking files so that a kill at any instant leaves either the old state or the new one.

`infernoctl list` loads this, so what only writers need is imported by them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from _thread import get_native_id  # threading would be for nothing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferno.base import waiting
from inferno.base.errors import InfernoError, UsageError

# The latter when it cannot make its index of the log as large as it must be.
# The last is what writing to a database means that was opened for reading, since there was no room for more.
_SQLITE_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_READONLY")


class BusyError(InfernoError):
    """Somebody else holds the lock; the text says who."""


def write(path: Path, content: bytes | str, mode: int = 0o600) -> bool:
    """Make `path` hold `content`, atomically. Returns whether the content had to change.

    With the same bytes nothing is done, but that `mode` is put right: a release before may have let more people read.
    """
    data = content.encode() if isinstance(content, str) else content
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode)
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    import tempfile

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return True


def private(path: str, flags: int) -> int:
    """For `open(…, opener=private)`: what is made is its owner's alone."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however often write(2) has to be called. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def write_setting(path: Path, value: str) -> None:
    """Tell the kernel a value: one write(2), as its files want it, into a file that must exist. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left; the caller holds the lock under which alone it is written."""
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)


def write_json(path: Path, value: Any, mode: int = 0o600) -> bool:
    """`write` of indented JSON; same value, same bytes."""
    return write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", mode)


def symlink(target: str, path: Path) -> None:
    """Make `path` a symlink to `target`, atomically replacing what was there."""
    temporary = path.with_name(f".{path.name}.{get_native_id()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    os.replace(temporary, path)


def link(target: Path, path: Path) -> None:
    """Make `path` another name of the file `target`, atomically replacing what was there."""
    temporary = path.with_name(f".{path.name}.{get_native_id()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    os.link(target, temporary)
    os.replace(temporary, path)
    with contextlib.suppress(FileNotFoundError):  # rename(2) leaves both names where both are of one file already
        temporary.unlink()


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder in `parent` for the time of the `with`. What killed users of the same prefix left is removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_stale(parent, prefix)
    with contextlib.ExitStack() as held:
        folder = _new_folder(parent, prefix, held)
        try:
            yield folder
        finally:
            remove_tree(folder)


def _new_folder(parent: Path, prefix: str, held: contextlib.ExitStack) -> Path:
    """A new folder, locked; again when somebody took it for stale between the two."""
    import tempfile

    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=parent))
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            attempt = contextlib.ExitStack()
            attempt.enter_context(_locked_folder(folder))
            if folder.exists():
                held.push(attempt)
                return folder
            attempt.close()


def remove_stale(parent: Path, prefix: str) -> None:
    """Remove the temporary folders of a prefix whose users were killed."""
    for stale in parent.glob(f"{prefix}*.tmp"):
        with contextlib.suppress(OSError), _locked_folder(stale):
            remove_tree(stale)


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[Path]:
    """Hold an flock on the folder itself. Raises BlockingIOError when its user lives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def nameless(folder: Path) -> Iterator[int]:
    """An empty file on the disk of `folder`, without a name: the kernel frees it with its last descriptor, however
    that goes. `give_name` keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def give_name(descriptor: int, path: Path) -> None:
    """Put a nameless file where `path` says, whole and synced. Raises FileExistsError when something is there."""
    os.fsync(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a directory's descriptor Python calls linkat, which follows /proc's link: open(2), O_TMPFILE.
        os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)


def is_full(error: BaseException) -> bool:
    """Whether it is that of a full disk or a used-up quota: the system's own, or SQLite's."""
    import errno

    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorname", "") in _SQLITE_FULL


def disk_full(where: Path, needed: int | None = None) -> UsageError:
    """What a user is told when the disk of `where` is full; `needed` is in bytes, where that is known."""
    there = next(path for path in (where, *where.parents) if path.exists())
    free = os.statvfs(there)
    room = f"{(free.f_bavail * free.f_frsize) >> 20} MiB free"
    text = f"{room}, at least {-(-needed >> 20)} MiB needed" if needed else room
    return UsageError(f"no space left on the disk of {where} ({text})", "free some, or move INFERNO_ROOT")


def sync(path: Path) -> None:
    """Write a file to disk, or which names a folder has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Write everything below `path` to disk, so that a rename of it may follow (a power cut keeps the order)."""
    for folder, _, names in os.walk(path):
        for name in [*names, "."]:
            entry = Path(folder, name)
            if name == "." or stat.S_ISREG(entry.lstat().st_mode):
                sync(entry)


def remove_tree(path: Path) -> None:
    """Delete `path` and all below it by descriptor, following no symlink on the way; nothing there is fine."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    import shutil

    # CPython's rmtree works with dir_fd and O_NOFOLLOW where the platform has them, as Linux does.
    assert shutil.rmtree.avoids_symlink_attacks
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def open_regular(path: Path) -> int:
    """A file open for reading. Raises OSError, also when it is not a regular file.

    It is looked at before it is opened: opening a device may act on it, and a pipe would wait for its writer.
    """
    seen = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(seen)


def identity(path: Path) -> list[int]:
    """What the file system says of a file: a changed one has another. Raises InfernoError when it is missing."""
    found = identity_if_there(path)
    if found is None:
        raise InfernoError(f"{path} is an input, and missing")
    return found


def identity_if_there(path: Path | str) -> list[int] | None:
    """The same of what an earlier task makes, and may not have made yet; None then."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return None
    return [info.st_mtime_ns, info.st_size, info.st_ino]


def sha256(path: Path) -> str:
    """The hex sha256 of a file's content."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(
    path: Path, what: str, *, wait: bool = True, shared: bool = False, keep: bool = False, tell: bool = False
) -> Iterator[None]:
    """Hold an flock on `path` (made when missing, removed on release unless `keep`).

    `what` is written into it, for the one who finds it busy. Without `wait` raises BusyError naming the holder; with
    `tell` that is said, and waited.
    The kernel drops the lock with its holder, however that ends, so no lock is ever stale.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = _acquire(path, what, wait and not tell, shared)
    except BusyError as busy:
        if not wait:
            raise
        waiting.say(busy.text)
        descriptor = _acquire(path, what, wait, shared)
    try:
        if not shared:
            with contextlib.suppress(OSError):  # a full disk: who frees it needs the lock, not the word
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()}: {what}".encode(), 0)
        yield
    finally:
        if not shared and not keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        os.close(descriptor)


def _take(descriptor: int, kind: int, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        from inferno.base import interruption

        interruption.wait_for(lambda: fcntl.flock(descriptor, kind))


def _acquire(path: Path, what: str, wait: bool, shared: bool) -> int:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _take(descriptor, kind, wait)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise BusyError(f"{path.name.removeprefix('vm-')} is busy ({holder}); wanted: {what}") from None
        except BaseException:
            os.close(descriptor)  # the lock goes with it, even if a thread that was left waiting gets it
            raise
        # The last holder may have removed the file while this process waited: then the lock is on a ghost.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                return descriptor
        os.close(descriptor)
