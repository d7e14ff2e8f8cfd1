"""Options that are small languages of their own, as Docker writes them: ulimits, I/O limits.

Each is checked when it is asked for, and read again when run.json is written or a VM is launched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple

# setrlimit(2), by Docker's names.
ULIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
    *("rtprio", "rttime", "sigpending", "stack"),
)
# The kernel's Documentation/admin-guide/cgroup-v2.rst, io.max.
IO_KEYS = ("rbps", "wbps", "riops", "wiops")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# With the byte that ends it: of one argument or variable (execve(2), MAX_ARG_STRLEN), of a path (PATH_MAX).
_MAX_WORD_BYTES, _MAX_PATH_BYTES = 128 << 10, 4096
_MAX_NAME_BYTES = 255  # NAME_MAX
_SHOWN_CHARS = 40


class Ulimit(NamedTuple):
    """A resource limit; None is unlimited."""

    name: str
    soft: int | None
    hard: int | None


def check_text(words: Iterable[str]) -> None:
    """Raise UsageError for a word of the command line that is not UTF-8: JSON, and so a guest, cannot have it."""
    for word in words:
        if not word.isprintable() and any("\ud800" <= char <= "\udfff" for char in word):
            raise UsageError(f"{word!a} is not UTF-8")


def check_lengths(words: Iterable[str], what: str) -> None:
    """Raise UsageError for a word that no program can be executed with; `what` names it."""
    for word in words:
        if (length := len(word.encode(errors="surrogateescape"))) >= _MAX_WORD_BYTES:
            raise UsageError(
                f"{what} has {length} bytes: {word[:_SHOWN_CHARS]!r}…", f"{_MAX_WORD_BYTES - 1} are the most, each"
            )


def check_path(path: str, option: str) -> None:
    """Raise UsageError for a path, or a name in it, that is too long for Linux."""
    if len(path.encode(errors="surrogateescape")) >= _MAX_PATH_BYTES:
        raise UsageError(f"{option}: the path {path[:_SHOWN_CHARS]!r}… is too long", f"{_MAX_PATH_BYTES - 1} bytes")
    for name in path.split("/"):
        if len(name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
            raise UsageError(f"{option}: the name {name[:_SHOWN_CHARS]!r}… is too long", f"{_MAX_NAME_BYTES} bytes")


def each(read: Callable[[str], object]) -> Callable[[Iterable[str]], None]:
    """What checks each word of a list as `read` does."""

    def check(words: Iterable[str]) -> None:
        for word in words:
            read(word)

    return check


def ulimit(word: str) -> Ulimit:
    """NAME=SOFT[:HARD]; -1 or unlimited is none. Raises UsageError."""
    name, _, values = word.partition("=")
    soft, colon, hard = values.partition(":")
    if name not in ULIMITS:
        raise UsageError(f"--ulimit {word!r}: no such limit", f"NAME=SOFT[:HARD], NAME one of {', '.join(ULIMITS)}")
    low, high = _limit(soft, word), _limit(hard if colon else soft, word)
    if high is not None and (low is None or low > high):
        raise UsageError(f"--ulimit {word!r}: the soft limit is above the hard one")
    return Ulimit(name, low, high)


def io_max(word: str) -> str:
    """rbps=BYTES,wbps=BYTES,riops=N,wiops=N, any of them, as io.max takes it. Raises UsageError."""
    found = []
    for part in word.split(","):
        key, _, value = part.partition("=")
        if key not in IO_KEYS:
            raise UsageError(
                f"--io-max {word!r}: unknown limit {key!r}", f"any of {', '.join(IO_KEYS)}, joined by commas"
            )
        number = _size(value, word, option="--io-max") if key.endswith("bps") else _count(value, word)
        found.append(f"{key}={number}")
    return " ".join(found)


def mebibytes(text: str) -> int:
    """512 and 512m are MiB, 2g is 2048 of them. Raises UsageError."""
    if _is_number(text):
        return int(text)
    number, rest = divmod(_size(text, text, option="--memory"), 1 << 20)
    if rest:
        raise UsageError(f"--memory {text!r} is not a whole number of MiB", "for example 512m")
    return number


def _limit(text: str, word: str) -> int | None:
    if text in ("-1", "unlimited"):
        return None
    if not _is_number(text) or int(text) >= 1 << 64:
        raise UsageError(f"--ulimit {word!r}: {text!r} is not a number", "NAME=SOFT[:HARD]")
    return int(text)


def _size(text: str, word: str, option: str) -> int:
    unit = text.lstrip("0123456789").lower()
    digits = text[: len(text) - len(unit)]
    if not _is_number(digits) or unit not in _UNITS or not 0 < int(digits) * _UNITS[unit] < 1 << 62:
        raise UsageError(f"{option} {word!r}: {text!r} is not a size", "for example 64m")
    return int(digits) * _UNITS[unit]


def _count(text: str, word: str) -> int:
    if not _is_number(text) or not 0 < int(text) < 1 << 62:
        raise UsageError(f"--io-max {word!r}: {text!r} is not a number")
    return int(text)


def _is_number(text: str) -> bool:
    """Of so few digits that int takes it, and of the digits that everybody means."""
    return text.isascii() and text.isdigit() and len(text) <= 20
