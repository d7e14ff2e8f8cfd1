"""A guest that runs, and the small questions to it: does it answer, and how is its process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from inferno.base import records
from inferno.base.errors import InfernoError
from inferno.reach import vsock
from inferno.wire.shared import MAX_SIGNAL

# What each may be: up to pid_max, wait(2), and the milliseconds of some centuries.
_PID, _BYTE, _SIGNAL, _MILLISECONDS = range((1 << 22) + 1), range(256), range(MAX_SIGNAL + 1), range((1 << 44) + 1)


class ProcessStatus(NamedTuple):
    """What init says of the image's process (tests/contract/guest_api.json)."""

    pid: Annotated[int, _PID] | None
    state: Literal["starting", "running", "exited"]
    exit_code: Annotated[int, _BYTE] | None
    signal: Annotated[int, _SIGNAL] | None
    uptime_ms: Annotated[int, _MILLISECONDS]


@dataclass(frozen=True, slots=True)
class Guest:
    """`ulid` is the version that runs; `root` is a descriptor of its jail's `/`."""

    name: str
    ulid: str
    root: int


def ping(guest: Guest, timeout_s: float) -> float:
    """Ask init for a sign of life; return how many seconds it took, with the connection. Raises as vsock.request."""
    began = time.monotonic()
    answer = vsock.request(guest.root, "GET", "/v1/ping", timeout_s=timeout_s)
    took_s = time.monotonic() - began
    if answer != {"ok": True}:
        raise InfernoError("the guest answered GET /v1/ping with something else than init does")
    return took_s


def status(guest: Guest, timeout_s: float) -> ProcessStatus:
    """What init says of the image's process. Raises as vsock.request."""
    answer = vsock.request(guest.root, "GET", "/v1/status", timeout_s=timeout_s)
    try:
        return records.of(ProcessStatus, answer, "GET /v1/status")
    except records.BadRecordError:
        raise InfernoError("the guest answered GET /v1/status with something else than init does") from None


def signal(guest: Guest, number: int, timeout_s: float) -> None:
    """Ask init to send the image's process a signal. Raises as vsock.request."""
    vsock.request(guest.root, "POST", "/v1/signal", {"signal": number}, timeout_s=timeout_s)
