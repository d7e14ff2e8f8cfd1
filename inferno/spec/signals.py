"""Signals as people write them: `stop --signal`, and the StopSignal of an image."""

from __future__ import annotations

import signal

from inferno.base.errors import UsageError

_MAX_WORD_CHARS = 40
_REAL_TIME = {"RTMIN": signal.SIGRTMIN, "RTMAX": signal.SIGRTMAX}


def signal_number(word: str, what: str) -> int:
    """The number, 1 to 64, of TERM, SIGTERM, term or 15; of RTMIN+3 and SIGRTMAX-1, where RTMIN is 34 as glibc has it.

    `what` says in the error where the word stood. Raises UsageError for a word that is not a signal of Linux.
    """
    number = _number(word) if word.isascii() and len(word) <= _MAX_WORD_CHARS else None
    if number is None:
        shown = word if len(word) <= _MAX_WORD_CHARS else f"{word[:_MAX_WORD_CHARS]}…"
        raise UsageError(f"{what} {shown!r} is not a signal", "TERM, SIGTERM, 15 or RTMIN+3, say; kill -l lists them")
    return number


def _number(word: str) -> int | None:
    name = word.upper().removeprefix("SIG")
    if name.isdigit():
        return int(name) if 1 <= int(name) <= signal.SIGRTMAX else None
    base, away = name[:5], name[5:]
    if base in _REAL_TIME:
        if away and (away[0] not in "+-" or not away[1:].isdigit()):
            return None
        number = _REAL_TIME[base] + int(away or 0)
        return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else None
    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None
