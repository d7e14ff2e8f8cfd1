"""Versions: immutable builds of a VM under vms/kiln/<ULID>, and the flip of `current` that makes one count.

A version is made in `<ULID>.tmp`, synced, renamed; then `current` is replaced, then the database told. Killed at any
point, the old version stays current, and the next create removes what is left (`sweep`).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferno import files, store
from inferno.config import Settings
from inferno.disk import scratch
from inferno.errors import InfernoError
from inferno.paths import Paths, VersionDir

# What create copies into the store, and what it is called there and in a version.
ARTIFACTS = ("kiln", "firecracker", "jailer", "vmlinux")
_EXECUTABLE = frozenset({"kiln", "firecracker", "jailer"})
CONFIGS = ("kiln.json", "firecracker.json", "run.json")
# Stands in kiln.json until create gives the version its own id: ULIDs have one length, and no quotes.
NO_ID = "0" * 26


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a version is made from. `build` holds initrd.cpio and the three rendered configs."""

    name: str
    slot: int
    spec: dict[str, Any]
    image: str
    base: Path
    build: Path
    init_digest: str
    stop_signal: int
    exec_name: str
    scratch_template: Path


def read(directory: VersionDir) -> dict[str, Any] | None:
    """version.json of a version, or None when it is missing or unreadable (then the version counts as broken)."""
    try:
        record = json.loads(directory.record.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def current(paths: Paths, name: str) -> VersionDir | None:
    """The version that `current` points to, or None."""
    try:
        ulid = os.path.basename(os.readlink(paths.current(name)))
    except OSError:
        return None
    directory = paths.version(ulid)
    return directory if directory.record.is_file() else None


def intact(paths: Paths, name: str, version: str | None) -> bool:
    """Whether VM `name` has its version `version` current, with every file of it in place."""
    directory = current(paths, name)
    if directory is None or directory.ulid != version:
        return False
    record = read(directory)
    if record is None:
        return False
    present = set(os.listdir(directory.dir))
    if not (present >= set(record["files"]) and (paths.root / record["scratch_template"]).exists()):
        return False
    return base_is_whole(directory, record)


def base_is_whole(directory: VersionDir, record: dict[str, Any]) -> bool:
    """Whether the base is as it was when the version was made, by its size and time."""
    try:
        info = directory.base.stat()
    except OSError:
        return False
    return [info.st_size, info.st_mtime_ns] == record.get("base")


def create(settings: Settings, inputs: Inputs) -> tuple[str, bool]:
    """Make a version from `inputs`, unless the current one was made from the same; return (ULID, whether it is new).

    Raises InfernoError when the disk is full; then nothing but the old version is left.
    """
    paths = Paths(settings.root)
    with store.lock(paths):
        stored = {name: _put(paths, settings, name) for name in ARTIFACTS}
        digests = _digests(inputs, {name: digest for name, (digest, _) in stored.items()})
        old = current(paths, inputs.name)
        record = read(old) if old else None
        if old and record and record["inputs"] == digests and intact(paths, inputs.name, old.ulid):
            return old.ulid, False
        from ulid import ULID  # importlib.metadata behind it: 70 ms, so only when a version is really made

        ulid = str(ULID())
        record = _record(paths, inputs, ulid, digests, {n: d for n, (d, _) in stored.items()}, why(record, digests))
        _lay(paths, inputs, record, {n: p for n, (_, p) in stored.items()})
    files.symlink(f"../kiln/{ulid}", paths.current(inputs.name))
    return ulid, True


def read_why(paths: Paths, ulid: str) -> list[str]:
    """What made this version differ from the one before it."""
    record = read(paths.version(ulid)) or {}
    return list(record.get("why", []))


def pending(settings: Settings, name: str) -> list[str]:
    """What the next create of VM `name` would find changed: artifacts built anew, an image that was pulled again."""
    paths = Paths(settings.root)
    directory = current(paths, name)
    record = read(directory) if directory else None
    if record is None:
        return ["its current version is missing or broken"]
    before = record["inputs"]
    now = {a: settings.share_dir / a for a in (*ARTIFACTS, "init")}
    changed = {a: files.sha256(p) if p.is_file() else "missing" for a, p in now.items()}
    with contextlib.suppress(OSError, ValueError, KeyError):
        changed["image"] = json.loads(paths.ref(record["spec"]["image"]).read_text())["digest"]
    lines = [f"{k}: {_short(before.get(k))} -> {_short(v)}" for k, v in changed.items() if before.get(k) != v]
    if directory and not intact(paths, name, directory.ulid):
        lines.append("files of it are missing or damaged")
    return lines


def exec_name(settings: Settings) -> str:
    """What the jailer's exec-file is called: before Firecracker 1.13 its name must contain "firecracker".

    The jailer wipes that rule out in 1.13.0 (CHANGELOG, "Changed"). Version: artifacts/vmm.json.
    """
    try:
        major, minor = json.loads((settings.share_dir / "vmm.json").read_text())["version"].split(".")[:2]
    except (OSError, ValueError, KeyError):
        raise InfernoError(f"vmm.json is missing from {settings.share_dir}", "doit vmm") from None
    return "kiln" if (int(major), int(minor)) >= (1, 13) else "firecracker-kiln"


def _put(paths: Paths, settings: Settings, name: str) -> tuple[str, Path]:
    source = settings.share_dir / name
    if not source.exists():
        raise InfernoError(f"artifact {name} is missing from {settings.share_dir}", "doit artifacts")
    try:
        return store.put(paths, source, name, executable=name in _EXECUTABLE)
    except OSError as error:
        raise disk_error(error, paths.store) from None


def disk_error(error: OSError, where: Path) -> InfernoError:
    """A one-line error for a failed write; for a full disk it says so."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfernoError(
            f"no space left on the disk of {where}", "free some, or move INFERNO_ROOT; nothing was changed"
        )
    return InfernoError(f"{error.filename or where}: {error.strerror or error}")


def _digests(inputs: Inputs, artifacts: dict[str, str]) -> dict[str, Any]:
    configs = {name: files.sha256(inputs.build / name) for name in CONFIGS}
    return {
        **artifacts,
        "init": inputs.init_digest,
        "image": inputs.image,
        "initrd.cpio": files.sha256(inputs.build / "initrd.cpio"),
        **configs,
        "exec_name": inputs.exec_name,
        "stop_signal": inputs.stop_signal,
        "spec": inputs.spec,
    }


def why(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    """What changed since the version before, one line each: the answer to `infernoctl why`."""
    if old is None:
        return ["it is the first version"]
    before = old["inputs"]
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


def _record(
    paths: Paths,
    inputs: Inputs,
    ulid: str,
    digests: dict[str, Any],
    artifacts: dict[str, str],
    changes: list[str],
) -> dict[str, Any]:
    in_version = [
        inputs.exec_name,
        "firecracker",
        "jailer",
        "vmlinux",
        "rootfs.img",
        "initrd.cpio",
        *CONFIGS[:2],
        "version.json",
    ]
    base = inputs.base.stat()
    return {
        "ulid": ulid,
        "name": inputs.name,
        "slot": inputs.slot,
        "spec": {**inputs.spec, "stop_signal": inputs.stop_signal},
        "inputs": digests,
        "artifacts": artifacts,
        "files": sorted(in_version),
        "exec_name": inputs.exec_name,
        "base": [base.st_size, base.st_mtime_ns],
        "scratch_template": str(inputs.scratch_template.relative_to(paths.root)),
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "why": changes,
    }


def _lay(paths: Paths, inputs: Inputs, record: dict[str, Any], stored: dict[str, Path]) -> None:
    """Put the version's files under <ULID>.tmp, sync them, and rename it to its own name."""
    final = paths.version(record["ulid"]).dir
    making = final.with_name(f"{final.name}.{inputs.name}.tmp")
    try:
        (making / "initramfs/inferno").mkdir(parents=True)
        links = {
            inputs.exec_name: stored["kiln"],
            **{name: stored[name] for name in ("firecracker", "jailer", "vmlinux")},
        }
        for name, source in {**links, "rootfs.img": inputs.base}.items():
            os.link(source, making / name)
        os.link(inputs.build / "initrd.cpio", making / "initrd.cpio")
        files.write(making / "initramfs/inferno/run.json", (inputs.build / "run.json").read_bytes(), 0o444)
        files.write(making / "firecracker.json", (inputs.build / "firecracker.json").read_bytes(), 0o444)
        kiln_json = (inputs.build / "kiln.json").read_text().replace(NO_ID, record["ulid"])
        files.write(making / "kiln.json", kiln_json, 0o444)
        files.write(making / "version.json", json.dumps(record, indent=2) + "\n", 0o444)
        files.sync_tree(making)
        os.rename(making, final)
    except BaseException as error:
        files.remove_tree(making)
        if isinstance(error, OSError):
            raise disk_error(error, paths.versions) from None
        raise


def sweep(paths: Paths, name: str, running: Callable[[str], bool]) -> None:
    """Remove versions of VM `name` that are neither current nor running, and what killed creates left, of any VM.

    The caller holds the VM's lock, so an unfinished version of this VM is nobody's.
    """
    keep = current(paths, name)
    for entry in list(paths.versions.iterdir()) if paths.versions.is_dir() else ():
        if entry.name.endswith(".tmp"):
            _remove_unfinished(paths, entry, name)
        elif not (keep and entry.name == keep.ulid):
            record = read(VersionDir(entry))
            if record and record.get("name") == name and not running(entry.name):
                scratch.remove(VersionDir(entry))
                files.remove_tree(entry)
    for stale in [*paths.vm(name).glob(".*.tmp"), *paths.vm(name).glob("build/.*.tmp")]:
        stale.unlink(missing_ok=True)


def _remove_unfinished(paths: Paths, entry: Path, name: str) -> None:
    """`<ULID>.<VM>.tmp` of another VM is nobody's when that VM's lock is free."""
    owner = entry.name.split(".")[1]
    if owner == name:
        files.remove_tree(entry)
        return
    with contextlib.suppress(files.BusyError), files.lock(paths.vm_lock(owner), "sweep", wait=False):
        files.remove_tree(entry)
