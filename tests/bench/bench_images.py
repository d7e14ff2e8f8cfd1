"""How fast an image becomes a base, beside what one would type: tar -xzf of each layer, then mkfs.erofs of the folder.

The image is of this machine's own /usr: at least 300 MB, 15,000 entries, and six layers.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests import images
from tests.bench.row import Row
from tests.registry import Registry

BIN = Path(sys.executable).parent
LAYERS = 6
BYTES, ENTRIES = 350 << 20, 16_000
RUNS, PULLS = 3, 7
_SAMPLE_S = 0.01
# With PYTHONDONTWRITEBYTECODE, which some CI sets, every command would compile Inferno anew and only that.
_ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="inferno-bench.", dir=Path.home() / ".cache") as folder:
        work = Path(folder)
        layout, size, entries = _image(work)
        ours, theirs = [], []
        for number in range(RUNS):
            theirs.append(_by_hand(work / f"hand{number}", layout))
            ours.append(_base(work / f"root{number}", layout))
        more = f"; {size >> 20} MiB, {entries} entries, {LAYERS} layers"
        found = [_beside("OCI image to base / tar -xzf of its layers + mkfs.erofs", 0.6, ours, theirs, more)]
        found.append(_peak_disk(work, layout, size))
        found.append(_pull(work, layout, "", PULLS))
        found += _disk_and_list(work, layout)
        big = _big(work)
        return [*found, _pull(work, big, ", 1 GiB", RUNS), *_memory(work, big)]


def _image(work: Path) -> tuple[Path, int, int]:
    """An OCI layout of files of this machine; (folder, bytes unpacked, entries)."""
    groups: list[list[images.Member]] = [[] for _ in range(LAYERS)]
    size = entries = 0
    for number, path in enumerate(_files(Path("/usr"))):
        data = path.read_bytes()
        groups[number * LAYERS // ENTRIES % LAYERS].append(images.file(str(path).lstrip("/"), data, 0o644))
        size, entries = size + len(data), entries + 1
        if size >= BYTES and entries >= ENTRIES:
            break
    return images.build(work / "layout", groups, level=6, Cmd=["/bin/true"]), size, entries


def _files(top: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 8 << 20:
                yield path


def _by_hand(work: Path, layout: Path) -> Spent:
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    blobs = layout / "blobs" / "sha256"
    layers = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())["layers"]
    tree = work / "tree"
    tree.mkdir(parents=True)

    def unpack_and_pack() -> None:
        for layer in layers:
            archive = blobs / layer["digest"].removeprefix("sha256:")
            subprocess.run(["tar", "-xzf", archive, "-C", tree], check=True)
        subprocess.run([_mkfs(), "--quiet", work / "out.erofs", tree], check=True, capture_output=True)

    # Its 16,000 files stay until all is measured: ext4 without a journal looks past each inode that was freed in the
    # last minutes before it takes a new one, which had the next run take twice as long.
    return _spent(unpack_and_pack)


def _mkfs() -> str:
    own = Path(__file__).resolve().parents[2] / "artifacts/tools/mkfs.erofs"
    return str(own) if own.exists() else "mkfs.erofs"


def _base(root: Path, layout: Path) -> Spent:
    """The whole command, from an image that was looked up to its base."""
    env = {"INFERNO_ROOT": str(root)}
    _timed([BIN / "infernoctl", "image", f"oci:{layout}"], env)
    spent = _timed([BIN / "infernoctl", "rootfs", f"oci:{layout}"], env)
    shutil.rmtree(root)
    return spent


def _peak_disk(work: Path, layout: Path, size: int) -> Row:
    """What the disk holds at most while the base is made, by a file system in memory with nothing else on it."""
    disk = work / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", disk], check=True)
    try:
        env = {**_ENV, "INFERNO_ROOT": str(disk / "root")}
        subprocess.run([BIN / "infernoctl", "image", f"oci:{layout}"], env=env, check=True, capture_output=True)
        peak = 0
        with subprocess.Popen(
            [BIN / "infernoctl", "rootfs", "--quiet", f"oci:{layout}"], env=env, stdout=subprocess.DEVNULL
        ) as made:
            while made.poll() is None:
                used = os.statvfs(disk)
                peak = max(peak, (used.f_blocks - used.f_bfree) * used.f_frsize)
                time.sleep(_SAMPLE_S)
        if made.returncode:
            raise SystemExit(f"infernoctl rootfs ended with {made.returncode}")
    finally:
        subprocess.run(["umount", disk], check=True)
    return Row("peak disk, layers to base / unpacked", peak / size, 2.2, detail=f"{peak >> 20} MiB / {size >> 20} MiB")


def _pull(work: Path, layout: Path, which: str, runs: int) -> Row:
    """`infernoctl image` from a registry on loopback, beside skopeo alone; each into an empty folder.

    What users mostly type, `images pull`, makes the base too: that is the first row's part. What we add to skopeo's
    time is nearly the same for every image, so the row is taken for two sizes.
    """
    ours, theirs = [], []
    data, into = work / "registry", work / "pulled"
    with Registry(data) as registry:
        registry.push(layout, "bench:v1")
        ref = f"docker://{registry.host}/bench:v1"
        for _ in range(runs):
            copy = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", ref]
            theirs.append(_timed([*copy, f"oci:{into}:v1"], {}))
            shutil.rmtree(into)
            ours.append(_timed([str(BIN / "infernoctl"), "image", ref], {"INFERNO_ROOT": str(into)}))
            shutil.rmtree(into)
    shutil.rmtree(data)
    return _beside(f"pull from a registry on loopback{which} / skopeo copy to an OCI layout", 1.15, ours, theirs)


def _disk_and_list(work: Path, layout: Path) -> list[Row]:
    env = {"INFERNO_ROOT": str(work / "ten")}
    used = []
    for number in range(10):
        _timed([str(BIN / "infernoctl"), "create", f"vm{number}", "--image", f"oci:{layout}"], env)
        used.append(_disk(work / "ten"))
    images_folder = work / "ten" / "images"
    for number in range(1000):
        digest = f"{number:064x}"
        (images_folder / digest).mkdir()
        (images_folder / digest / "rootfs.erofs").write_bytes(b"x")
        stamp = {"ref": f"app:{number}", "digest": f"sha256:{digest}", "place": "registry", "seen": digest}
        (images_folder / "refs" / f"app{number}.json").write_text(json.dumps(stamp))
    listing = min(_timed([str(BIN / "infernoctl"), "images", "list"], env) for _ in range(5)).wall
    shutil.rmtree(work / "ten")
    return [
        Row("the 10th VM of an image: extra disk", (used[9] - used[8]) / 2**20, 2, "MiB"),
        Row("images list with 1,000 images", listing * 1000, 100, "ms"),
    ]


class Spent(NamedTuple):
    """Seconds: by the clock, and of processors, which say what it costs on a machine that does other things too."""

    wall: float
    cpu: float


def _timed(argv: Sequence[str | Path], env: dict[str, str]) -> Spent:
    return _spent(lambda: subprocess.run(argv, env={**_ENV, **env}, check=True, capture_output=True))


def _spent(work: Callable[[], object]) -> Spent:
    before, began = _cpu(), time.perf_counter()
    work()
    return Spent(time.perf_counter() - began, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _beside(what: str, bar: float, ours: list[Spent], theirs: list[Spent], more: str = "") -> Row:
    """The best of ours by the best of theirs."""
    spent, alone = min(ours), min(theirs)
    cpu = min(each.cpu for each in ours), min(each.cpu for each in theirs)
    detail = f"{spent.wall:.2f} s / {alone.wall:.2f} s; of processors {cpu[0]:.2f} / {cpu[1]:.2f}{more}"
    return Row(what, spent.wall / alone.wall, bar, detail=detail)


def _disk(root: Path) -> int:
    """Bytes on the disk, each inode once."""
    found = {}
    for path in root.rglob("*"):
        info = path.lstat()
        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _big(work: Path) -> Path:
    """An image of 1 GiB in six layers, which does not get smaller when it is packed."""
    layers = [[images.file(f"big{n}", os.urandom(1 << 20) * 171)] for n in range(6)]
    return images.build(work / "big", layers, level=1, Cmd=["/bin/true"])


def _memory(work: Path, big: Path) -> list[Row]:
    many = [images.file(f"d{n % 500}/f{n}", b"x") for n in range(200_000)]
    layout = images.build(work / "many", [many], Cmd=["/bin/true"])
    peak = _peak_mib(work / "many-root", layout)
    return [
        Row("peak memory, layers to base, 1 GiB image", _peak_mib(work / "big-root", big), 100, "MiB"),
        Row("peak memory, layers to base, 200,000 entries", peak, 250, "MiB"),
    ]


def _peak_mib(root: Path, layout: Path) -> float:
    """The largest process among the command and all it started."""
    env = {**_ENV, "INFERNO_ROOT": str(root)}
    watch = "import os,resource,subprocess,sys; s=subprocess.run(sys.argv[1:],capture_output=True); "
    watch += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(s.returncode)"
    argv = [sys.executable, "-c", watch, BIN / "infernoctl", "rootfs", f"oci:{layout}"]
    done = subprocess.run(argv, env=env, check=True, capture_output=True, text=True)
    shutil.rmtree(root)
    return int(done.stdout) / 1024
