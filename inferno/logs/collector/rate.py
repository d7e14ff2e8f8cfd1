"""How many lines a VM may log: a token bucket for each, so that a burst passes whole and a flood fills no disk.

What is over is dropped and counted, and the VM's log says how many lines are missing. The guest is not made to wait for
that: a process that floods its output would stand still most of the time, and look hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# As much as flows in this time may come at once: as journald counts (RateLimitIntervalSec=).
BURST_S = 30
# A line counts one for each so many bytes of what was read at once: of the longest lines, few are a flood.
_UNIT_BYTES = 1024
# These say why a VM ended, so what its process printed may not use up all. In a message quotes are escaped, so that
# these bytes are nowhere in a line but where its source stands.
_OTHERS = tuple(f', "source": "{source}"'.encode() for source in ("init", "kiln", "firecracker"))
_OTHERS_SHARE = 10


class Rate:
    """Of one VM, whichever of its connections lines come by. `per_s` is in lines; 0 lets all pass."""

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._all = _Bucket(per_s, clock)
        self._others = _Bucket(per_s / _OTHERS_SHARE, clock)
        self.per_s = per_s
        self.dropped = 0

    def pass_on(self, lines: bytes) -> bytes:
        """Those of the lines, whole ones, that may be written now. The others are counted in `dropped`."""
        if not self.per_s or not lines:
            return lines
        if self._all.take(max(lines.count(b"\n"), len(lines) // _UNIT_BYTES)):
            return lines
        return self._one_by_one(lines) if any(source in lines for source in _OTHERS) else self._beginning(lines)

    def take_dropped(self) -> int:
        """How many were dropped since the last look."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    def is_full(self) -> bool:
        """Whether it is as it was at its beginning: nothing is remembered that would be lost."""
        return self._all.is_full() and self._others.is_full() and not self.dropped

    def _beginning(self, lines: bytes) -> bytes:
        """Of what a process printed, so much as there is room for: a flood costs no more than to count it."""
        end = 0
        while end < len(lines):
            after = lines.index(b"\n", end) + 1
            if not self._all.take_one(_cost(after - end)):
                break
            end = after
        self.dropped += lines.count(b"\n", end)
        return lines[:end]

    def _one_by_one(self, lines: bytes) -> bytes:
        passed = []
        for line in lines.splitlines(keepends=True):
            cost, is_others = _cost(len(line)), any(source in line for source in _OTHERS)
            if self._all.take_one(cost) or (is_others and self._others.take_one(cost)):
                passed.append(line)
            else:
                self.dropped += 1
        return b"".join(passed)


def _cost(size: int) -> int:
    return 1 + size // _UNIT_BYTES


class _Bucket:
    """Holds what flows in during BURST_S, at least one; full at the beginning."""

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._per_s, self._clock = per_s, clock
        self.most = max(per_s * BURST_S, 1.0)
        self._level, self._at = self.most, clock()

    def take(self, count: float) -> bool:
        """Take so many out, or nothing when there are fewer."""
        self._fill()
        if count > self._level:
            return False
        self._level -= count
        return True

    def take_one(self, cost: float) -> bool:
        """The same for one line, which passes a full bucket however long it is."""
        return self.take(min(cost, self.most))

    def is_full(self) -> bool:
        self._fill()
        return self._level >= self.most

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self.most, self._level + (now - self._at) * self._per_s)
        self._at = now
