"""The one family of errors that Inferno raises on purpose: finished text, a hint, an exit status."""

from __future__ import annotations


class InfernoError(Exception):
    """An expected failure: `text` is one finished line, `hint` says what to do, `status` is the exit status.

    `details` are lines shown before it: the last lines of a VM's log.
    Statuses follow the predecessor's contract: 1 operational failure, 2 usage, 127 missing tool.
    """

    status = 1

    def __init__(self, text: str, hint: str | None = None, details: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.details = details


class UsageError(InfernoError):
    """The request itself is wrong; nothing was changed."""

    status = 2


class MissingToolError(InfernoError):
    """A program that Inferno needs is not installed."""

    status = 127
