"""The log collector as the rest of Inferno sees it: started when a VM is, asked to write out what it has, ended.

One process per INFERNO_ROOT owns the socket that every jail has a hard link to, and another puts it back in its place
when it is killed. It ends by itself when it has no connection and its socket no other link, so a host whose VMs are
stopped runs nothing of ours. Whoever starts it makes the listening socket and hands it over: nobody waits for Python
to come up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.base import files, inotify, records
from inferno.base.errors import InfernoError
from inferno.logs.collector import handshake
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state.paths import Paths
from inferno.wire.shared import LOG_SOCKET

SYNC, STATUS, END = b"sync\n", b"status\n", b"end\n"
_BACKLOG = 1024
# Whoever asks is kept waiting no longer than this by a collector that is stopped or starved.
_PATIENCE_S = 5
_MAX_ANSWER_BYTES = 64 * 1024
# By INFERNO_ROOT: the connection that keeps a collector from ending before its socket is linked into a jail.
_held: dict[Path, socket.socket] = {}
# Collectors started by this process, which has to take note of their end.
_children: set[int] = set()


def ensure_running(settings: Settings) -> bool:
    """Start the collector unless it runs, also in place of one of another Inferno's that does not understand our kilns.

    It goes on until `link_into`, or the end of this process, at the least. Returns whether one ran, which may have
    lines to write still: a new one has none.

    Raises InfernoError when it cannot be started.
    """
    _reap()
    paths = Paths(settings.root)
    try:
        paths.collector.mkdir(mode=0o700, parents=True, exist_ok=True)
        with gate(paths):
            connection = _connect(paths)
            ran = connection is not None
            if connection is None:
                connection = _start(settings, paths)
            elif not _understands(paths):
                with connection:
                    connection = _start(settings, paths, connection)
    except BlockingIOError:  # it runs, but has more to accept than it can hold: waited for without the gate
        connection, ran = _connect(paths, wait=True), True
    except OSError as error:
        raise InfernoError(f"the log collector cannot be started: {error.strerror}") from None
    if connection is None:
        raise InfernoError("the log collector does not answer", "infernoctl logs restart")
    release(paths)
    _held[paths.root] = connection
    return ran


def revive(settings: Settings) -> None:
    """Start the collector if VMs run, and it does not, since both of its processes were killed.

    Best effort: who stops a VM, or reads its log, is not kept from that.
    """
    paths = Paths(settings.root)
    with contextlib.suppress(InfernoError):
        if cgroup.running() and _is_gone(paths):
            ensure_running(settings)
            release(paths)


def restart(settings: Settings) -> bool:
    """Start a new collector, in place of the one that runs, if any; return whether one ran. No line is lost.

    The new one makes itself known to the VMs, has the old one write out what it got, and begins when that has ended.
    """
    paths = Paths(settings.root)
    try:
        paths.collector.mkdir(mode=0o700, parents=True, exist_ok=True)
        with gate(paths):
            old = _connect(paths, wait=True)
            with old or contextlib.nullcontext():
                _start(settings, paths, old).close()
    except OSError as error:
        raise InfernoError(f"the log collector cannot be started: {error.strerror}") from None
    return old is not None


def link_into(paths: Paths, root: int) -> None:
    """Give the jail whose `/` is the descriptor `root` a link to the collector's socket, replacing what is there.

    The jail may have run: nothing in it is followed. Raises InfernoError when there is no socket, or no way.
    """
    temporary = f".{os.urandom(8).hex()}.tmp"
    try:
        os.link(paths.collector_socket, temporary, dst_dir_fd=root, follow_symlinks=False)
        try:
            os.rename(temporary, LOG_SOCKET, src_dir_fd=root, dst_dir_fd=root)
        finally:  # also when both names were the socket's already: then a rename does nothing
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=root)
    except OSError as error:
        raise InfernoError(f"the log collector's socket cannot be linked: {error.strerror}") from None
    release(paths)


def release(paths: Paths) -> None:
    """Let the collector end when it likes."""
    connection = _held.pop(paths.root, None)
    if connection is not None:
        connection.close()


def sync(settings: Settings) -> None:
    """Return once everything that VMs had sent before this call is in the files; nothing running is fine.

    Gives up after 5 s: a log that is late is not a reason to fail.
    """
    flush(Paths(settings.root))


def flush(paths: Paths) -> None:
    """The same, for a caller without settings."""
    with contextlib.suppress(OSError):
        _ask(paths, SYNC)


class CollectorStatus(NamedTuple):
    """What the collector says of itself: since when it runs, in seconds since 1970; how many connections it has; VMs
    that it heard of; bytes that it wrote; lines that it refused."""

    pid: int
    started_at: float
    connections: int
    vms: list[str]
    bytes: int
    refused: int


def status(paths: Paths) -> CollectorStatus | None:
    """What the collector says of itself; None when none runs. Raises InfernoError when it does not answer."""
    try:
        answer = _ask(paths, STATUS)
        return records.parse(CollectorStatus, answer, "its status", newer=True) if answer else None
    except PermissionError:  # not "it is broken": root's
        raise
    except (OSError, records.BadRecordError):
        raise InfernoError("the log collector does not answer", "infernoctl logs restart") from None


@contextlib.contextmanager
def gate(paths: Paths) -> Iterator[None]:
    """Held for moments: by what starts a collector, and by a collector while it decides to end."""
    with files.lock(paths.collector / "gate", "start or end the log collector", keep=True):
        yield


def _ask(paths: Paths, request: bytes) -> bytes | None:
    """Send a request, return all that is answered until the collector hangs up; None when none runs."""
    connection = _connect(paths, wait=True)
    if connection is None:
        return None
    answer = b""
    with connection:
        connection.settimeout(_PATIENCE_S)
        connection.sendall(request)
        while len(answer) < _MAX_ANSWER_BYTES:
            data = connection.recv(4096)
            if not data:
                break
            answer += data
    return answer


def _protocol(paths: Paths) -> Path:
    return paths.collector / "protocol"


def _understands(paths: Paths) -> bool:
    """Whether the collector that runs speaks as the kilns of this Inferno do."""
    try:
        return _protocol(paths).read_text() == handshake.PROTOCOL
    except FileNotFoundError:
        return False


def _is_gone(paths: Paths) -> bool:
    """Whether nobody listens."""
    try:
        connection = _connect(paths)
    except OSError:
        return False
    if connection is None:
        return True
    connection.close()
    return False


def _connect(paths: Paths, *, wait: bool = False) -> socket.socket | None:
    """A connection to the collector; None when nobody listens. A full queue: waits, or raises BlockingIOError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if wait:  # connect(2) of a UNIX socket heeds this, and Python's own timeout does not wait for the queue
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _PATIENCE_S, 0))
        else:
            connection.setblocking(False)
        with _directory(paths) as name:
            connection.connect(f"{name}/{paths.collector_socket.name}")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _directory(paths: Paths) -> Iterator[str]:
    """A short name of the collector's directory: a socket's path has at most 107 bytes."""
    descriptor = os.open(paths.collector, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _start(settings: Settings, paths: Paths, old: socket.socket | None = None) -> socket.socket:
    """Make the socket, complete before it has its name; connect; hand it to a new process.

    `old` is a connection to the collector that the new one is to end.
    """
    making = ".making.sock"
    with contextlib.ExitStack() as held:
        directory = held.enter_context(_directory(paths))
        listener = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        (paths.collector / making).unlink(missing_ok=True)
        held.callback((paths.collector / making).unlink, missing_ok=True)
        listener.bind(f"{directory}/{making}")
        os.chmod(paths.collector / making, 0o666)  # VMs connect through their links; this directory is root's alone
        listener.listen(_BACKLOG)
        files.write(_protocol(paths), handshake.PROTOCOL, 0o600)
        os.rename(paths.collector / making, paths.collector_socket)
        name = os.open(paths.collector_socket, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        held.callback(os.close, name)
        links = inotify.opened()
        held.callback(os.close, links)
        inotify.watch(links, paths.collector_socket, inotify.ATTRIB)
        connection = _connect(paths)
        assert connection is not None
        _spawn(settings, paths, [listener.fileno(), name, links, *([old.fileno()] if old else [])])
    return connection


def _spawn(settings: Settings, paths: Paths, descriptors: list[int]) -> None:
    from inferno.base import processes

    program = Path(__file__).with_name("collector") / "__main__.py"
    argv = [sys.executable, "-I", "-S", str(program), *map(str, descriptors)]
    with open(paths.collector / "stderr", "wb") as errors:
        process = processes.spawn(
            argv, stdout=processes.DEVNULL, stderr=errors, whole_env=settings.environ(), cwd="/",
            pass_fds=descriptors, new_session=True,
        )  # fmt: skip
    process.returncode = 0  # Popen would complain that nobody waits for it
    _children.add(process.pid)


def _reap() -> None:
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.discard(pid)
