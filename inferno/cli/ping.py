"""`infernoctl ping`: whether a guest's init answers over vsock, and how fast."""

from __future__ import annotations

import math
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.cli.exec_shell import opened
from inferno.console.answer import print_json
from inferno.console.typed import Typed
from inferno.reach import guest

_MAX_PINGS, _MAX_TIMEOUT_S = 10_000, 3600


class Ping(NamedTuple):
    """What `ping` answers: the round trips, in their order."""

    name: str
    round_trip_ms: list[float]


def ping(typed: Typed) -> int:
    """Round trips of GET /v1/ping, each with a connection of its own, one after the other."""
    name = typed.name
    count = math.ceil(_number(typed, "count", _MAX_PINGS))
    timeout_s = _number(typed, "timeout", _MAX_TIMEOUT_S)
    with opened(name) as found:
        took_ms = [guest.ping(found, timeout_s) * 1000 for _ in range(count)]
    if typed.flag("json"):
        print_json(Ping(name, [round(ms, 3) for ms in took_ms]))
    elif count == 1:
        print(f"{name} answers after {took_ms[0]:.2f} ms")
    else:
        low, mean, high = min(took_ms), sum(took_ms) / count, max(took_ms)
        print(f"{name} answers {count} times after {low:.2f} / {mean:.2f} / {high:.2f} ms (min / mean / max)")
    return 0


def _number(typed: Typed, option: str, most: int) -> float:
    text = typed.text(option) or ""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number <= most:
        raise UsageError(f"ping: --{option} {text!r} is not a number above 0, up to {most}", "infernoctl ping --help")
    return number
