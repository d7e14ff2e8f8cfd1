"""How fast an image becomes a base or comes from a registry, beside what one would type, and what it takes meanwhile.

The image is of this machine's own /usr: at least 350 MiB, 16,000 entries, and six layers.

**What is timed writes into memory**, a tmpfs of its own, and so does what it is compared with. On a disk the ratio of
the same two commands read anything from 0.3 to 0.9 within an hour, for three reasons that are not ours:

* ext4 without a journal does not give out an inode that was freed in the last minutes, and looks at each of those
  before it takes another (recently_deleted() in the kernel's fs/ext4/ialloc.c). So whatever removed 16,000 files, an
  earlier run of this benchmark included, slows the next that unpacks as many: `tar` and mkfs.erofs took 7 to 9 s of
  processor instead of 5.
* What one side wrote goes to the disk while the other is timed; the side that syncs waits for it, and that is our side.
* Other programs write to the same disk.

None of them is there in memory. Two costs of a disk are left out with them: creating 16,000 files, which is theirs
alone, and the fsync of a base or a layer, which is ours alone. What else uses the processors still falls on both,
and the more on ours while that runs on two processors at once. The processor times in the remark depend less on it.

The rows in MiB are about sizes, which no disk changes: they work on the disk of the cache. `base-disk` looks at how
full a file system gets, so it has one to itself.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import images
from tests.bench.built import artifacts
from tests.bench.measure import LEAST, BenchError, Measured, Side, environment, run, several
from tests.bench.place import CHECKOUT
from tests.bench.row import Lab, row, work_folder
from tests.registry import Registry

CTL = Path(sys.executable).parent / "infernoctl"
LAYERS = 6
BYTES, ENTRIES = 350 << 20, 16_000
_SAMPLE_S = 0.01
_MEMORY_GIB = 4  # what a tmpfs may hold; at most some 2.5 are used


class Image(NamedTuple):
    """An OCI layout, and what is in it."""

    layout: Path
    unpacked: int
    entries: int


def usr(lab: Lab) -> Image:
    """An image of files of this machine."""
    groups: list[list[images.Member]] = [[] for _ in range(LAYERS)]
    size = entries = 0
    for number, path in enumerate(_files(Path("/usr"))):
        data = path.read_bytes()
        groups[number * LAYERS // ENTRIES % LAYERS].append(images.file(str(path).lstrip("/"), data, 0o644))
        size, entries = size + len(data), entries + 1
        if size >= BYTES and entries >= ENTRIES:
            break
    return Image(images.build(lab.folder() / "layout", groups, level=6, Cmd=["/bin/true"]), size, entries)


def _files(top: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 8 << 20:
                yield path


def big(lab: Lab) -> Path:
    """A layout of 1 GiB in six layers, which does not get smaller when it is packed."""
    layers = [[images.file(f"big{n}", os.urandom(1 << 20) * 171)] for n in range(6)]
    return images.build(lab.folder() / "big", layers, level=1, Cmd=["/bin/true"])


@contextlib.contextmanager
def memory() -> Iterator[Path]:
    """A file system in memory, empty, with nothing else on it. Raises BenchError without root or room."""
    if os.geteuid() != 0:
        raise BenchError("a tmpfs is mounted for it, which needs root: sudo make bench")
    free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    if (gib := int(free.split()[1]) / 2**20) < _MEMORY_GIB:
        raise BenchError(f"{_MEMORY_GIB} GiB of free memory are needed, and {gib:.1f} are here")
    with work_folder() as folder:
        run(["mount", "-t", "tmpfs", "-o", f"size={_MEMORY_GIB}g", "tmpfs", folder])
        try:
            yield folder
        finally:
            run(["umount", folder])


def _rootfs(root: Path, layout: Path) -> Side:
    """From an image that was looked up to its base: the whole command."""
    env = environment(INFERNO_ROOT=root)
    return Side(
        lambda: run([CTL, "rootfs", f"oci:{layout}"], env),
        lambda: run([CTL, "image", f"oci:{layout}"], env),
        lambda: shutil.rmtree(root),
    )


@row("base", "OCI image to base / tar -xzf of its layers + mkfs.erofs", bar=0.6)
def base(lab: Lab) -> Measured:
    image = lab.shared(usr)
    with memory() as folder:
        pairs = lab.watch.pairs(_rootfs(folder / "root", image.layout), _by_hand(folder / "hand", image.layout), LEAST)
    return pairs.measured(f"; {image.unpacked >> 20} MiB, {image.entries} entries, {LAYERS} layers")


def _by_hand(work: Path, layout: Path) -> Side:
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    blobs = layout / "blobs" / "sha256"
    layers = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())["layers"]
    archives = [blobs / layer["digest"].removeprefix("sha256:") for layer in layers]
    own = CHECKOUT / "artifacts/tools/mkfs.erofs"
    mkfs = own if own.exists() else "mkfs.erofs"
    tree = work / "tree"

    def unpack_and_pack() -> None:
        for archive in archives:
            run(["tar", "-xzf", archive, "-C", tree])
        run([mkfs, "--quiet", work / "out.erofs", tree])

    return Side(unpack_and_pack, lambda: tree.mkdir(parents=True), lambda: shutil.rmtree(work))


@row("base-disk", "peak disk, layers to base / unpacked", bar=2.2)
def base_disk(lab: Lab) -> Measured:
    """What the disk holds at most while a base is made, by how full a file system of its own gets."""
    image = lab.shared(usr)
    peaks = []
    with memory() as folder:
        for _ in range(LEAST):
            side = _rootfs(folder / "root", image.layout)
            side.before()
            peaks.append(_fullest(folder, environment(INFERNO_ROOT=folder / "root"), image.layout))
            side.after()
    detail = f"{max(peaks) >> 20} MiB / {image.unpacked >> 20} MiB, looked at every {_SAMPLE_S * 1000:.0f} ms"
    return several([peak / image.unpacked for peak in peaks], detail)


def _fullest(folder: Path, env: dict[str, str], layout: Path) -> int:
    """The most bytes in use while the base is made."""
    peak = 0
    with subprocess.Popen([CTL, "rootfs", "--quiet", f"oci:{layout}"], env=env, stdout=subprocess.DEVNULL) as made:
        while made.poll() is None:
            used = os.statvfs(folder)
            peak = max(peak, (used.f_blocks - used.f_bfree) * used.f_frsize)
            time.sleep(_SAMPLE_S)
    if made.returncode:
        raise BenchError(f"infernoctl rootfs ended with {made.returncode}")
    return peak


@row("pull", "pull from a registry on loopback / skopeo copy to an OCI layout", bar=1.15)
def pull(lab: Lab) -> Measured:
    return _pull(lab, lab.shared(usr).layout, 7)


@row("pull-1gib", "pull from a registry on loopback, 1 GiB / skopeo copy to an OCI layout", bar=1.15)
def pull_1gib(lab: Lab) -> Measured:
    return _pull(lab, lab.shared(big), LEAST)


def _pull(lab: Lab, layout: Path, count: int) -> Measured:
    """`infernoctl image` from a registry on loopback, beside skopeo alone; each into an empty folder.

    What users mostly type, `images pull`, makes the base too: that is the first row's part. What we add to skopeo's
    time is nearly the same for every image, so the row is taken for two sizes.
    """
    with memory() as folder, Registry(lab.folder() / "registry") as registry:
        registry.push(layout, "bench:v1")
        ref, into = f"docker://{registry.host}/bench:v1", folder / "pulled"
        copy = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", ref, f"oci:{into}:v1"]
        env = environment(INFERNO_ROOT=into)
        ours = Side(lambda: run([CTL, "image", ref], env), after=lambda: shutil.rmtree(into))
        theirs = Side(lambda: run(copy, env), after=lambda: shutil.rmtree(into))
        return lab.watch.pairs(ours, theirs, count).measured()


class Ten(NamedTuple):
    """Ten VMs of one image, and the bytes on the disk after each of them."""

    root: Path
    used: list[int]


def ten(lab: Lab) -> Ten:
    lab.shared(artifacts)
    layout, made = lab.shared(usr).layout, Ten(lab.folder() / "ten", [])
    for number in range(10):
        run([CTL, "create", f"vm{number}", "--image", f"oci:{layout}"], environment(INFERNO_ROOT=made.root))
        made.used.append(_disk(made.root))
    return made


def _disk(root: Path) -> int:
    """Bytes on the disk, each inode once."""
    found = {}
    for path in root.rglob("*"):
        info = path.lstat()
        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


@row("vm-disk", "disk for one VM more of an image, the 6th to the 10th", bar=2, unit="MiB", value=max)
def vm_disk(lab: Lab) -> Measured:
    used = lab.shared(ten).used
    return several([(more - less) / 2**20 for less, more in itertools.pairwise(used[4:])])


@row("images-list", "images list with 1,000 images", bar=100, unit="ms")
def images_list(lab: Lab) -> Measured:
    root = lab.shared(ten).root
    for number in range(1000):
        digest = f"{number:064x}"
        folder = root / "images" / digest
        folder.mkdir()
        (folder / "rootfs.erofs").write_bytes(b"x")
        stamp = {"ref": f"app:{number}", "digest": f"sha256:{digest}", "place": "registry", "seen": digest}
        (root / "images" / "refs" / f"app{number}.json").write_text(json.dumps(stamp))
    env = environment(INFERNO_ROOT=root)
    taken = lab.watch.samples(Side(lambda: run([CTL, "images", "list"], env)), 9)
    return several([each.wall * 1000 for each in taken])


@row("memory-1gib", "peak memory, layers to base, 1 GiB image", bar=100, unit="MiB", value=max)
def memory_1gib(lab: Lab) -> Measured:
    return _peaks(lab, lab.shared(big))


@row("memory-200k", "peak memory, layers to base, 200,000 entries", bar=250, unit="MiB", value=max)
def memory_200k(lab: Lab) -> Measured:
    many = [images.file(f"d{n % 500}/f{n}", b"x") for n in range(200_000)]
    return _peaks(lab, images.build(lab.folder() / "many", [many], Cmd=["/bin/true"]))


def _peaks(lab: Lab, layout: Path) -> Measured:
    """Of the largest process among the command and all it started, in MiB."""
    root = lab.folder() / "root"
    watch = "import os,resource,subprocess,sys; s=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL); "
    watch += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(s.returncode)"
    argv: list[str | Path] = [sys.executable, "-c", watch, CTL, "rootfs", f"oci:{layout}"]
    peaks = []
    for _ in range(LEAST):
        peaks.append(int(run(argv, environment(INFERNO_ROOT=root))) / 1024)
        shutil.rmtree(root)
    return several(peaks)
