"""A stack of layers, as it comes out as a base that is mounted here, beside what unpackers make of it.

Needs root, and EROFS and loop devices in this machine's kernel.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from inferno.image import base
from inferno.settings import load_settings
from tests import images, plain_unpacker, random_stacks, stacks
from tests.images import Member
from tests.plain_unpacker import Placed
from tests.rig.listing import rows

Listed = dict[str, list[str]]
_TIME = 3  # the place of the mtime among the words


def lacking() -> str:
    """What this machine lacks to mount bases, in words; empty for nothing."""
    known = Path("/proc/filesystems").read_text().split()
    missing = [name for name in ("erofs", "ext4", "overlay") if name not in known]
    if missing or not Path("/dev/loop-control").exists():
        return f"this kernel lacks {', '.join(missing) or 'loop devices'}"
    return ""


def listed(top: Path) -> Listed:
    """Everything below a folder: its words, by its path."""
    found = {}
    for row in rows(os.fsencode(top), exact=True):
        name, *words = (repr(word)[2:-1] if isinstance(word, bytes) else word for word in row)
        found[name] = words
    return found


@contextlib.contextmanager
def mounted(folder: Path, stack: Sequence[Sequence[Member]]) -> Iterator[Path]:
    """The base of the stack: settled by the code under test, made by mkfs.erofs, read by the kernel."""
    image, top = folder / "base.erofs", folder / "base"
    words = ["-b4096", "-T0", "--mkfs-time", "--quiet", "--tar=f", "--sort=none", image]
    mkfs = base.mkfs_erofs(load_settings())
    subprocess.run([mkfs, *words], input=stacks.settle(stack), check=True, capture_output=True)
    top.mkdir()
    subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", image, top], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", top], check=True)


def ours(folder: Path, stack: Sequence[Sequence[Member]]) -> Listed:
    with mounted(folder, stack) as top:
        return listed(top)


def plain(folder: Path, stack: Sequence[Sequence[Member]]) -> tuple[Placed, Listed]:
    """The stack without what cannot be placed, and what the plain unpacker makes of it."""
    root = folder / "plain"
    root.mkdir(mode=0o755)
    os.utime(root, (0, 0))
    placed = plain_unpacker.unpack(root, stack)
    return placed, listed(root)


# Where others are not taken at their word, and why. The plain unpacker judges all of these.
EXCEPTIONS = {
    "order": "both act on a whiteout when they come to it, so that an entry before it, below what it hides, is placed "
    "in what is hidden, and a whiteout before it may hide the way to it. By the specification whiteouts concern the "
    "layers below, as they are: both get them first, and first those whose way another hides. Where two whiteouts hide "
    "each other's way, neither judges",
    "in the way": "both refuse an entry below what is a file, or a loop of symlinks, in a layer below. Docker with "
    "overlay2, its usual storage driver, unpacks each layer by itself, and makes a folder there, as newer umoci does: "
    "both get that folder before it",
    "repeats": "Docker refuses a path that comes twice in a layer; with it as a judge none does",
    "hard links": "Docker gives a file the owner, mode and time that the header of a hard link to it has; POSIX and "
    "umoci do not. Archivers write them alike, and these stacks do not: with it as a judge there are no hard links",
    "link to what is hidden": "so a hard link to what its own layer hides finds nothing, and is refused by both",
    "loop": "both refuse a whiteout whose folder is in a loop of symlinks; it hides nothing",
    "opaque link": "umoci follows a symlink to an opaque folder. What is opaque is a folder of that name, and there is "
    "none: such notes are left out for umoci",
    "missing": "Docker refuses the note of an opaque folder that is not there, and makes the folder of a whiteout: it "
    "gets none of these where no folder is",
    "dangling": "Docker refuses an entry below a symlink to what is not there, or is hidden by the same layer; umoci "
    "makes a folder there, as we do",
    "folders' times": "both leave folders with the time of their unpacking; by the specification they are unchanged",
    "replaced folders": "Docker gives what is at the path of a folder when a layer ends, through links, the time that "
    "the layer has for the folder: also a file that came in the place of the folder, by another path to it. It gets "
    "none of these folders; where the folder is there still, and its path leads to a file, Docker does not judge",
    "implied folders": "Docker gives folders that no layer describes the mode 0600; umoci and we 0755",
    "before 1970": "Docker gives files of before 1970 the time 0, but not symlinks",
    "export": "docker export adds what a container needs, has whole seconds, and no xattrs but capabilities",
}
_REFUSALS = {
    "too many levels of symbolic links": "loop",
    "link: no such file or directory": "link to what is hidden",
    "link: operation not permitted": "link to what is hidden",
    "no such file or directory": "dangling",
    "file exists": "dangling",
    "not a directory": "dangling",
}


def _run(words: Sequence[str | Path]) -> str:
    """Run a judge; return which of the exceptions it refuses an image for, if any."""
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    refusal = next((each for said, each in _REFUSALS.items() if said in done.stderr), None)
    assert done.returncode == 0 or refusal is not None, f"{words[0]} refuses it: {done.stderr[-500:]}"
    return refusal or "" if done.returncode else ""


def umoci(folder: Path, placed: Placed, chance: random.Random) -> Listed | str:
    """What umoci makes of an image of the stack, whose layers are gzip or plain; the exception where it refuses one."""
    if placed.others is None:
        return "order"
    layout = images.build(folder / "layout", placed.others, level=chance.choice([0, 1, 9]), Cmd=["/x"])
    refusal = _run(["umoci", "unpack", "--image", f"{layout}:{images.TAG}", folder / "umoci"])
    return refusal or without_folders_times(listed(folder / "umoci/rootfs"))


def docker(folder: Path, placed: Placed) -> Listed | str:
    """What the Docker Engine of $DOCKER_HOST exports of a container of the image; the exception where it refuses it.

    Its storage driver is to be vfs: others unpack each layer by itself, so that none finds what is below it.
    """
    if placed.for_docker is None:
        return "order" if placed.others is None else "replaced folders"
    if any(_repeats(layer) for layer in placed.for_docker):
        return "repeats"
    layout = images.build(folder / "for-docker", placed.for_docker, Cmd=["/x"])
    name = f"inferno-soak:{folder.name.lower().strip('_-.')}"
    saved = folder / "saved.tar"
    words = ["skopeo", "copy", "--quiet", f"oci:{layout}:{images.TAG}", f"docker-archive:{saved}:{name}"]
    subprocess.run(words, check=True)
    if refusal := _run(["docker", "load", "--quiet", "--input", saved]):
        return refusal
    made = subprocess.run(["docker", "create", name], capture_output=True, text=True, check=True).stdout.strip()
    exported = subprocess.run(["docker", "export", made], capture_output=True, check=True).stdout
    subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    subprocess.run(["docker", "rmi", name], capture_output=True, check=True)
    (folder / "docker").mkdir(mode=0o755)
    words = ["tar", "-x", "-p", "--numeric-owner", "--delay-directory-restore", "-C", folder / "docker"]
    subprocess.run(words, input=exported, check=True)
    return as_exported(listed(folder / "docker"))


def _repeats(layer: Sequence[Member]) -> bool:
    return len({os.path.normpath("/" + member.name.lstrip("/")) for member in layer}) < len(layer)


_DOCKERS = {"dev", "etc", "proc", "sys", ".dockerenv"}


def as_exported(found: Listed, implied: Collection[str] = ()) -> Listed:
    """Without what `docker export` adds, loses or does in its own way."""
    known = {}
    for name, words in without_folders_times(found).items():
        if name.partition("/")[0] not in _DOCKERS:
            is_dir = words[0] == "dir"
            at = [] if is_dir else [str(max(int(words[_TIME]) // 1_000_000_000, 0))]
            rest = [word for word in words[3 if is_dir else 4 :] if not word.startswith(_NAMESPACES)]
            known[name] = [*(words[:1] if name in implied else words[:_TIME]), *at, *rest]
    return known


_NAMESPACES = ("user.", "trusted.", "security.")


def without_folders_times(found: Listed) -> Listed:
    return {
        name: [*words[:_TIME], *words[_TIME + 1 :]] if words[0] == "dir" else words for name, words in found.items()
    }


def differences(theirs: Listed, ours: Listed) -> list[str]:
    names = sorted({*theirs, *ours})
    return [f"{name}: {theirs.get(name)} | {ours.get(name)}" for name in names if theirs.get(name) != ours.get(name)]


def agree_with_plain(folder: Path, stack: Sequence[Sequence[Member]]) -> tuple[Placed, Listed]:
    """Raise AssertionError where the plain unpacker makes another tree of what it can place; else return both."""
    placed, expected = plain(folder, stack)
    found = ours(folder, placed.stack)
    if differing := differences(expected, found):
        raise AssertionError("\n".join(differing))
    return placed, found


def check(seed: int, folder: Path, *, with_umoci: bool = False, with_docker: bool = False) -> list[str]:
    """A stack by chance, in `folder`, which is empty; return for which exceptions it was refused by others.

    Raises AssertionError with what differs, and BadImageError when the code under test refuses what can be placed.
    """
    chance = random.Random(seed)
    stack = random_stacks.layers(chance)
    placed, found = agree_with_plain(folder, random_stacks.for_docker(stack) if with_docker else stack)
    refused = []
    if with_umoci:
        theirs = umoci(folder, placed, chance)
        refused += _agree(theirs, without_folders_times(found))
    if with_docker:
        implied = [name for name, words in found.items() if words[0] == "dir" and words[_TIME] == "0"]
        theirs = docker(folder, placed)
        theirs = theirs if isinstance(theirs, str) else {n: w[:1] if n in implied else w for n, w in theirs.items()}
        refused += _agree(theirs, as_exported(found, implied))
    return refused


def _agree(theirs: Listed | str, found: Listed) -> list[str]:
    if isinstance(theirs, str):
        return [theirs]
    if differing := differences(theirs, found):
        raise AssertionError("\n".join(differing))
    return []
