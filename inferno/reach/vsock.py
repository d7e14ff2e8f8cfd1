"""Talks to init in a guest, through the socket that Firecracker has in the VM's jail.

Whatever answers may be an attacker: the socket is found by descriptor and must be the VM's own, every step has the
same deadline, and an answer has a limit. The way in is Firecracker's (docs/vsock.md, "Host-initiated connections"):
`CONNECT <port>`, then `OK <its own port>`, then the bytes are the guest's.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any

from inferno.base.errors import InfernoError
from inferno.base.text import printable
from inferno.wire.shared import API_PORT, VSOCK_SOCKET

_MAX_GREETING_BYTES = 64
_MAX_HEAD_BYTES = 8 * 1024
_MAX_BODY_BYTES = 1 << 20
_SWITCHING = 101


class RefusedError(InfernoError):
    """Init understood, and said no: `http_status` is a 4xx or 5xx, `answer` the JSON that came with it."""

    def __init__(self, text: str, http_status: int, answer: Any = None) -> None:
        super().__init__(text)
        self.http_status = http_status
        self.answer = answer


def request(root: int, method: str, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float) -> Any:
    """Ask init; return the parsed JSON of its answer. `root` is a descriptor of the jail's `/`.

    Raises RefusedError for an answer that says no, InfernoError when there is none within `timeout_s` seconds.
    """
    what = f"{method} {path}"
    with _deadline(what, timeout_s) as deadline, connect(root, API_PORT, deadline) as guest:
        _ask(guest, what, body, ["Connection: close"], deadline)
        status, fields, rest = _receive_head(guest, deadline)
        answer = _receive_body(guest, fields, rest, deadline)
    _check(what, status, answer)
    return answer


def upgrade(
    root: int, method: str, path: str, body: Mapping[str, object], protocol: str, *, timeout_s: float
) -> tuple[socket.socket, bytes]:
    """Ask for what makes the connection speak `protocol`; return it, non-blocking, and what came of that already.

    Raises as `request` does.
    """
    what = f"{method} {path}"
    with _deadline(what, timeout_s) as deadline, contextlib.ExitStack() as held:
        guest = held.enter_context(connect(root, API_PORT, deadline))
        _ask(guest, what, body, ["Connection: Upgrade", f"Upgrade: {protocol}"], deadline)
        status, fields, rest = _receive_head(guest, deadline)
        if status == _SWITCHING and fields.get("upgrade") == protocol:
            guest.setblocking(False)
            held.pop_all()
            return guest, rest
        answer = _receive_body(guest, fields, rest, deadline)
    _check(what, status, answer)
    raise InfernoError(f"the guest answered {what} with no stream")


@contextlib.contextmanager
def _deadline(what: str, timeout_s: float) -> Iterator[float]:
    """Until when `what` may be asked, as time.monotonic() has it. Raises InfernoError for no answer until then, and for
    a connection that fails."""
    try:
        yield time.monotonic() + timeout_s
    except TimeoutError:
        raise InfernoError(f"the guest did not answer {what} within {timeout_s:g} s") from None
    except OSError as error:
        raise InfernoError(f"the guest cannot be asked: {error.strerror or error}") from None


def _ask(
    guest: socket.socket, what: str, body: Mapping[str, object] | None, fields: list[str], deadline: float
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{what} HTTP/1.1", "Host: guest", f"Content-Length: {len(content)}", *fields]
    _send(guest, "\r\n".join([*head, "", ""]).encode() + content, deadline)


def _check(what: str, status: int, answer: Any) -> None:
    if status >= 400:
        said = answer.get("error") if isinstance(answer, dict) else None
        raise RefusedError(f"the guest refused {what}: {printable(str(said or status))}", status, answer)


def connect(root: int, port: int, deadline: float) -> socket.socket:
    """A connection to what listens on the guest's vsock `port`; `deadline` is of time.monotonic().

    Raises InfernoError when nobody does, OSError when there is no such socket, TimeoutError.
    """
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _wait(guest, deadline)
        pinned = _pin(root)
        try:
            guest.connect(f"/proc/self/fd/{pinned}")
        finally:
            os.close(pinned)
        _send(guest, f"CONNECT {port}\n".encode(), deadline)
        _read_greeting(guest, port, deadline)
    except BaseException:
        guest.close()
        raise
    return guest


def _pin(root: int) -> int:
    """The socket itself, not its name, which the jail may give to something else at any moment."""
    pinned = os.open(VSOCK_SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    info = os.fstat(pinned)
    # root's own socket in there is the log collector's.
    if stat.S_ISSOCK(info.st_mode) and info.st_uid == os.fstat(root).st_uid:
        return pinned
    os.close(pinned)
    raise InfernoError(f"{VSOCK_SOCKET} in the jail is not Firecracker's")


def _read_greeting(guest: socket.socket, port: int, deadline: float) -> None:
    """Byte by byte: what follows the line is the guest's."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _MAX_GREETING_BYTES:
        byte = _read(guest, 1, deadline)
        if not byte:
            break
        line += byte
    word, _, number = line.removesuffix(b"\n").partition(b" ")
    if word != b"OK" or not number.isdigit() or not line.endswith(b"\n"):
        raise InfernoError(f"nothing in the guest listens on vsock port {port}")


def _receive_head(guest: socket.socket, deadline: float) -> tuple[int, dict[str, str], bytes]:
    """The status, the fields by their names in small letters, and what came of the body already."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 and len(data) <= _MAX_HEAD_BYTES:
        data += _more(guest, deadline)
    if not 0 <= end <= _MAX_HEAD_BYTES:
        raise InfernoError("the guest answered with an endless head")
    first, *fields = data[:end].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    named = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    status = _number(rest[:3])
    if version != "HTTP/1.1":
        raise InfernoError("the guest answered in something that is not HTTP/1.1")
    return status, named, data[end + 4 :]


def _receive_body(guest: socket.socket, fields: dict[str, str], body: bytes, deadline: float) -> Any:
    """The JSON of Content-Length bytes."""
    length = _number(fields.get("content-length", ""))
    if length > _MAX_BODY_BYTES:
        raise InfernoError("the guest answered with too much")
    while len(body) < length:
        body += _more(guest, deadline)
    try:
        return json.loads(body[:length])
    except (ValueError, RecursionError):
        raise InfernoError("the guest answered with something that is not JSON") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InfernoError("the guest answered with something that is not HTTP")
    return int(text)


def _more(guest: socket.socket, deadline: float) -> bytes:
    data = _read(guest, 64 * 1024, deadline)
    if not data:
        raise InfernoError("the guest ended the connection in the middle of its answer")
    return data


def _read(guest: socket.socket, length: int, deadline: float) -> bytes:
    _wait(guest, deadline)
    with contextlib.suppress(ConnectionResetError):
        return guest.recv(length)
    return b""


def _send(guest: socket.socket, data: bytes, deadline: float) -> None:
    _wait(guest, deadline)
    guest.sendall(data)  # its timeout is for all of it


def _wait(guest: socket.socket, deadline: float) -> None:
    """Let the next step take what is left of the time. Raises TimeoutError when nothing is."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    guest.settimeout(left_s)
