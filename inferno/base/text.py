"""Text that anybody may have written, as one may show it on a terminal."""

from __future__ import annotations

import codecs

_MAX_LINE_CHARS = 400


def visible(text: str) -> str:
    """The text with everything that a terminal might act upon written out: \\x1b, \\r, \\u202e. Tabs may stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def printable(text: str) -> str:
    """One line of it: what a terminal might act upon becomes a space, and it does not go on for ever."""
    clean = "".join(char if char.isprintable() else " " for char in text.rstrip())
    return clean if len(clean) <= _MAX_LINE_CHARS else f"{clean[:_MAX_LINE_CHARS]}…"


class Harmless:
    """Bytes as they come, as a terminal may have them: newlines and tabs stay, all else that it might act upon is
    written out. A character that is cut in two is held back until the rest of it came."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What of it, and of what was held back, is shown now."""
        return visible_lines(self._decoder.decode(data, last)).encode()


def visible_lines(text: str) -> str:
    """As `visible`, of several lines."""
    return "\n".join(map(visible, text.split("\n")))
