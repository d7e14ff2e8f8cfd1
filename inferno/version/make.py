"""Making a version, and the flip of `current` that makes it count.

It is noted as the VM's, made in `<ULID>.<VM>.tmp`, synced, renamed; then `current` is replaced, then the database
told. Killed at any point, the old version stays current, and the next create removes what is left (`prune`).
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from inferno.base import files, records
from inferno.base.errors import InfernoError
from inferno.base.named_tuple import NamedTuple
from inferno.disk import template
from inferno.image import base
from inferno.settings import Settings
from inferno.spec.create_options import Spec
from inferno.state.paths import Paths, VersionDir
from inferno.state.slot import Slot
from inferno.version import sealing
from inferno.version.inputs import BASE_RECIPE, causes, differences
from inferno.version.plan import Plan
from inferno.version.version_json import FORMAT, VersionRecord
from inferno.version.versions import ARTIFACTS, CONFIGS, NO_ID, current, intact, usable
from inferno.wire.shared import RUN_CONFIG

_EXECUTABLE = frozenset({"kiln", "firecracker", "jailer"})


class _Parts(NamedTuple):
    """What is here to make a version from. `stored` has each artifact's digest and its trusted copy."""

    image: str
    base: Path
    stop_signal: int
    init_digest: str
    exec_name: str
    scratch_template: Path
    stored: dict[str, tuple[str, Path]]


class Made(NamedTuple):
    """The current version: its ULID, whether it is new, and the one that was current before it."""

    ulid: str
    is_new: bool
    before: VersionDir | None


def create(plan: Plan, slot: Slot) -> Made:
    """Make a version, unless the current one was made from the same.

    Raises UsageError when the disk is full; then nothing but the old version is left.
    """
    from inferno.version import trusted_copies

    paths = plan.paths
    scratch_template = template.ensure(plan.settings)
    sealing.make_key(paths)
    with trusted_copies.lock(paths):
        parts = _parts(plan, scratch_template)
        made_from = _made_from(plan, slot, parts)
        old = current(paths, plan.name)
        record = usable(old) if old else None
        changes = differences(record.inputs, made_from) if record else ["it is the first version"]
        if old and not changes and intact(paths, plan.name, old.ulid):
            return Made(old.ulid, False, old)
        from ulid import ULID  # importlib.metadata behind it: 70 ms, so only when a version is really made

        ulid = str(ULID())
        record = _record(plan, slot, parts, ulid, made_from, changes or ["files of the version before were missing"])
        _lay(plan, parts, record)
    files.symlink(f"../kiln/{ulid}", paths.current(plan.name))
    return Made(ulid, True, old)


def take_back(paths: Paths, name: str, made: Made) -> None:
    """Undo `create`: the version before is current again."""
    from inferno.version.prune import remove

    if made.before is None:
        paths.current(name).unlink(missing_ok=True)
    else:
        files.symlink(f"../kiln/{made.before.ulid}", paths.current(name))
    remove(paths, name, paths.version(made.ulid))


def exec_name(settings: Settings) -> str:
    """What the jailer's exec-file is called: before Firecracker 1.13 its name must contain "firecracker".

    The jailer wipes that rule out in 1.13.0 (CHANGELOG, "Changed"). Version: artifacts/vmm.json.
    """
    from inferno.artifact import firecracker  # only to make a version

    try:
        major, minor = (int(number) for number in firecracker.fetched(settings.share_dir).version.split(".")[:2])
    except (OSError, ValueError, records.BadRecordError):
        raise InfernoError(f"vmm.json is missing from {settings.share_dir}, or damaged", "doit vmm") from None
    return "kiln" if (major, minor) >= (1, 13) else "firecracker-kiln"


def _parts(plan: Plan, scratch_template: Path) -> _Parts:
    stamp = plan.stamp()
    return _Parts(
        image=stamp.digest,
        base=base.path(stamp.digest, plan.settings),
        stop_signal=plan.spec.stop_signal or plan.image().stop_signal,
        init_digest=files.sha256(plan.init),
        exec_name=exec_name(plan.settings),
        scratch_template=scratch_template,
        stored={name: _put(plan, name) for name in ARTIFACTS},
    )


