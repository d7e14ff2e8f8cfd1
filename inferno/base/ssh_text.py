"""Values as ssh reads them in its configuration (ssh_config(5)). Each raises ValueError for what it cannot write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# The name of a user or a host: no pattern, no blank, and no option, which would begin with a dash.
WORD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")


def word(value: str) -> str:
    """The name of a host or a user."""
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise ValueError(f"ssh cannot write {value!r} as a name")
    return value


def command(value: Sequence[str]) -> str:
    """A program and its arguments, for the rest of a line: a shell runs it, after ssh has looked for its own `%`."""
    text = shlex.join(value)
    if not text or not text.isprintable():  # a line break would begin another statement
        raise ValueError(f"ssh cannot write {text!r} as a command")
    return text.replace("%", "%%")


FILTERS: Mapping[str, Callable[[Any], str]] = {"word": word, "command": command}
