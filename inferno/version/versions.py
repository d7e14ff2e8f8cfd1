"""Versions: immutable builds of a VM under vms/kiln/<ULID>, each with a `version.json` that says what it is made from.

One of them is `current`: the one that the VM's next start takes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from inferno.base import files, records
from inferno.state.paths import Paths, VersionDir

if TYPE_CHECKING:
    from inferno.version.version_json import VersionRecord

# What create copies into the store, and what it is called there and in a version.
ARTIFACTS = ("kiln", "firecracker", "jailer", "vmlinux")
CONFIGS = ("kiln.json", "firecracker.json", "run.json")
# Stands in kiln.json until create gives the version its own id: ULIDs have one length, and no quotes.
NO_ID = "0" * 26


def read(directory: VersionDir) -> VersionRecord | None:
    """version.json of a version; None when it is missing. Raises BadRecordError, which names the field."""
    from inferno.version import version_json  # only to look into one: `list` does not

    try:
        return version_json.read(directory.record)
    except FileNotFoundError:
        return None


def usable(directory: VersionDir) -> VersionRecord | None:
    """The same, and None for what cannot be read either: then the version counts as broken."""
    try:
        return read(directory)
    except (OSError, records.BadRecordError):
        return None


def current(paths: Paths, name: str) -> VersionDir | None:
    """The version that `current` points to, or None."""
    try:
        ulid = os.path.basename(os.readlink(paths.current(name)))
    except OSError:
        return None
    directory = paths.version(ulid)
    return directory if directory.record.is_file() else None


def note_current(paths: Paths, name: str, version: VersionDir) -> None:
    """Put the version's record where the current one's is to be found, without a look at any link."""
    files.link(version.record, paths.current_record(name))


def is_noted(paths: Paths, name: str, version: VersionDir) -> bool:
    """Whether what is to be found there is the version's."""
    try:
        return os.path.samefile(version.record, paths.current_record(name))
    except OSError:
        return False


def parts(paths: Paths, name: str) -> list[Path]:
    """What VM `name` boots from, in its current version: the folder, the base, the initrd and the configs in it."""
    directory = current(paths, name)
    if directory is None:
        return []
    configs = (directory.file(config) for config in CONFIGS[:2])
    return [directory.dir, directory.base, directory.file("initrd.cpio"), *configs, directory.run_json]


def owned(paths: Paths, name: str) -> list[VersionDir]:
    """All versions of the VM, the newest last: ULIDs sort by time. One that was never finished is among them.

    There is a link for each, so that nobody has to read the version.json of every VM.
    """
    try:
        return [paths.version(ulid) for ulid in sorted(os.listdir(paths.owned(name)))]
    except FileNotFoundError:
        return []


def intact(paths: Paths, name: str, version: str | None) -> bool:
    """Whether VM `name` has its version `version` current, with every file of it in place."""
    directory = current(paths, name)
    if directory is None or directory.ulid != version:
        return False
    record = usable(directory)
    if record is None:
        return False
    present = set(os.listdir(directory.dir))
    if not (present >= set(record.files) and (paths.root / record.scratch_template).exists()):
        return False
    return base_is_whole(directory, record)


def base_is_whole(directory: VersionDir, record: VersionRecord) -> bool:
    """Whether the base is as it was when the version was made, by its size and time."""
    try:
        info = directory.base.stat()
    except OSError:
        return False
    return (info.st_size, info.st_mtime_ns) == record.base