def _put(plan: Plan, name: str) -> tuple[str, Path]:
    from inferno.version import trusted_copies

    source = plan.settings.share_dir / name
    if not source.exists():
        raise InfernoError(f"artifact {name} is missing from {plan.settings.share_dir}", "doit artifacts")
    try:
        return trusted_copies.put(plan.paths, source, name, executable=name in _EXECUTABLE)
    except OSError as error:
        raise _explained(error, plan.paths.store, source.stat().st_size) from None


def _explained(error: OSError, where: Path, needed: int | None = None) -> InfernoError:
    """A one-line error for a failed write."""
    if files.is_full(error):
        return files.disk_full(where, needed)
    return InfernoError(f"{error.filename or where}: {error.strerror or error}")


def _made_from(plan: Plan, slot: Slot, parts: _Parts) -> dict[str, object]:
    artifacts = {name: digest for name, (digest, _) in parts.stored.items()} | {"init": parts.init_digest}
    return {
        **causes(plan, slot, parts.image, artifacts),
        **{name: files.sha256(plan.build / name) for name in ("initrd.cpio", *CONFIGS)},
        "exec_name": parts.exec_name,
        "stop_signal": parts.stop_signal,
        "scratch_template": str(parts.scratch_template.relative_to(plan.paths.root)),
        BASE_RECIPE: base.RECIPE,
    }


def _record(
    plan: Plan, slot: Slot, parts: _Parts, ulid: str, made_from: dict[str, object], changes: list[str]
) -> VersionRecord:
    linked = ["firecracker", "jailer", "vmlinux", "rootfs.img", "initrd.cpio"]
    whole = parts.base.stat()
    return VersionRecord(
        format=FORMAT,
        ulid=ulid,
        name=plan.name,
        slot=slot.number,
        image=parts.image,
        spec=records.of(Spec, sealing.names_alone(plan.spec.of_version()), "the spec"),
        stop_signal=parts.stop_signal,
        inputs=made_from,
        files=tuple(sorted([parts.exec_name, *linked, *CONFIGS[:2], "version.json"])),
        exec_name=parts.exec_name,
        base=(whole.st_size, whole.st_mtime_ns),
        scratch_template=str(parts.scratch_template.relative_to(plan.paths.root)),
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        why=tuple(changes),
    )


def _lay(plan: Plan, parts: _Parts, record: VersionRecord) -> None:
    """Put the version's files under <ULID>.tmp, sync them, and rename it to its own name."""
    paths, build = plan.paths, plan.build
    final = paths.version(record.ulid)
    making = final.unfinished(plan.name)
    try:
        _own(paths, plan.name, final.ulid)
        (making / "initramfs/inferno").mkdir(parents=True)
        os.link(parts.stored["kiln"][1], making / parts.exec_name)
        for name in ("firecracker", "jailer", "vmlinux"):
            os.link(parts.stored[name][1], making / name)
        os.link(parts.base, making / "rootfs.img")
        os.link(build / "initrd.cpio", making / "initrd.cpio")
        files.write(making / "initramfs" / RUN_CONFIG, (build / "run.json").read_bytes(), 0o400)
        files.write(making / "firecracker.json", (build / "firecracker.json").read_bytes(), 0o400)
        kiln_json = (build / "kiln.json").read_text().replace(NO_ID, record.ulid)
        files.write(making / "kiln.json", kiln_json, 0o400)
        files.write(making / "version.json", records.text(record), 0o400)
        files.sync_tree(making)
        os.rename(making, final.dir)
    except BaseException as error:
        from inferno.version.prune import remove

        remove(paths, plan.name, final)
        if isinstance(error, OSError):
            raise _explained(error, paths.versions) from None
        raise


def _own(paths: Paths, name: str, ulid: str) -> None:
    link = paths.owned(name) / ulid
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../../{paths.versions.relative_to(paths.root)}/{ulid}")
