"""Making a version, and the flip of `current` that makes it count.

It is noted as the VM's, made in `<ULID>.<VM>.tmp`, synced, renamed; then `current` is replaced, then the database
told. Killed at any point, the old version stays current, and the next create removes what is left (`prune`).
"""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.settings import Settings
from inferno.state.paths import Paths, VersionDir
from inferno.version import trusted_copies
from inferno.version.prune import remove
from inferno.version.versions import ARTIFACTS, CONFIGS, NO_ID, current, intact, read
from inferno.version.why import differences

_EXECUTABLE = frozenset({"kiln", "firecracker", "jailer"})


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


def create(settings: Settings, inputs: Inputs) -> tuple[str, bool]:
    """Make a version from `inputs`, unless the current one was made from the same; return (ULID, whether it is new).

    Raises UsageError when the disk is full; then nothing but the old version is left.
    """
    paths = Paths(settings.root)
    with trusted_copies.lock(paths):
        stored = {name: _put(paths, settings, name) for name in ARTIFACTS}
        digests = _digests(inputs, {name: digest for name, (digest, _) in stored.items()})
        old = current(paths, inputs.name)
        record = read(old) if old else None
        if old and record and record["inputs"] == digests and intact(paths, inputs.name, old.ulid):
            return old.ulid, False
        from ulid import ULID  # importlib.metadata behind it: 70 ms, so only when a version is really made

        ulid = str(ULID())
        record = _record(
            paths, inputs, ulid, digests, {n: d for n, (d, _) in stored.items()}, differences(record, digests)
        )
        _lay(paths, inputs, record, {n: p for n, (_, p) in stored.items()})
    files.symlink(f"../kiln/{ulid}", paths.current(inputs.name))
    return ulid, True


def take_back(paths: Paths, name: str, ulid: str, before: VersionDir | None) -> None:
    """Undo `create`: `before` is current again."""
    if before is None:
        paths.current(name).unlink(missing_ok=True)
    else:
        files.symlink(f"../kiln/{before.ulid}", paths.current(name))
    remove(paths, name, paths.version(ulid))


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
        return trusted_copies.put(paths, source, name, executable=name in _EXECUTABLE)
    except OSError as error:
        raise _explained(error, paths.store, source.stat().st_size) from None


def _explained(error: OSError, where: Path, needed: int | None = None) -> InfernoError:
    """A one-line error for a failed write."""
    if files.is_full(error):
        return files.disk_full(where, needed)
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
    final = paths.version(record["ulid"])
    making = final.unfinished(inputs.name)
    try:
        _own(paths, inputs.name, final.ulid)
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
        os.rename(making, final.dir)
    except BaseException as error:
        remove(paths, inputs.name, final)
        if isinstance(error, OSError):
            raise _explained(error, paths.versions) from None
        raise


def _own(paths: Paths, name: str, ulid: str) -> None:
    link = paths.owned(name) / ulid
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../../{paths.versions.relative_to(paths.root)}/{ulid}")
