"""Digests of content, `sha256:HEX` or `sha512:HEX`: OCI image-spec, descriptor.md, "Registered Algorithms"."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from inferno.base.errors import UsageError

# How many hexadecimal digits each algorithm's digest has.
_DIGITS = {"sha256": 64, "sha512": 128}
ALGORITHMS = tuple(_DIGITS)
_FORM = r"(?P<algorithm>[A-Za-z0-9]+(?:[+._-][A-Za-z0-9]+)*):(?P<value>[0-9A-Za-z=_-]+)"
_MAX_SHOWN_CHARS = 40


def check(text: str, what: str) -> str:
    """The digest as it is. Raises UsageError, beginning with `what`, for another algorithm or a malformed one."""
    form = re.fullmatch(_FORM, text)
    if form is None:
        raise UsageError(f"{what} is malformed: {text[:_MAX_SHOWN_CHARS]!r}", "sha256:HEX")
    digits = _DIGITS.get(form["algorithm"])
    if digits is None:
        shown = form["algorithm"][:_MAX_SHOWN_CHARS]
        raise UsageError(f"{what} is of the algorithm {shown!r}; known are {', '.join(ALGORITHMS)}")
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", form["value"]):
        raise UsageError(f"{what} is not {digits} hexadecimal digits in lower case, as {form['algorithm']} has")
    return text


def path(digest: str) -> str:
    """Where a layout keeps the blob of a digest, below its folder `blobs`: image-layout.md."""
    return digest.replace(":", "/", 1)


def from_path(text: str) -> str | None:
    """The digest whose blob a layout keeps there, relative to its folder `blobs`; None for another name."""
    digest = text.replace("/", ":", 1)
    try:
        return check(digest, text)
    except UsageError:
        return None


def are_sha256(*found: str) -> bool:
    return all(digest.startswith("sha256:") for digest in found)


def of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def match(data: bytes, digest: str) -> bool:
    """Whether the digest, which was checked, is that of the data."""
    return of(data, digest.partition(":")[0]) == digest


def of_file(path: Path, like: str) -> str:
    """The digest of a file's content, by the algorithm of the digest `like`, which was checked."""
    with path.open("rb") as file:
        algorithm = like.partition(":")[0]
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


class Sums:
    """The digests of a stream, by each algorithm that `expected` has a digest of."""

    def __init__(self, *expected: str | None) -> None:
        algorithms = {digest.partition(":")[0] for digest in expected if digest}
        self._running = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}

    def update(self, piece: bytes) -> None:
        for running in self._running.values():
            running.update(piece)

    def differs(self, expected: str | None) -> str | None:
        """The digest of what came, when it is not the expected one."""
        if expected is None:
            return None
        algorithm = expected.partition(":")[0]
        found = f"{algorithm}:{self._running[algorithm].hexdigest()}"
        return None if found == expected else found
