"""Blobs of a registry by a digest of any algorithm: skopeo's image proxy, which hands them on as they come.

`skopeo copy` names all that it writes by sha256, and ends when that is not the manifest's name for it. The proxy,
`skopeo experimental-image-proxy`, gets requests in packets of a socket, {"method", "args"}, and answers each with
{"success", "value", "pipeid", "error"}; with the answer to GetBlob comes the reading end of a pipe, which ends only
after FinishPipe. The protocol is in skopeo's documentation of that command; tried with skopeo 1.9.3 and 1.18.0.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferno.base import processes
from inferno.base.errors import UsageError
from inferno.image import digests
from inferno.image.manifest import Descriptor

_ANSWER_TIMEOUT_S = 60
_MAX_ANSWER_BYTES = 1 << 16
_PIECE_BYTES = 1 << 16


class Proxy:
    """One that runs, with one image open. What it says of a failure is raised as a CommandError."""

    def __init__(self, argv: Sequence[str], control: socket.socket, remote: str, deadline: float) -> None:
        self._argv, self._control, self._deadline = argv, control, deadline
        self._call("Initialize")
        self._image = self._call("OpenImage", remote)["value"]

    def pieces(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob as it comes. Raises UsageError for another one, at its end at the latest."""
        sums, left = digests.Sums(blob.digest), blob.size
        self._ask("GetBlob", [self._image, blob.digest, blob.size])
        answer, pipe = self._answer()
        if pipe is None:
            raise self._failed("skopeo gives no pipe")
        try:
            self._ask("FinishPipe", [answer["pipeid"]])
            while piece := self._read(pipe):
                left -= len(piece)
                if left < 0:
                    raise UsageError(f"the registry sends more of blob {blob.digest} than the manifest says")
                sums.update(piece)
                yield piece
        finally:
            os.close(pipe)
        self._answer()
        if left or sums.differs(blob.digest):
            raise UsageError(f"the registry sent another blob for {blob.digest}", "is there a proxy in between?")

    def _read(self, pipe: int) -> bytes:
        left_s = max(self._deadline - time.monotonic(), 0)
        if not select.select([pipe], [], [], left_s)[0]:
            raise self._failed("deadline exceeded")
        return os.read(pipe, _PIECE_BYTES)

    def _call(self, method: str, *words: Any) -> dict[str, Any]:
        self._ask(method, words)
        return self._answer()[0]

    def _ask(self, method: str, words: Sequence[Any]) -> None:
        try:
            self._control.send(json.dumps({"method": method, "args": list(words)}).encode())
        except OSError:
            raise self._failed("it ended") from None

    def _answer(self) -> tuple[dict[str, Any], int | None]:
        """The answer, and the descriptor that came with it."""
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, _MAX_ANSWER_BYTES, 1)
        except TimeoutError:
            raise self._failed("deadline exceeded") from None
        except OSError:
            raise self._failed("it ended") from None
        pipe = descriptors[0] if descriptors else None
        if not text:
            raise self._failed("it ended")
        answer: dict[str, Any] = json.loads(text)
        if not answer["success"]:
            raise self._failed(answer["error"])
        return answer, pipe

    def _failed(self, reason: str) -> processes.CommandError:
        return processes.CommandError(self._argv, processes.Result(1, b"", reason.encode()))


@contextlib.contextmanager
def running(
    argv: Sequence[str], remote: str, env: Mapping[str, str], pass_fds: Sequence[int], timeout_s: int
) -> Iterator[Proxy]:
    """Run a proxy while the `with` lasts, at most `timeout_s`; `argv` lacks the option of its socket.

    Raises CommandError with what it says when it cannot open the image.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with its:
            process = processes.spawn(
                [*argv, "--sockfd", str(its.fileno())],
                stdout=processes.DEVNULL,
                stderr=processes.DEVNULL,
                env=env,
                pass_fds=[*pass_fds, its.fileno()],
                die_with_parent=True,
            )
        try:
            ours.settimeout(_ANSWER_TIMEOUT_S)
            yield Proxy(argv, ours, remote, time.monotonic() + timeout_s)
        finally:
            process.kill()
            process.wait()
