"""Variables of the process, as Docker's --env and --env-file take them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from inferno.base.errors import UsageError
from inferno.spec import grammar

_MAX_FILE_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8: editors of Windows put it in front


def environment(words: Iterable[str], files: Iterable[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """NAME=value words: those of the files, file by file, then those given; of several for one name the last holds.

    NAME alone takes the value that it has here, and is passed over where it has none. `NAME=` is an empty value.
    Raises UsageError for anything else, and for a file that cannot be read.
    """
    here = os.environ if environ is None else environ
    found = [word for name in files for word in file_words(name)]
    for word in words:
        if not word.partition("=")[0] or "\0" in word:
            raise UsageError(f"--env {word!r} is not NAME=value")
        found.append(word)
    set_here = _set_here(found, here)
    grammar.check_text(set_here)
    return set_here


def taken(found: Iterable[str], source: str) -> list[str]:
    """NAME=value words of those found in a file, with the values that bare names have here. Raises UsageError, in whose
    text no value is."""
    set_here = _set_here(found, os.environ)
    for word in set_here:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{source}: the value that {word.partition('=')[0]} has here is not UTF-8") from None
    return set_here


def file_words(name: str) -> list[str]:
    """NAME=value and NAME of each line of a file, in its order. Raises UsageError, with the line's number."""
    try:
        with open(name, "rb") as file:  # of any kind: a pipe, as of a shell's <(…), or one without an end
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter for a NUL in the name
        raise UsageError(f"--env-file {name!r}: {getattr(error, 'strerror', None) or 'it cannot be opened'}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise UsageError(f"--env-file {name} has more than {_MAX_FILE_BYTES} bytes")
    return words(data, name)


def words(data: bytes, name: str, *, quote: bool = True) -> list[str]:
    """NAME=value and NAME of each line of what a file holds.

    As Docker reads it: lines end in LF or CRLF; empty lines and those that begin with # say nothing; space before the
    name is dropped, all else is the value's, quotes too. Raises UsageError, with the line's number; without `quote`
    nothing of the line itself is in it.
    """
    found = []
    for number, line in enumerate(_lines(data), 1):
        try:
            text = line.decode().lstrip()
        except UnicodeDecodeError:
            raise UsageError(f"--env-file {name}, line {number}: it is not UTF-8", "save the file as UTF-8") from None
        if not text or text.startswith("#"):
            continue
        variable = text.partition("=")[0]
        if not variable:
            raise UsageError(f"--env-file {name}, line {number}: there is no name before the '='")
        if any(char.isspace() for char in variable):
            raise UsageError(
                f"--env-file {name}, line {number}: there is space in the name{f' {variable!r}' if quote else ''}",
                "NAME=value, with no space around the '=' and no 'export' in front",
            )
        if "\0" in text:
            raise UsageError(f"--env-file {name}, line {number}: it holds a NUL byte")
        found.append(text)
    return found


def _lines(data: bytes) -> list[bytes]:
    # Not by splitlines: a form feed, a lone CR or U+2028 is part of a value.
    return [line.removesuffix(b"\r") for line in data.removeprefix(_BYTE_ORDER_MARK).split(b"\n")]


def _set_here(found: Iterable[str], here: Mapping[str, str]) -> list[str]:
    """The words, with the values that bare names have; those that have none are passed over."""
    pairs = ((word, *word.partition("=")[:2]) for word in found)
    return [word if equals else f"{name}={here[name]}" for word, name, equals in pairs if equals or name in here]
