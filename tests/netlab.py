"""A small network of real namespaces: a host, an outside behind a veth, and guests on real TAPs.

A guest is a namespace whose eth0 is a TAP of its own; a thread carries frames between that and the host's TAP, which it
opens as Firecracker does, after the uid was dropped. All goes away with the processes that hold the namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import selectors
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from types import TracebackType

from inferno.net import nft, tap
from inferno.state.slot import Slot

PORT = 7777
UPLINK, OUTSIDE = "198.51.100.1", "198.51.100.2"
DEADLINE_S = 20
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace, kept by a process that ends when its standard input closes."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout and self._holder.stdout.readline() == b"up\n"
        self.descriptor = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
        self.pid = self._holder.pid

    def close(self) -> None:
        os.close(self.descriptor)
        self._holder.communicate()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in the namespace, and so is what it opens and starts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(self.descriptor)
        try:
            yield
        finally:
            _enter(home)
            os.close(home)

    def ip(self, *commands: str) -> None:
        with self.inside():
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def open_tap(name: str) -> int:
    """Attach to a TAP with the flags that Firecracker uses; makes it when that is allowed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000 | 0x4000))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Lab:
    """Use in a `with`: `host`, `outside`, and `guests` (slots 0, 1 …), all with something listening on PORT."""

    def __init__(self, guests: int = 2) -> None:
        self.slots = [Slot(number) for number in range(guests)]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Lab:
        self.host, self.outside = self._namespace(), self._namespace()
        self.host.ip(
            f"link add up0 type veth peer name o0 netns {self.outside.pid}",
            f"addr add {UPLINK}/24 dev up0",
            "link set up0 up",
        )
        self.outside.ip(f"addr add {OUTSIDE}/24 dev o0", "link set o0 up")
        self.guests = [self._guest(slot) for slot in self.slots]
        for place in (self.host, self.outside, *self.guests):
            with place.inside():
                server = socket.create_server(("0.0.0.0", PORT), backlog=64)
            self._stack.callback(server.close)
            if place is self.outside:
                self.server = server
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def fence(self) -> None:
        with self.host.inside():
            for slot in self.slots:
                nft.ensure(slot)

    def _namespace(self) -> Namespace:
        namespace = Namespace()
        self._stack.callback(namespace.close)
        return namespace

    def _guest(self, slot: Slot) -> Namespace:
        guest = self._namespace()
        with self.host.inside():
            tap.ensure(slot, f"guest{slot.number}", os.getuid(), os.getgid())
            outer = open_tap(slot.tap)
        with guest.inside():
            inner = open_tap("eth0")
        guest.ip(
            f"link set eth0 address {slot.mac} up",
            f"addr add {slot.guest}/{slot.prefix_len} dev eth0",
            f"route add default via {slot.gateway}",
        )
        stop_read, stop_write = os.pipe()
        wire = threading.Thread(target=_carry, args=(outer, inner, stop_read))
        wire.start()

        def stop() -> None:
            os.close(stop_write)
            wire.join()
            for descriptor in (outer, inner, stop_read):
                os.close(descriptor)

        self._stack.callback(stop)
        return guest


def _carry(one: int, other: int, stop: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        selector.register(stop, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    return
                with contextlib.suppress(BlockingIOError, OSError):
                    os.write(key.data, os.read(key.fd, 65536))


def reaches(
    source: Namespace, address: str, *, bind: str = "0.0.0.0", port: int = PORT, within_s: float = DEADLINE_S
) -> bool:
    """Whether a TCP connection from `source` to `address` comes about."""
    with source.inside():
        connection = socket.socket()
    with connection:
        connection.settimeout(within_s)
        try:
            connection.bind((bind, 0))
            connection.connect((address, port))
        except (TimeoutError, ConnectionError, OSError):
            return False
    return True


def is_cut_off(source: Namespace, address: str, *, bind: str = "0.0.0.0", port: int = PORT) -> bool:
    """The opposite. A drop shows as no answer, of which 0.5 s have to do: an open way answers in less than 1 ms."""
    return not reaches(source, address, bind=bind, port=port, within_s=0.5)
