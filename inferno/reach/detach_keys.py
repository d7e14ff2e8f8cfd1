"""The keys by which one leaves a terminal in a guest without ending what runs there: Ctrl-P Ctrl-Q, or those that are
asked for by Docker's words for them (`--detach-keys ctrl-a,x`)."""

from __future__ import annotations

from inferno.base.errors import InfernoError, UsageError

DEFAULT = b"\x10\x11"
# How long the first of them is kept from the guest, in case the others follow: longer than between two keys that are
# typed together, and no longer than what one hardly notices.
HOLD_S = 0.5
_CTRL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"  # in the order of their codes, from 0


class LeftError(InfernoError):
    """They were typed."""


class LeavingKeys:
    """`left` once all were typed, one after the other. The first of them alone are held back for a moment (`holding`,
    `release`); when the others come later, that is leaving all the same. With `holds` False nothing is held back: the
    guest gets the first of them at once, also where the others follow."""

    def __init__(self, keys: bytes = DEFAULT, *, holds: bool = True) -> None:
        self.left = False
        self._holds = holds
        self._keys = keys
        self._begun = b""  # the front of them, typed last
        self._passed = 0  # so much of that is the guest's already

    def pass_on(self, typed: bytes) -> bytes:
        """What of `typed`, and of what was held back, is the guest's now."""
        text = self._begun + typed
        at = text.find(self._keys)
        if at >= 0:
            self.left = True
            passed, self._begun, self._passed = self._passed, b"", 0
            return text[passed:at]
        most = min(len(self._keys) - 1, len(text))
        begun = next(n for n in range(most, -1, -1) if text.endswith(self._keys[:n]))
        known = len(text) - begun
        out = text[self._passed : known]
        self._begun, self._passed = text[known:], max(self._passed - known, 0)
        return out if self._holds else out + self.release()

    @property
    def holding(self) -> bool:
        """Whether something is kept from the guest."""
        return len(self._begun) > self._passed

    def release(self) -> bytes:
        """What was held back: the guest's now."""
        held = self._begun[self._passed :]
        self._passed = len(self._begun)
        return held


def parse(text: str) -> bytes:
    """`a`, `ctrl-a`, `ctrl-@` and the like, `DEL`, by comma; nothing: the usual ones. Raises UsageError."""
    return b"".join(map(_key, text.split(","))) if text else DEFAULT


def _key(word: str) -> bytes:
    if len(word) == 1 and word.isascii():
        return word.encode()
    if word == "DEL":
        return b"\x7f"
    if len(word) == 6 and word.startswith("ctrl-") and word[5] in _CTRL:
        return bytes([_CTRL.index(word[5])])
    raise UsageError(
        f"--detach-keys {word!r} is not a key", "one character, ctrl- and a letter or one of @[\\]^_, or DEL, by comma"
    )
