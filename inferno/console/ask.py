"""Questions to a person at a terminal: a password, and whether something is really meant."""

from __future__ import annotations

import os
import sys

from inferno.base.errors import UsageError


def registry_password(user: str) -> str:
    """A password on the command line can be seen by others, so it comes from the environment, or is typed.

    Raises UsageError where neither is possible.
    """
    password = os.environ.get("INFERNO_REGISTRY_PASSWORD")
    if password is None and sys.stdin.isatty():
        import getpass

        password = getpass.getpass(f"password of {user}: ")
    if password is None:
        raise UsageError("--creds without a password", "set INFERNO_REGISTRY_PASSWORD, or type it at a terminal")
    return password


def can_ask() -> bool:
    return sys.stdin.isatty()


def confirmed(question: str) -> bool:
    """Ask; anything but y or yes means no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
