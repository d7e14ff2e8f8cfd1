"""The keys by which one leaves a terminal in a guest without ending what runs there: Ctrl-P Ctrl-Q, Docker's."""

from __future__ import annotations

from inferno.base.errors import InfernoError

_FIRST, _SECOND = b"\x10", b"\x11"


class LeftError(InfernoError):
    """They were typed."""


class LeavingKeys:
    """`left` once both were typed, one after the other; the first alone is held back until it is known what follows."""

    def __init__(self) -> None:
        self.left = False
        self._held = b""

    def pass_on(self, typed: bytes) -> bytes:
        """What of `typed`, and of what was held back, is the guest's."""
        typed, found, _ = (self._held + typed).partition(_FIRST + _SECOND)
        self.left = self.left or bool(found)
        self._held = _FIRST if typed.endswith(_FIRST) and not found else b""
        return typed.removesuffix(self._held)
