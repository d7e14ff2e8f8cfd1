"""Text that anybody may have written, as one may show it on a terminal."""

from __future__ import annotations

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
