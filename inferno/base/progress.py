"""How the library tells a person what happens: by callbacks that the front end hands in, never by printing.

`Progress` is what long work calls: progress("pull nginx", done_bytes, total_bytes), or
progress("kernel", lines_so_far, detail="CC fs/inode.o"). The default says nothing.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told about long work: `what` names the stage in one line for a person, `detail` what that stage does just now.

    done and total are in one unit, or None when unknown.
    """

    def __call__(self, what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None: ...


def quiet(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
    """The Progress that tells nobody."""
