"""Asking init through a socket in a jail: the protocol, and every way in which the other side can be an attacker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.reach import vsock

# A process that listens as Firecracker does, takes one connection, and behaves: READ_LINE, READ_REQUEST and SLEEP
# are steps, anything else is sent as it is.
SERVER = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("control.sock")
listener.listen(1)
print("ready", flush=True)
peer, _ = listener.accept()
stream = peer.makefile("rb")
for step in sys.argv[1:]:
    if step == "READ_LINE":
        print(stream.readline(), flush=True)
    elif step == "READ_REQUEST":
        length = 0
        while (line := stream.readline()) != b"\\r\\n":
            print(line, flush=True)
            if line.startswith(b"Content-Length:"):
                length = int(line.split()[1])
        print(stream.read(length), flush=True)
    elif step == "SLEEP":
        signal.pause()
    elif step == "FLOOD":
        try:
            while True:
                peer.sendall(b"x" * 65536)
        except OSError:
            pass
    else:
        peer.sendall(step.encode().decode("unicode_escape").encode("latin-1"))
"""
GREET = ("READ_LINE", r"OK 1073741824\n")
PATIENCE_S = 10.0
Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """The `/` of a jail."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[subprocess.Popen[str]] = []

    def start(*steps: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-ISc", SERVER, *steps]
        process = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def answer(body: str, status: str = "200 OK") -> str:
    return rf"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n" + body.replace("\\", "\\\\")


def test_a_request_is_http_after_firecrackers_greeting(root: int, serve: Serve) -> None:
    server = serve(*GREET, "READ_REQUEST", answer('{"ok": true}'))
    body = {"signal": 15}
    assert vsock.request(root, "POST", "/v1/signal", body, timeout_s=PATIENCE_S) == {"ok": True}
    said, _ = server.communicate(timeout=PATIENCE_S)
    assert said.splitlines() == [
        r"b'CONNECT 10002\n'",
        r"b'POST /v1/signal HTTP/1.1\r\n'",
        r"b'Host: guest\r\n'",
        r"b'Content-Length: 14\r\n'",
        r"b'Connection: close\r\n'",
        """b'{"signal": 15}'""",
    ]


def test_a_connection_is_the_guests_from_the_first_byte_after_the_greeting(root: int, serve: Serve) -> None:
    serve("READ_LINE", r"OK 7\nat once")
    with vsock.connect(root, 52, time.monotonic() + PATIENCE_S) as guest:
        assert guest.recv(100) == b"at once"


def test_a_refusal_says_why_and_with_which_status(root: int, serve: Serve) -> None:
    serve(*GREET, "READ_REQUEST", answer(r'{"error": "it \u001b[2Jexited"}', "409 Conflict"))
    with pytest.raises(vsock.RefusedError, match="refused POST /v1/signal: ") as caught:
        vsock.request(root, "POST", "/v1/signal", {}, timeout_s=PATIENCE_S)
    assert caught.value.http_status == 409
    assert "\x1b" not in caught.value.text


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (("READ_LINE",), "nothing in the guest listens on vsock port 10002"),
        (("READ_LINE", r"NO\n"), "nothing in the guest listens"),
        (("READ_LINE", r"OK\n"), "nothing in the guest listens"),
        (("READ_LINE", r"OK x\n"), "nothing in the guest listens"),
        (("READ_LINE", "OK " + "1" * 1000), "nothing in the guest listens"),
        ((*GREET, "READ_REQUEST"), "in the middle"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "in the middle"),
        ((*GREET, "READ_REQUEST", r"\x00\xff\r\n\r\n"), "not HTTP"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\n\r\n{}"), "not HTTP"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\n{}"), "not HTTP"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}"), "too much"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}"), "not HTTP"),
        ((*GREET, "READ_REQUEST", r"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "not HTTP/1.1"),
        ((*GREET, "READ_REQUEST", answer("[")), "not JSON"),
        ((*GREET, "READ_REQUEST", answer("[" * 100_000)), "not JSON"),
        ((*GREET, "READ_REQUEST", "FLOOD"), "endless head"),
        ((*GREET, "FLOOD"), "endless head"),
        (("FLOOD",), "nothing in the guest listens"),
    ],
)
def test_what_is_no_answer_is_one_line(root: int, serve: Serve, steps: tuple[str, ...], says: str) -> None:
    serve(*steps)
    with pytest.raises(InfernoError, match=says) as caught:
        vsock.request(root, "GET", "/v1/ping", timeout_s=PATIENCE_S)
    assert "\n" not in caught.value.text


@pytest.mark.parametrize(
    "steps",
    [
        ("SLEEP",),
        ("READ_LINE", "O", "SLEEP"),
        (*GREET, "SLEEP"),
        (*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\n", "SLEEP"),
        (*GREET, "READ_REQUEST", r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", "SLEEP"),
    ],
)
def test_silence_ends_by_the_deadline_wherever_it_begins(root: int, serve: Serve, steps: tuple[str, ...]) -> None:
    serve(*steps)
    with pytest.raises(InfernoError, match=r"did not answer GET /v1/ping within 0\.3 s"):
        vsock.request(root, "GET", "/v1/ping", timeout_s=0.3)


def test_without_a_socket_the_guest_cannot_be_asked(root: int) -> None:
    with pytest.raises(InfernoError, match="cannot be asked: No such file"):
        vsock.request(root, "GET", "/v1/ping", timeout_s=PATIENCE_S)


def test_nothing_but_the_vms_own_socket_is_connected_to(root: int, serve: Serve, tmp_path: Path) -> None:
    name = tmp_path / "control.sock"
    serve("SLEEP")
    name.rename(tmp_path / "elsewhere.sock")
    name.symlink_to("elsewhere.sock")
    with pytest.raises(InfernoError, match="is not Firecracker's"):
        vsock.request(root, "GET", "/v1/ping", timeout_s=PATIENCE_S)
    for make in (os.mkfifo, os.mkdir):
        name.unlink()
        make(name)
        with pytest.raises(InfernoError, match="is not Firecracker's"):
            vsock.request(root, "GET", "/v1/ping", timeout_s=PATIENCE_S)


@pytest.mark.root
def test_the_socket_of_another_user_is_not_connected_to(root: int, serve: Serve, tmp_path: Path) -> None:
    serve("SLEEP")
    os.chown(tmp_path, 4711, 4711)
    with pytest.raises(InfernoError, match="is not Firecracker's"):
        vsock.request(root, "GET", "/v1/ping", timeout_s=PATIENCE_S)
