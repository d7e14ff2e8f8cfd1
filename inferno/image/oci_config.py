"""What an image says of the process it is for: the OCI image configuration, which Docker's is a superset of.

Spec: OCI image-spec, config.md. An image is hostile until shown otherwise, so every field is checked for its type. What
programs in Go make of it counts, since Docker and nearly all others are: encoding/json, "Unmarshal".
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Sequence
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.image import digests
from inferno.spec.signals import signal_number

# Real ones have some 10 KiB; containers/image refuses manifests and configurations above 4 MiB too.
MAX_CONFIG_BYTES = 4 << 20
_MAX_VOLUMES = 1000
_MAX_SHOWN, _MAX_SHOWN_CHARS = 5, 80


class ImageConfig(NamedTuple):
    """The image's wishes; the user's come over them. `stop_signal` is a number, `exposed_ports` are "80/tcp", `volumes`
    are absolute paths.

    `notes` say in a line each what of it is not done as declared, beginning with what of the image's that is. As with
    Docker, Shell and OnBuild concern builds, ArgsEscaped Windows, and Labels people: nothing is to be done about them.
    """

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: int = signal.SIGTERM
    exposed_ports: Sequence[str] = ()
    volumes: Sequence[str] = ()
    healthcheck: dict[str, object] | None = None
    diff_ids: Sequence[str] = ()
    architecture: str = ""
    os: str = ""
    notes: Sequence[str] = ()
    variant: str = ""


def check_size(size: int) -> None:
    """Raises UsageError for a configuration of more bytes than are read."""
    if size > MAX_CONFIG_BYTES:
        raise UsageError(f"the image's configuration has {size} bytes; {MAX_CONFIG_BYTES} are allowed")


def parse(text: bytes | str) -> ImageConfig:
    """Read an image configuration. Raises UsageError for one that is none."""
    check_size(len(text))
    try:
        whole = read_json(text)
    except (ValueError, RecursionError):
        raise UsageError("the image's configuration is not JSON") from None
    if not isinstance(whole, dict):
        raise UsageError("the image's configuration is not a JSON object")
    inner, rootfs = _object(whole, "config"), _object(whole, "rootfs")
    notes: list[str] = []
    return ImageConfig(
        entrypoint=_command(inner, "Entrypoint"),
        cmd=_command(inner, "Cmd"),
        env=_env(inner, notes),
        working_dir=_working_dir(inner),
        user=_text(inner, "User"),
        stop_signal=_stop_signal(inner, notes),
        exposed_ports=sorted(filter(_is_text, _object(inner, "ExposedPorts"))),
        volumes=_volumes(inner, notes),
        healthcheck=_healthcheck(inner, notes),
        diff_ids=[digests.check(word, "a diff ID in the image's configuration") for word in _words(rootfs, "diff_ids")],
        architecture=_text(whole, "architecture"),
        os=_text(whole, "os"),
        notes=notes,
        variant=variant if isinstance(variant := _find(whole, "variant"), str) else "",  # Docker passes over an odd one
    )


def read_json(text: bytes | str) -> Any:
    """As Go reads it: bytes that are not UTF-8 become U+FFFD. Raises ValueError or RecursionError."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", errors="replace")
    return json.loads(text)


def _command(inner: dict[str, Any], key: str) -> list[str]:
    """A list of words. Early images have one text, which Docker takes for one word; an empty one is none."""
    if isinstance(_find(inner, key), str):
        return [word for word in [_text(inner, key)] if word]
    words = _words(inner, key)
    return [] if words == [""] else words


def _env(inner: dict[str, Any], notes: list[str]) -> list[str]:
    good: list[str] = []
    odd: list[str] = []
    for word in _words(inner, "Env"):
        (good if "=" in word[1:] and not word.startswith("=") else odd).append(word)
    if odd:
        notes.append(f"variables without a name or a value are passed over: {_shown(odd)}")
    return good


def _working_dir(inner: dict[str, Any]) -> str:
    """A relative one is from the root; builders before BuildKit wrote such. Dots are read as a text, as Docker does."""
    path = _text(inner, "WorkingDir")
    return _absolute(path) if path else ""


def _absolute(path: str) -> str:
    return f"/{posixpath.normpath(f'/{path}').lstrip('/')}"


def _stop_signal(inner: dict[str, Any], notes: list[str]) -> int:
    """Docker refuses an image with a bad one; here it is said, since the rest of the image is well."""
    word = _text(inner, "StopSignal")
    try:
        return signal_number(word, "") if word else signal.SIGTERM
    except UsageError:
        notes.append(f"stop signal is not a signal, and SIGTERM stands in for it: {_shown([word])}")
        return signal.SIGTERM


def _volumes(inner: dict[str, Any], notes: list[str]) -> list[str]:
    declared = sorted(_object(inner, "Volumes"))
    if len(declared) > _MAX_VOLUMES:
        raise UsageError(f"the image declares {len(declared)} volumes; {_MAX_VOLUMES} are allowed")
    made, odd = [], []
    for path in declared:
        whole = _absolute(path)
        if path.startswith("/") and whole != "/" and _is_text(path):
            made.append(whole)
        else:
            odd.append(path)
    if odd:
        notes.append(f"volumes that are not absolute paths below / are passed over: {_shown(odd)}")
    return list(dict.fromkeys(made))


def _healthcheck(inner: dict[str, Any], notes: list[str]) -> dict[str, object] | None:
    check = _object(inner, "Healthcheck")
    if check and check.get("Test") not in (None, [], ["NONE"], [""]):
        notes.append("health check is not run yet")
    return check or None


def _shown(words: list[str]) -> str:
    """Some of them, each cut, in quotation marks and without what a terminal would act upon."""
    some = ", ".join(ascii(word[:_MAX_SHOWN_CHARS]) for word in words[:_MAX_SHOWN])
    return some if len(words) <= _MAX_SHOWN else f"{some} and {len(words) - _MAX_SHOWN} more"


def _find(value: dict[str, Any], key: str) -> Any:
    """A field by its name, in whatever case; one in the right case counts before others."""
    if key in value:
        return value[key]
    return next((found for name, found in value.items() if name.lower() == key.lower()), None)


def _whole(value: Any) -> Any:
    """A text without halves of surrogate pairs, which JSON can write and UTF-8 cannot."""
    return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = _find(value, key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"the image's configuration is malformed: {key} is not an object")
    return found


def _words(value: dict[str, Any], key: str) -> list[str]:
    """A list of texts; null in it is an empty one."""
    found = _find(value, key)
    if found is None:
        return []
    words = ["" if word is None else _whole(word) for word in found] if isinstance(found, list) else []
    if not isinstance(found, list) or not all(_is_text(word) for word in words):
        raise UsageError(f"the image's configuration is malformed: {key} is not a list of texts")
    return words


def _text(value: dict[str, Any], key: str) -> str:
    found = _whole(_find(value, key))
    if found is None:
        return ""
    if not isinstance(found, str) or not _is_text(found):
        raise UsageError(f"the image's configuration is malformed: {key} is not text")
    return found


def _is_text(value: Any) -> bool:
    """Whether a process can have it as an argument: no NUL, and no half of a surrogate pair."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False
