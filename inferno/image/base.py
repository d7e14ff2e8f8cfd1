"""The base: one read-only EROFS per image digest, made once, shared by all VMs of the image.

Made by the program `inferno.image.layers`, which has no rights but the open files it is given. The base has no name
until it is whole, so a kill at any time leaves nothing.
"""
# No `from __future__ import annotations`: records are read by the annotations, which as texts would be compiled first.

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from inferno.base import files, processes, records
from inferno.base.errors import InfernoError, MissingToolError
from inferno.base.named_tuple import NamedTuple
from inferno.base.progress import Progress, quiet
from inferno.image import local_images, reference, source
from inferno.image.source import PUBLIC, Access, Ask
from inferno.image.stamp import Stamp, key
from inferno.settings import LZ4, Settings
from inferno.state.paths import Paths

if TYPE_CHECKING:
    from inferno.image.layers.decompress import Blob

MINIMUM = (1, 7)  # of erofs-utils: the first with --tar
# Which files a base has of the same image: a base by another recipe is made anew. tests/unit/image/test_recipe.py says
# when this is to be raised.
RECIPE = 3
_NOTE = "base.json"


def path(digest: str, settings: Settings) -> Path:
    """Where the base of an image is, or will be."""
    return Paths(settings.root).image(digest) / "rootfs.erofs"


class Made(NamedTuple):
    """What was noted of a base when it was made; `size` is in bytes.

    `left_out` says in words what a guest could not have, empty when it has all. The first release noted no recipe.
    """

    sha256: str
    size: int
    mtime_ns: int
    recipe: int = 1
    left_out: str = ""


def record(digest: str, settings: Settings) -> Made | None:
    """The note; None without one."""
    try:
        return records.read(Made, Paths(settings.root).image(digest) / _NOTE, newer=True)
    except (OSError, records.BadRecordError):
        return None


def left_out(made: Path) -> str:
    """What the base that `ensure` returned does not have of its image, in words; empty when it has all."""
    return records.read(Made, made.with_name(_NOTE), newer=True).left_out


def is_intact(digest: str, settings: Settings) -> bool:
    """Whether the base is as it was made, by its size and time, and by this recipe; `check` reads it all."""
    noted = record(digest, settings)
    try:
        info = path(digest, settings).stat()
    except OSError:
        return False
    return noted is not None and (info.st_size, info.st_mtime_ns, RECIPE) == (noted.size, noted.mtime_ns, noted.recipe)


class Note(NamedTuple):
    """Which base a reference means: the image's digest, and the file's path below INFERNO_ROOT."""

    ref: str
    platform: str | None
    digest: str
    base: str


def note_path(ref: str, settings: Settings, platform: str | None = None) -> Path:
    """Where it is noted which base a reference means, once that is made."""
    return Paths(settings.root).base_note(key(ref, platform))


def of(ref: str, settings: Settings, platform: str | None = None) -> list[Path]:
    """What a note names: the base, if there is a note."""
    try:
        return [settings.root / records.read(Note, note_path(ref, settings, platform)).base]
    except (OSError, records.BadRecordError):
        return []


def is_noted(ref: str, settings: Settings, access: Access = PUBLIC) -> bool:
    """Whether the image that `ref` means has its base, intact, and that is noted."""
    known = local_images.stamp(ref, settings, access.platform)
    if known is None or not is_intact(known.digest, settings):
        return False
    try:
        return records.read(Note, note_path(ref, settings, access.platform)) == _note(known, settings)
    except (OSError, records.BadRecordError):
        return False


def _note(known: Stamp, settings: Settings) -> Note:
    where = path(known.digest, settings).relative_to(settings.root)
    return Note(known.ref, known.platform, known.digest, str(where))


def ensure(ref: str, settings: Settings, access: Access = PUBLIC, progress: Progress = quiet) -> Path:
    """Make the base of the image that `ref` means, unless it is there, and note that. The image must be here.

    Raises UsageError when the image is damaged or beyond the limits, or the disk is full.
    """
    known = local_images.stamp(ref, settings, access.platform)
    if known is None:
        raise InfernoError(f"image {ref} is not here yet", f"doit 'image:{ref}'")
    made = path(known.digest, settings)
    paths = Paths(settings.root)
    with files.lock(paths.lock(f"base-{made.parent.name[:16]}"), f"base of {ref}"):
        if not is_intact(known.digest, settings):
            made.unlink(missing_ok=True)
            image = local_images.load(known, settings)
            ask = Ask(reference.parse(ref), access, settings, progress)
            with source.layers(ask, image) as layers, contextlib.ExitStack() as held:
                _build(made, layers, settings, progress, held)
        noted = note_path(ref, settings, access.platform)
        files.remove_unfinished(noted)
        records.write(noted, _note(known, settings))
    return made


def _build(
    made: Path, layers: "list[Blob]", settings: Settings, progress: Progress, held: contextlib.ExitStack
) -> None:
    out = held.enter_context(files.nameless(made.parent))
    spools = [held.enter_context(files.nameless(made.parent)) for _ in layers]
    mkfs = _open(held, mkfs_erofs(settings))
    os.fchown(out, settings.worker_uid, settings.worker_uid)  # mkfs opens it once more, as that user
    job = {
        "do": "base",
        "layers": [(layer._asdict(), spool) for layer, spool in zip(layers, spools, strict=True)],
        "out": out,
        "mkfs": mkfs,
        "uuid": _uuid(made.parent.name),
        "compress": settings.image_compression == LZ4,
        "max_entries": settings.image_max_entries,
    }
    from inferno.image import worker_process

    needed = sum(layer.size for layer in layers)
    left_out = worker_process.run(
        job, [mkfs, *{layer.descriptor for layer in layers}], [out, *spools], settings, progress, needed=needed
    )
    os.fchown(out, 0, 0)
    os.fchmod(out, 0o444)
    info = os.fstat(out)
    noted = Made(_sha256(out), info.st_size, info.st_mtime_ns, RECIPE, left_out)
    note = made.with_name(_NOTE)
    files.remove_unfinished(note)
    records.write(note, noted)
    files.give_name(out, made)


def _sha256(descriptor: int) -> str:
    """Of a file's content. The disk writes it down meanwhile, so that it gets its name soon afterwards."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        synced = pool.submit(os.fsync, descriptor)
        found = files.sha256(Path(f"/proc/self/fd/{descriptor}"))
        synced.result()
    return found


def mkfs_erofs(settings: Settings) -> Path:
    """The mkfs.erofs that set-up built, else the host's. Raises MissingToolError for none, or one that is too old."""
    own = settings.share_dir / "tools" / "mkfs.erofs"
    found = own if own.exists() else Path(processes.find("mkfs.erofs"))
    said = processes.run([found, "-V"]).stdout.decode(errors="replace")
    version = next((word for word in said.split() if word[0].isdigit()), "0.0")
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < MINIMUM:
        raise MissingToolError(f"{found} is version {version}; 1.7 or newer is needed", "make setup builds one")
    return found


def _open(held: contextlib.ExitStack, program: Path) -> int:
    descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return descriptor


def _uuid(digest: str) -> str:
    """The file system's UUID, from the image's digest: the same image, the same bytes."""
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
