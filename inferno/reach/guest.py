"""A guest that runs, and the small questions to it: does it answer, and how is its process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from inferno.base.errors import InfernoError
from inferno.reach import vsock
from inferno.wire.shared import MAX_SIGNAL

_STATES = ("starting", "running", "exited")
# The most that each may be: pid_max, wait(2), and the milliseconds of some centuries.
_NUMBERS = {"pid": 1 << 22, "exit_code": 255, "signal": MAX_SIGNAL, "uptime_ms": 1 << 44}


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


def status(guest: Guest, timeout_s: float) -> dict[str, Any]:
    """What init says of the image's process: pid, state, exit_code, signal, uptime_ms. Raises as vsock.request."""
    answer = vsock.request(guest.root, "GET", "/v1/status", timeout_s=timeout_s)
    if not isinstance(answer, dict) or set(answer) != {*_NUMBERS, "state"} or answer["state"] not in _STATES:
        raise _strange_status()
    for name, most in _NUMBERS.items():
        value = answer[name]
        if not (type(value) is int and 0 <= value <= most) and (value is not None or name == "uptime_ms"):
            raise _strange_status()
    return answer


def _strange_status() -> InfernoError:
    return InfernoError("the guest answered GET /v1/status with something else than init does")
