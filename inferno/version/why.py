"""Why a version was made, and what the next create would find changed: the answers to `infernoctl why`."""

from __future__ import annotations

from typing import Any

from inferno.base import files
from inferno.image import local_images
from inferno.settings import Settings
from inferno.state.paths import Paths
from inferno.version import versions
from inferno.version.record import VersionRecord


def told(paths: Paths, ulid: str) -> list[str]:
    """What made this version differ from the one before it."""
    record = versions.usable(paths.version(ulid))
    return list(record.why) if record else []


def pending(settings: Settings, name: str) -> list[str]:
    """What the next create of VM `name` would find changed: artifacts built anew, an image that was pulled again."""
    paths = Paths(settings.root)
    directory = versions.current(paths, name)
    record = versions.usable(directory) if directory else None
    if record is None:
        return ["its current version is missing or broken"]
    before = record.inputs
    now = {a: settings.share_dir / a for a in (*versions.ARTIFACTS, "init")}
    changed = {a: files.sha256(p) if p.is_file() else "missing" for a, p in now.items()}
    known = local_images.stamp(record.spec.image, settings, record.spec.platform)
    if known is not None:
        changed["image"] = known.digest
    lines = [f"{k}: {_short(before.get(k))} -> {_short(v)}" for k, v in changed.items() if before.get(k) != v]
    if directory and not versions.intact(paths, name, directory.ulid):
        lines.append("files of it are missing or damaged")
    return lines


def differences(old: VersionRecord | None, new: dict[str, Any]) -> list[str]:
    """What changed since the version before, one line each."""
    if old is None:
        return ["it is the first version"]
    before: dict[str, Any] = old.inputs
    lines = []
    for field in sorted(set(before.get("spec", {})) | set(new["spec"])):
        was, now = before.get("spec", {}).get(field), new["spec"].get(field)
        if was != now:
            lines.append(f"{field}: {was} -> {now}")
    for key, now in new.items():
        if key != "spec" and before.get(key) != now:
            lines.append(f"{key}: {_short(before.get(key))} -> {_short(now)}")
    return lines or ["files of the version before were missing"]


def _short(value: Any) -> str:
    text = str(value).removeprefix("sha256:")
    return text[:12] if len(text) == 64 else text
