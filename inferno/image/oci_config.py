"""What an image says of the process it is for: the OCI image configuration, which Docker's is a superset of.

Spec: OCI image-spec, config.md. An image is hostile until shown otherwise, so every field is checked for its type.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field
from typing import Any

from inferno.base.errors import UsageError
from inferno.image import digests
from inferno.spec.signals import signal_number

# Real ones have some 10 KiB; containers/image refuses manifests and configurations above 4 MiB too.
MAX_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The image's wishes; the user's come over them. `stop_signal` is a number, `exposed_ports` are "80/tcp"."""

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    working_dir: str = ""
    user: str = ""
    stop_signal: int = signal.SIGTERM
    exposed_ports: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    healthcheck: dict[str, object] | None = None
    diff_ids: list[str] = field(default_factory=list)
    architecture: str = ""
    os: str = ""


def parse(text: bytes | str) -> ImageConfig:
    """Read an image configuration. Raises UsageError for one that is none."""
    if len(text) > MAX_CONFIG_BYTES:
        raise UsageError(f"the image's configuration has {len(text)} bytes; {MAX_CONFIG_BYTES} are allowed")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("the image's configuration is not JSON") from None
    if not isinstance(whole, dict):
        raise UsageError("the image's configuration is not a JSON object")
    inner, rootfs = _object(whole, "config"), _object(whole, "rootfs")
    return ImageConfig(
        entrypoint=_words(inner, "Entrypoint"),
        cmd=_words(inner, "Cmd"),
        env=[word for word in _words(inner, "Env") if "=" in word and not word.startswith("=")],
        working_dir=_text(inner, "WorkingDir"),
        user=_text(inner, "User"),
        stop_signal=signal_number(_text(inner, "StopSignal") or "SIGTERM", "the image's StopSignal"),
        exposed_ports=sorted(_object(inner, "ExposedPorts")),
        volumes=sorted(_object(inner, "Volumes")),
        healthcheck=_object(inner, "Healthcheck") or None,
        diff_ids=[digests.check(word, "a diff ID in the image's configuration") for word in _words(rootfs, "diff_ids")],
        architecture=_text(whole, "architecture"),
        os=_text(whole, "os"),
    )


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"the image's configuration is malformed: {key} is not an object")
    return found


def _words(value: dict[str, Any], key: str) -> list[str]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(_is_text(word) for word in found):
        raise UsageError(f"the image's configuration is malformed: {key} is not a list of texts")
    return found


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str) or not _is_text(found):
        raise UsageError(f"the image's configuration is malformed: {key} is not text")
    return found


def _is_text(value: Any) -> bool:
    """Whether a process can have it as an argument: no NUL, and no half of a surrogate pair, which JSON can write."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False
