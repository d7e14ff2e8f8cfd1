"""What a version's record says of secrets: their names, and a keyed digest by which a change is noticed.

The key lies in INFERNO_ROOT and nowhere else, so that a version.json that is copied elsewhere cannot be used to try
values out. Without the key, or with another, every secret counts as changed.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping

from inferno.base import files
from inferno.spec import create_options
from inferno.state.paths import Paths

_KEY_BYTES = 32
_SECRET = frozenset(row.name for row in create_options.ROWS if row.is_secret)


def key(paths: Paths) -> bytes:
    """The key of this INFERNO_ROOT; empty before the first create."""
    try:
        return paths.digest_key.read_bytes()
    except FileNotFoundError:
        return b""


def make_key(paths: Paths) -> None:
    """Make the key, unless it is there; of two that do this at once one counts. Raises OSError."""
    if paths.digest_key.exists():
        return
    with files.nameless(paths.root) as made:
        files.write_all(made, os.urandom(_KEY_BYTES))
        try:
            files.give_name(made, paths.digest_key)
        except FileExistsError:
            return


def names_alone(spec: Mapping[str, object]) -> dict[str, object]:
    """A spec's fields, and of NAME=value words that are secret the names."""
    return {name: _names(value) if name in _SECRET else value for name, value in spec.items()}


def sealed(spec: Mapping[str, object], secret: bytes) -> dict[str, object]:
    """A spec's fields, and of NAME=value words that are secret the names with a digest of each word."""
    return {name: _sealed(value, secret) if name in _SECRET else value for name, value in spec.items()}


def _names(words: object) -> list[str]:
    return [str(word).partition("=")[0] for word in words] if isinstance(words, list) else []


def _sealed(words: object, secret: bytes) -> list[str]:
    if not isinstance(words, list):
        return []
    return [
        f"{str(word).partition('=')[0]}={hmac.new(secret, str(word).encode(), 'sha256').hexdigest()}" for word in words
    ]
