"""What a VM may send: whole lines, each a record of tests/contract/host_log.ndjson, each naming that VM.

Judged in bulk: a read of some hundred lines costs a handful of C loops, not a Python one per line. Only lines that are
not in the bytes that this release's kiln writes are looked at one by one (other_release): those of another release's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inferno.logs.collector import other_release
from inferno.wire.shared import LOG_LEVELS, LOG_SOURCES, MAX_LOG_LINE_BYTES

# What is shown of a line that was refused.
_SHOWN_BYTES = 200

# Strings as serde_json writes them: UTF-8, and escapes for what JSON wants escaped only. Each alternative begins with
# a byte of its own, so a line that does not match costs no more than one that does.
_TEXT = rb'[^"\\\x00-\x1f\n]*(?:\\(?:["\\bfnrt]|u00[01][0-9a-f])[^"\\\x00-\x1f\n]*)*'
_LINE = re.compile(
    rb'^\{"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"'
    rb', "level": "(?:' + "|".join(LOG_LEVELS).encode() + rb')"'
    rb', "source": "(?:' + "|".join(LOG_SOURCES).encode() + rb')"'
    rb', "vm_id": "[0-9A-Z]{26}"(?:, "run": "[0-9A-Z]{26}")?'  # without a run: of the release before
    rb', (?:"message": "' + _TEXT + rb'"|"message_b64": "[A-Za-z0-9+/]*={0,2}")'
    rb'(?:, "partial": true)?(?:, "dropped": [1-9]\d{0,19})?\}\n',
    re.MULTILINE,
)


@dataclass(slots=True)
class Refused:
    """Lines that were not passed on: how many, and how one began."""

    count: int = 0
    sample: bytes = b""

    def add(self, count: int, line: bytes) -> None:
        self.sample = self.sample if self.count else line[:_SHOWN_BYTES].split(b"\n")[0]
        self.count += count

    def take(self) -> tuple[int, bytes]:
        """Both, and begin anew."""
        taken = self.count, self.sample
        self.count, self.sample = 0, b""
        return taken


class Sieve:
    """For one connection: bytes in, good lines out, each with the VM's name added. Holds at most one line.

    What it holds when the connection ends is not a loss: kiln sends such a line anew, as a whole, on its next one.
    """

    def __init__(self, name: str, vm_id: str) -> None:
        self.refused = Refused()
        self._name, self._vm_id = name, vm_id
        self._id = f', "vm_id": "{vm_id}", '.encode()
        self._named = f', "vm_name": "{name}"'.encode() + self._id
        self._pending = b""
        self._skipping = False  # in the middle of a line that is too long

    @property
    def held(self) -> int:
        """The bytes of a line that is not whole."""
        return len(self._pending)

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return the lines that are whole and good, as they are to be written."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return b""
        whole = data[:end]
        if self._skipping:
            whole = whole[whole.index(b"\n") + 1 :]
            self._skipping = False
        elif self._pending:
            whole = self._pending + whole
        self._pending = b""
        self._keep(data[end:])
        return self._judged(whole)

    def _keep(self, tail: bytes) -> None:
        if self._skipping:
            return
        self._pending += tail
        if len(self._pending) > MAX_LOG_LINE_BYTES:
            self.refused.add(1, self._pending)
            self._pending, self._skipping = b"", True

    def _judged(self, whole: bytes) -> bytes:
        """The good lines, with the VM's name."""
        if self._good(whole):
            return whole.replace(self._id, self._named)
        good: list[bytes] = []
        bad = other_release.POSSIBLE.sub(b"", whole)
        for line in other_release.POSSIBLE.findall(whole):
            if self._good(line):
                good.append(line.replace(self._id, self._named))
            elif read := self._of_another_release(line):
                good.append(read)
            else:
                bad = bad or line
        if bad:
            self.refused.add(whole.count(b"\n") - len(good), bad)
        return b"".join(good)

    def _of_another_release(self, line: bytes) -> bytes | None:
        """The record as it is to be written: its numbers may have grown, but not beyond what a line may be."""
        read = other_release.read(line, self._name, self._vm_id)
        return read if read and len(read) <= MAX_LOG_LINE_BYTES else None

    def _good(self, lines: bytes) -> bool:
        """Whether all lines are. The id stands where it does in each: a quote within a string is always escaped."""
        if _LINE.sub(b"", lines) or lines.count(self._id) != lines.count(b"\n"):
            return False
        if not lines.isascii():
            try:
                lines.decode()
            except UnicodeDecodeError:
                return False
        return True
