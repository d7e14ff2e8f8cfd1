"""Public keys that let people into guests over ssh: given as they are, or in a file of them, one a line."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path

from inferno.base.errors import UsageError

_MAX_FILE_BYTES = 64 * 1024
# PUBKEY: `[options] type base64 [comment]`; sshd(8), AUTHORIZED_KEYS FILE FORMAT.
_KEY = r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?)\s+([A-Za-z0-9+/]+=*)(?:\s|$)"
_PRIVATE = "PRIVATE KEY-----"
_REASONS: dict[type[Exception], str] = {UnicodeDecodeError: "it is not text"}


def lines(words: Iterable[str]) -> list[str]:
    """Lines for authorized_keys, each once: of keys, and of files of keys. An empty word is none.

    Raises UsageError for what is neither, and for a private key.
    """
    found = [line for word in words if word for line in ([word] if re.search(_KEY, word) else _read(word))]
    return list(dict.fromkeys(_checked(line.strip()) for line in found))


def _read(name: str) -> list[str]:
    try:
        with Path(name).expanduser().open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1).decode()
    except (OSError, ValueError, RuntimeError) as error:  # the last for ~NAME of a user who is not there
        reason = getattr(error, "strerror", None) or _REASONS.get(type(error), "there is no such file")
        raise UsageError(
            f"--ssh-key {name!r}: {reason}", "a file of public keys, or one key: ssh-ed25519 AAAA…"
        ) from None
    if _PRIVATE in text:
        raise UsageError(f"--ssh-key {name} is a private key", f"its public half: {name}.pub")
    if len(text) > _MAX_FILE_BYTES:
        raise UsageError(f"--ssh-key {name} has more than {_MAX_FILE_BYTES} bytes")
    found = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"--ssh-key {name} holds no key")
    return found


def _checked(line: str) -> str:
    match = re.search(_KEY, line)
    if match is None or not line.isprintable() or not _is_of(match[1], match[2]):
        raise UsageError(f"--ssh-key: this is not a public key: {line[:60]!r}", "ssh-keygen -t ed25519 makes one")
    return line


def _is_of(kind: str, text: str) -> bool:
    """Whether the encoded key says itself what kind it is: RFC 4253, section 6.6."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length] == kind.encode()
