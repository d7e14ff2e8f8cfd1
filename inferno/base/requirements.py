"""What a command needs of this host, asked before anything is changed: each check says what for, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from inferno.base import processes
from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple


class Check(NamedTuple):
    """One thing the host must have: `what` it is, `reason` it is needed for; `probe` raises InfernoError without it."""

    what: str
    reason: str
    probe: Callable[[], None]


def require(checks: Iterable[Check]) -> None:
    """Raise the error of the first check that fails."""
    for check in checks:
        check.probe()


def need_root() -> None:
    """Raises UsageError for anybody but root."""
    if os.geteuid() != 0:
        raise UsageError("this needs root", "run it with sudo")


def denied(error: PermissionError) -> UsageError:
    """What a user is told whose rights end somewhere."""
    return UsageError(f"{error.filename or 'this'}: permission denied", "run it with sudo")


def tool(name: str, reason: str) -> Check:
    """The check that program `name` is installed; it raises MissingToolError, which names the package."""

    def probe() -> None:
        processes.find(name)

    return Check(name, reason, probe)
