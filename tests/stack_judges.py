"""A stack of layers, as it comes out as a base that is mounted here, beside what unpackers make of it.

Needs root, and EROFS and loop devices in this machine's kernel.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from inferno.image import base
from inferno.settings import load_settings
from tests import images, random_stacks, stacks
from tests.images import Member
from tests.random_stacks import Placed
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
    placed = random_stacks.unpack(root, stack)
    return placed, listed(root)


# Where umoci is not taken at its word, and why. The plain unpacker judges all of these.
UMOCI_EXCEPTIONS = {
    "order": "umoci acts on a whiteout when it comes to it, so that an entry before it, below what it hides, is placed "
    "in what is hidden. By the specification whiteouts concern the layers below alone, as they are: it gets them first",
    "link to what is hidden": "so a hard link to what its own layer hides finds nothing, and is refused by umoci",
    "loop": "umoci refuses a whiteout whose folder is in a loop of symlinks; it hides nothing",
    "opaque link": "umoci follows a symlink to an opaque folder. What is opaque is a folder of that name, and there is "
    "none: such notes are left out for umoci",
    "folders' times": "umoci leaves folders with the time of its unpacking; by the specification they are unchanged",
}
_REFUSALS = {"too many levels of symbolic links": "loop", "link: no such file or directory": "link to what is hidden"}


def umoci(folder: Path, placed: Placed, chance: random.Random) -> Listed | str:
    """What umoci makes of an image of the stack, whose layers are gzip or plain; the exception where it refuses one."""
    known = [[member for member in layer if member not in placed.hides_nothing] for layer in placed.stack]
    sorted_ = [sorted(layer, key=_as_umoci_needs_it) for layer in known]
    layout = images.build(folder / "layout", sorted_, level=chance.choice([0, 1, 9]), Cmd=["/x"])
    argv = ["umoci", "unpack", "--image", f"{layout}:{images.TAG}", folder / "umoci"]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        refusal = next((each for words, each in _REFUSALS.items() if words in done.stderr), None)
        assert refusal is not None, f"umoci refuses it: {done.stderr[-500:]}"
        return refusal
    return listed(folder / "umoci/rootfs")


def _as_umoci_needs_it(member: Member) -> int:
    """Whiteouts first, and of these the deepest, whose way another may hide."""
    return -member.name.count("/") - 1 if member.name.rpartition("/")[2].startswith(".wh.") else 0


def without_folders_times(found: Listed) -> Listed:
    return {
        name: [*words[:_TIME], *words[_TIME + 1 :]] if words[0] == "dir" else words for name, words in found.items()
    }


def differences(theirs: Listed, ours: Listed) -> list[str]:
    names = sorted({*theirs, *ours})
    return [f"{name}: {theirs.get(name)} | {ours.get(name)}" for name in names if theirs.get(name) != ours.get(name)]


def check(seed: int, folder: Path, *, with_umoci: bool) -> str:
    """A stack by chance, in `folder`, which is empty; return which exception umoci made, if any.

    Raises AssertionError with what differs, and BadImageError when the code under test refuses what can be placed.
    """
    chance = random.Random(seed)
    placed, expected = plain(folder, random_stacks.layers(chance))
    found = ours(folder, placed.stack)
    assert differences(expected, found) == []
    if not with_umoci:
        return ""
    theirs = umoci(folder, placed, chance)
    if isinstance(theirs, str):
        return theirs
    assert differences(without_folders_times(theirs), without_folders_times(found)) == []
    return ""
