"""The collector's loop: one thread, one epoll; every VM is read a bounded piece per turn, so none waits for another."""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import os
import select
import signal
import socket
import sqlite3
import time
from pathlib import Path

from inferno.base import inotify, records
from inferno.base.errors import InfernoError
from inferno.logs import collector_client
from inferno.logs.collector import sender
from inferno.logs.collector.compress import Compressor
from inferno.logs.collector.connection import Peer
from inferno.logs.collector.log_file import Limits, LogFile
from inferno.logs.collector.rate import Rate
from inferno.settings import Settings
from inferno.state.paths import Paths

# What one turn handles of each kind; the kernel hands out the rest in the next one, in order.
_EVENTS, _ACCEPTS = 64, 64
# kiln has one connection. While a VM is stopped and started at once there may be old ones that are not read out yet.
_CONNECTIONS_PER_UID = 4


class Server:
    """Takes the connections of all kilns, and ends when none is left.

    `listener` is the listening socket, `name` its file, `links` an inotify that watches that.
    They are the starter's: by the time that this process runs, another collector may have the name.
    """

    def __init__(self, settings: Settings, listener: socket.socket, name: int, links: int) -> None:
        self._settings = settings
        self._paths = Paths(settings.root)
        self._listener = listener
        self._links = links
        self._name = name
        self._compressor = Compressor()
        self._combined = self._log(self._paths.combined_log)
        self._turn: list[bytes] = []  # what this turn brought, for the combined log
        self._heard: dict[int, Peer] = {}  # and from whom
        self._logs: dict[str, LogFile] = {}
        self._rates: dict[str, Rate] = {}  # kept while there is something to remember: a VM may connect anew
        self._peers: dict[int, Peer] = {}
        self._connections: collections.Counter[int | str] = collections.Counter()  # by uid, and by VM
        self._controls: dict[int, socket.socket] = {}
        self._check = True  # whether something changed that may leave nobody who can send
        self._ending = False
        self._started_at = time.time()
        self._bytes = self._refused = 0
        listener.setblocking(False)
        self._epoll = select.epoll()
        self._signals = _signals()
        for descriptor in (listener.fileno(), links, self._signals.fileno()):
            self._epoll.register(descriptor, select.EPOLLIN)

    def say(self, line: bytes) -> None:
        """Write a line of its own into the combined log."""
        self._combined.write(line)

    def serve(self) -> None:
        """Until nobody can send any more, or somebody with the right to says so."""
        while not self._ending:
            while self._check:
                if self._unreachable():
                    return
            for descriptor, _ in self._epoll.poll(maxevents=_EVENTS):
                self._handle(descriptor)
            self._finish_turn()
        self._end()

    def _handle(self, descriptor: int) -> None:
        if peer := self._peers.get(descriptor):
            self._read(peer)
        elif control := self._controls.get(descriptor):
            self._answer(control)
        elif descriptor == self._listener.fileno():
            self._accept()
        elif descriptor == self._links:
            inotify.drain(self._links)
            self._check = True
        elif descriptor == self._signals.fileno():
            self._ending = True

    def _accept(self) -> int:
        """Take what connections wait, some per turn; return how many there were."""
        for number in range(_ACCEPTS):
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                # EINVAL: it was shut down. What else there is (no descriptor is left) the next turn tries again.
                return number if error.errno in (errno.EAGAIN, errno.EINVAL) else number + 1
            connection.setblocking(False)
            pid, uid = sender.credentials(connection)
            if uid == os.geteuid():
                self._controls[connection.fileno()] = connection
            elif (peer := self._peer(connection, pid, uid)) is not None:
                self._peers[connection.fileno()] = peer
            else:
                connection.close()
                self._check = True
                continue
            self._epoll.register(connection, select.EPOLLIN)
        return _ACCEPTS

    def _peer(self, connection: socket.socket, pid: int, uid: int) -> Peer | None:
        if self._settings.jail_uid is None and self._connections[uid] >= _CONNECTIONS_PER_UID:
            return None
        try:
            found = sender.find(self._settings, pid, uid)
        except (InfernoError, sqlite3.Error):  # the sender tries again
            return None
        if found is None:
            return None
        if found.name not in self._logs:
            self._logs[found.name] = self._log(self._paths.log(found.name))
        self._connections.update((uid, found.name))
        rate = self._rates.setdefault(found.name, Rate(self._settings.log_max_rate))
        return Peer(connection, uid, found, self._logs[found.name], rate)

    def _read(self, peer: Peer) -> int:
        count, lines = peer.read()
        self._bytes += count
        if lines:
            self._turn.append(lines)
        self._heard[peer.connection.fileno()] = peer
        return count

    def _forget(self, peer: Peer) -> None:
        self._refused += peer.refused
        del self._peers[peer.connection.fileno()]
        peer.connection.close()
        self._check = True
        name = peer.sender.name
        self._connections.subtract((peer.uid, name))
        if not self._connections[name]:
            self._logs.pop(name).close()
            if self._rates[name].is_full():
                del self._rates[name]
        for key in (peer.uid, name):
            if not self._connections[key]:
                del self._connections[key]

    def _finish_turn(self) -> None:
        """Write the combined log; then what was read is in all files, and those who sent it may know."""
        self._combined.write(b"".join(self._turn))
        self._turn.clear()
        for peer in self._heard.values():
            peer.acknowledge()
            if peer.ended:
                self._forget(peer)
        self._heard.clear()

    def _answer(self, control: socket.socket) -> None:
        try:
            request = control.recv(64)
            if request == collector_client.SYNC:
                self._drain()
            elif request == collector_client.STATUS:
                control.send(json.dumps(records.plain(self._status())).encode())
            elif request == collector_client.END:
                self._ending = True
                return  # its end is the answer
        except BlockingIOError:
            return
        except OSError:
            pass
        del self._controls[control.fileno()]
        control.close()
        self._check = True

    def _status(self) -> collector_client.CollectorStatus:
        return collector_client.CollectorStatus(
            pid=os.getpid(),
            started_at=self._started_at,
            connections=len(self._peers),
            vms=sorted(self._logs),
            bytes=self._bytes,
            refused=self._refused + sum(peer.refused for peer in self._peers.values()),
        )

    def _drain(self) -> None:
        """Write out what has been sent until now, and no more of it: who goes on sending delays nobody."""
        self._finish_turn()  # what this turn had brought before
        for peer in list(self._peers.values()):
            left = peer.pending()
            while left > 0 and (count := self._read(peer)):
                left -= count
            self._turn.append(peer.complain())
            self._finish_turn()

    def _unreachable(self) -> bool:
        """Whether nobody is connected, and nobody can connect. Then the socket's name is gone, too."""
        self._check = False
        if self._peers or self._controls:
            return False
        if not self._names():  # INFERNO_ROOT was removed, or another collector took every name
            return not self._accept()
        with collector_client.gate(self._paths):  # nobody links the socket somewhere now
            if self._accept() or self._names() > int(self._is_mine()):
                return False
            self._unlink()
            return True

    def _names(self) -> int:
        """How many names the socket has: its own, and those in jails."""
        return os.fstat(self._name).st_nlink

    def _is_mine(self) -> bool:
        """Whether the socket's own name still leads here: another may have been put in its place by hand."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._name), os.stat(self._paths.collector_socket, follow_symlinks=False))
        return False

    def _unlink(self) -> None:
        if self._is_mine():
            self._paths.collector_socket.unlink(missing_ok=True)

    def _end(self) -> None:
        """End without a loss: who sends is told that nobody reads any more, and keeps the line it is in."""
        with collector_client.gate(self._paths):  # no other begins before this one has ended
            self._unlink()
            self._listener.shutdown(socket.SHUT_RD)  # what connects from now on is refused, and knows it
            while self._accept():
                pass
            for peer in list(self._peers.values()):
                with contextlib.suppress(OSError):
                    peer.connection.shutdown(socket.SHUT_RD)
                while not peer.ended:
                    self._read(peer)
                self._finish_turn()

    def _log(self, log: Path) -> LogFile:
        self._compressor.add_left(log)
        limits = Limits(self._settings.log_max_size_mb << 20, self._settings.log_max_files)
        return LogFile(log, limits, self._compressor.add)


def _signals() -> socket.socket:
    """A socket that is readable after SIGTERM or SIGINT."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.detach())
    return reader
