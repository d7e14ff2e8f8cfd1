"""Why a version was made, and what the next create would find changed: the answers to `infernoctl why`."""

from __future__ import annotations

from inferno.base import files
from inferno.image import local_images
from inferno.settings import Settings
from inferno.spec import create_options
from inferno.state.database import VmRow
from inferno.state.paths import Paths
from inferno.state.slot import Slot
from inferno.version import inputs, versions
from inferno.version.plan import Plan


def told(paths: Paths, ulid: str) -> list[str]:
    """What made this version differ from the one before it."""
    record = versions.usable(paths.version(ulid))
    return list(record.why) if record else []


def pending(settings: Settings, row: VmRow) -> list[str]:
    """What the next create of the VM would find changed, if nothing is asked of it: settings, facts of this host,
    artifacts built anew, an image that was pulled again.

    Raises UsageError when INFERNO_SSH_KEYS names a file that cannot be read.
    """
    plan = Plan(settings, row.name, create_options.merge(row.spec, {}, row.name))
    directory = versions.current(plan.paths, row.name)
    record = versions.usable(directory) if directory else None
    if directory is None or record is None:
        return ["its current version is missing or broken"]
    stamp = local_images.stamp(plan.spec.image, settings, plan.spec.platform)
    artifacts = {name: settings.share_dir / name for name in (*versions.ARTIFACTS, "init")}
    digests = {name: files.sha256(path) if path.is_file() else "missing" for name, path in artifacts.items()}
    now = inputs.causes(plan, Slot(row.slot), stamp.digest if stamp else "not here", digests)
    lines = inputs.differences(record.inputs, now)
    if not versions.intact(plan.paths, row.name, directory.ulid):
        lines.append("files of it are missing or damaged")
    return lines
