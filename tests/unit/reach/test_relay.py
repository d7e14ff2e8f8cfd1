"""The relay against a guest that is the other end of a socket pair: orders that only chance brings about in a VM."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

from inferno.reach import frame
from tests.conftest import CHECKOUT
from tests.guestlab import DEADLINE_S

# A process of its own, since signals are the main thread's. Its `poll` is the kernel's, after which the terminal's size
# changes: as where the signal comes when poll(2) has seen the input, and not yet returned.
_RELAY = """
import os, select, signal, socket, struct, sys
from inferno.reach import frame, relay
from inferno.reach.terminal import Size

guest = socket.socket(fileno=int(sys.argv[1]))
guest.setblocking(False)
sizes = [Size(24, 80), Size(40, 120)]
real = select.poll
class Late:
    def __init__(self):
        self.poll_for_real = real()
        self.register = self.poll_for_real.register
    def poll(self, timeout=None):
        found = self.poll_for_real.poll(timeout)
        if any(descriptor == 0 for descriptor, _ in found) and len(sizes) > 1:
            del sizes[0]
            os.kill(os.getpid(), signal.SIGWINCH)
        return found
relay.select.poll = Late
window = frame.encode(frame.WINDOW, struct.pack(">I", 1000))
ends = relay.Relay(guest, stdin=0, stdout=1, stderr=2, size=lambda: sizes[0])
sys.exit(ends.run(window).status)
"""


def _frames(guest: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """The next frames of a host's: kind and payload (docs/guest-api.md, "Streams")."""
    found = []
    for _ in range(count):
        head = guest.recv(8, socket.MSG_WAITALL)
        found.append((head[0], guest.recv(int.from_bytes(head[4:], "big"), socket.MSG_WAITALL)))
    return found


# Who leaves by the key \1, with a guest that says nothing unless it is told to.
_LEAVES = """
import socket, struct, sys
from inferno.reach import detach_keys, frame, relay

guest = socket.socket(fileno=int(sys.argv[1]))
guest.setblocking(False)
window = frame.encode(frame.WINDOW, struct.pack(">I", 1000))
keys = detach_keys.LeavingKeys(b"\\1")
relay._LEAVE_S = float(sys.argv[2])
ends = relay.Relay(guest, stdin=0, stdout=1, stderr=2, size=None, keys=keys)
try:
    sys.exit(ends.run(window).status)
except detach_keys.LeftError:
    sys.exit(99)
"""


def _leave(leave_s: float, answer: Callable[[socket.socket], None]) -> tuple[list[tuple[int, bytes]], int]:
    """What a guest hears of who types `a`, leaves and types `b`, before it does `answer`; and how that one ends."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    argv = [sys.executable, "-c", _LEAVES, str(theirs.fileno()), str(leave_s)]
    with ours, subprocess.Popen(argv, cwd=CHECKOUT, pass_fds=(theirs.fileno(),), stdin=subprocess.PIPE) as process:
        theirs.close()
        try:
            assert process.stdin is not None
            process.stdin.write(b"a\1b")
            process.stdin.flush()
            heard = _frames(ours, 2)
            answer(ours)
            return heard, process.wait(DEADLINE_S)
        finally:
            process.kill()


def test_who_leaves_says_so_and_waits_until_the_guest_has_heard_it() -> None:
    heard, status = _leave(DEADLINE_S * 2, lambda guest: guest.close())
    assert (heard, status) == ([(1, b"a"), (5, b"")], 99)


def test_a_guest_that_hangs_does_not_keep_who_leaves() -> None:
    assert _leave(0, lambda guest: None)[1] == 99


def test_a_command_that_ended_before_it_was_left_has_its_status() -> None:
    end = frame.encode(frame.EXIT, b'{"exit_code":7,"signal":null}')
    assert _leave(DEADLINE_S * 2, lambda guest: guest.sendall(end))[1] == 7


def test_a_new_size_goes_before_the_keys_that_were_typed_after_it() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    argv = [sys.executable, "-c", _RELAY, str(theirs.fileno())]
    with ours, subprocess.Popen(argv, cwd=CHECKOUT, pass_fds=(theirs.fileno(),), stdin=subprocess.PIPE) as process:
        theirs.close()
        assert process.stdin is not None
        try:
            # The size at the start is told once more: it may have changed on the way there.
            assert _frames(ours, 1) == [(3, b"\0\x18\0\x50")]
            process.stdin.write(b"hello\n")
            process.stdin.close()
            assert _frames(ours, 3) == [(3, b"\0\x28\0\x78"), (1, b"hello\n"), (2, b"")]
            ours.sendall(frame.encode(frame.EXIT, b'{"exit_code":7,"signal":null}'))
            assert process.wait(DEADLINE_S) == 7
        finally:
            process.kill()
