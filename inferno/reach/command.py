"""A command to run in a guest, and its start: what init is asked, and what it says when that cannot be started."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inferno.base.errors import InfernoError, UsageError
from inferno.base.text import printable
from inferno.reach import vsock
from inferno.reach.terminal import Size
from inferno.wire.shared import HTTP_NOT_RUNNING, HTTP_NOT_STARTED, MAX_REQUEST_BYTES, STREAM_PROTOCOL

# Until init said whether the command was executed: its pages may have to be read from a slow disk.
_START_S = 30.0
_CODES = range(1, 256)


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `cwd` and `user` are those of the image's process when None; `size` gives it a terminal.

    With `detach` it is left to itself: it has no streams, and ends when it likes, or with the VM.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    stdin: bool = False
    size: Size | None = None
    detach: bool = False

    def body(self) -> dict[str, object]:
        """The body of POST /v1/exec. Raises UsageError for what cannot be said in it."""
        tty = {"rows": self.size.rows, "cols": self.size.cols} if self.size else None
        body: dict[str, object] = {
            "args": self.args,
            "env": self.env,
            "cwd": self.cwd,
            "user": self.user,
            "stdin": self.stdin,
            "tty": tty,
            "detach": self.detach,
        }
        for word in (*self.args, *self.env, self.cwd or "", self.user or ""):
            if not _is_text(word):
                raise UsageError(f"{word!r} is not UTF-8", "hand bytes over on standard input: -i")
        if not self.args or not self.args[0]:
            raise UsageError("a command is needed")
        if len(json.dumps(body)) > MAX_REQUEST_BYTES:
            raise UsageError(
                "the command is too long", f"{MAX_REQUEST_BYTES >> 10} KiB is the most; standard input: -i"
            )
        return body


class NotStartedError(InfernoError):
    """The command was not executed; `status` is the code that a shell would show: 127, 126 or 125."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def start(root: int, command: Command) -> tuple[socket.socket, bytes]:
    """Start it; return the stream, and what came of it already. `root` is a descriptor of the jail's `/`.

    Raises NotStartedError when it cannot be executed, UsageError, or InfernoError when init does not answer so.
    """
    return stream(root, "POST", "/v1/exec", command.body())


def leave(root: int, command: Command) -> None:
    """Start it and leave it to itself. Raises as `start`."""
    with _refusals_explained():
        vsock.request(root, "POST", "/v1/exec", command.body(), timeout_s=_START_S)


def stream(root: int, method: str, path: str, body: Mapping[str, object]) -> tuple[socket.socket, bytes]:
    """Ask for anything that init answers with a stream. Raises as `start`."""
    with _refusals_explained():
        return vsock.upgrade(root, method, path, body, STREAM_PROTOCOL, timeout_s=_START_S)


@contextlib.contextmanager
def _refusals_explained() -> Iterator[None]:
    """What init refuses becomes an error that says what it means. Raises NotStartedError, InfernoError."""
    try:
        yield
    except vsock.RefusedError as no:
        if no.http_status == HTTP_NOT_RUNNING:
            raise InfernoError("the image's process does not run: the VM is just beginning, or ending") from None
        code = no.answer.get("exit_code") if isinstance(no.answer, dict) else None
        if no.http_status != HTTP_NOT_STARTED or type(code) is not int or code not in _CODES:
            raise
        raise NotStartedError(printable(str(no.answer.get("error"))), code) from None


def _is_text(word: str) -> bool:
    try:
        return "\0" not in word and bool(word.encode() or True)
    except UnicodeEncodeError:
        return False
