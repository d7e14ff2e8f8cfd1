"""The program `python -m inferno.image.layers`: it turns layers into a base, or decompresses an image's archive.

The job comes in JSON on standard input. Started as root by `inferno.image.worker_process` with every file open that
it needs; it gives up root before it reads the first byte of the image. Answers with one JSON object a line on standard
output: progress, and last `done` or `error`.
"""

from __future__ import annotations

import bz2
import errno
import json
import lzma
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import zstandard
from isal import igzip_lib

from inferno.base import processes
from inferno.base.errors import InfernoError
from inferno.image.layers import confine, decompress, emit, limits, tar
from inferno.image.layers.decompress import Blob
from inferno.image.layers.entry import BadImageError
from inferno.image.layers.tree import Tree, finish

# Loaded here, as root, since the folder of the Python packages may be closed to others.
_LOADED = (bz2, lzma, igzip_lib, zstandard)
_SAY_EVERY_S = 0.1
_MAX_SAID_BYTES = 2000
_BLOCK_BYTES = 4096
_MAX_ZEROS_SHARE = 8  # an eighth
MKFS_OPTIONS = (f"-b{_BLOCK_BYTES}", "-T0", "--mkfs-time", "--quiet", "--tar=f", "--sort=none")
AS_IT_IS = ("-Enoinline_data",)
# Into 16 KiB at a time, not 4: a twentieth smaller, mkfs writes less often, and booting is no slower one could see.
COMPRESSED = ("-zlz4", "-C16384")


@dataclass(frozen=True, slots=True)
class Done:
    """How many bytes came of it, and in words what a base could not hold; none for all."""

    size: int
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """`layers` from the lowest up, each with an empty file to decompress it into; `out` becomes the file system.

    `mkfs` is mkfs.erofs, open, since its folder may be closed to the user this becomes. `uuid` is the file system's.
    `compress` is for all images; else those are compressed that gain much by it.
    """

    layers: list[tuple[Blob, int]]
    out: int
    mkfs: int
    uuid: str
    compress: bool
    uid: int
    max_entries: int
    max_bytes: int
    cpu_s: int

    def work(self, speaker: Speaker) -> Done:
        return build(self, speaker)


@dataclass(frozen=True, slots=True)
class Plain:
    """The file `packed` is decompressed into the empty one `out`."""

    packed: Blob
    out: int
    uid: int
    max_bytes: int
    cpu_s: int

    def work(self, speaker: Speaker) -> Done:
        return Done(
            decompress.decompress(self.packed, self.out, self.max_bytes, speaker.more("decompress the archive"))
        )


def read(text: str) -> Base | Plain:
    """The job in JSON; `do` says which."""
    values = json.loads(text)
    if values.pop("do") == "plain":
        return Plain(packed=Blob(**values.pop("packed")), **values)
    layers = [(Blob(**layer), spool) for layer, spool in values.pop("layers")]
    return Base(layers=layers, **values)


class Speaker:
    """Lines to the parent; progress at most ten times a second, whichever thread it comes from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage, self._done, self._said_at = "", 0, 0.0

    def more(self, stage: str) -> Callable[[int], None]:
        """A function that is told how many bytes of a stage are done in addition."""
        return lambda count: self._say(stage, self._done + count if stage == self._stage else count)

    def total(self, stage: str, total: int) -> Callable[[int], None]:
        """A function that is told how many bytes of a stage are done."""
        return lambda done: self._say(stage, done, total)

    def _say(self, stage: str, done: int, total: int | None = None) -> None:
        with self._lock:
            new, self._stage, self._done = stage != self._stage, stage, done
            now = time.monotonic()
            if new or now - self._said_at >= _SAY_EVERY_S:
                self._said_at = now
                say({"progress": stage, "done": done, "total": total})


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """The whole program. Every expected failure is said as an `error`."""
    job = read(sys.stdin.read())
    try:
        confine.confine(job.uid, job.cpu_s, programs=isinstance(job, Base) and os.pread(job.mkfs, 2, 0) == b"#!")
        done = job.work(Speaker())
        say({"done": done.size, "left_out": done.left_out})
    except (BadImageError, InfernoError) as error:
        say({"error": str(error)[:_MAX_SAID_BYTES], "full": False})
    except MemoryError:
        say({"error": f"the image needs more than {confine.MEMORY_BYTES >> 20} MiB of memory to read", "full": False})
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        say({"error": f"{error.strerror or error}", "full": full})
    else:
        return 0
    return 1


def build(job: Base, speaker: Speaker) -> Done:
    """Decompress, settle, and write the file system; `Done.size` is the bytes of its files."""
    left_out = limits.LeftOut()
    tree = Tree(job.max_entries, job.max_bytes)
    files = []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        ready = [pool.submit(_archive, blob, spool, job.max_bytes, speaker) for blob, spool in job.layers]
        try:
            for number, layer in enumerate(ready):
                descriptor, start, size = layer.result()
                tree.apply(tar.entries(descriptor, size, number, start, left_out))
                files.append(descriptor)
        except BaseException:
            _cancel(ready)
            raise
    total, zeros = finish(tree, left_out, _BLOCK_BYTES)
    # Not compressed, each file's data goes straight to its place, and mkfs works a third as long. Where tails and
    # holes come to more than an eighth of the files' bytes, as with many small ones, compression takes them out.
    compress = job.compress or zeros * _MAX_ZEROS_SHARE > total
    _make(job, tree, files, COMPRESSED if compress else AS_IT_IS, speaker.total("make the base", total))
    return Done(total, left_out.told())


def _cancel(ready: list[Future[tuple[int, int, int]]]) -> None:
    for layer in ready:
        layer.cancel()


def _archive(blob: Blob, spool: int, max_bytes: int, speaker: Speaker) -> tuple[int, int, int]:
    """Where the layer's plain archive is: an open file, where in it, and how long."""
    if decompress.is_plain(blob):
        decompress.verify(blob, speaker.more("verify the layers"))
        return blob.descriptor, blob.offset, blob.size
    return spool, 0, decompress.decompress(blob, spool, max_bytes, speaker.more("decompress the layers"))


def _make(job: Base, tree: Tree, layers: list[int], how: tuple[str, ...], progress: Callable[[int], None]) -> None:
    """Run mkfs.erofs on the stream. Its complaint goes before that of a pipe that it closed."""
    reader, writer = os.pipe()
    _enlarge(writer)
    said = os.memfd_create("said")  # not a pipe: one that fills up would stop both
    options = [*MKFS_OPTIONS, "-U", job.uuid, *how]
    mkfs = processes.spawn(
        [f"/proc/self/fd/{job.mkfs}", *options, f"/proc/self/fd/{job.out}"],
        stdin=reader,
        stdout=processes.DEVNULL,
        stderr=said,
        pass_fds=(job.mkfs, job.out),
    )
    os.close(reader)
    broken = False
    try:
        emit.write(tree, layers, writer, progress)
        # Before mkfs compresses any data it has put all aside, in its own file: three times would lie on the disk.
        # What is still in the pipe are whole pages, which stay until they are read.
        for _, spool in job.layers:
            os.ftruncate(spool, 0)
    except BrokenPipeError:
        broken = True
    except BaseException:
        mkfs.kill()
        raise
    finally:
        os.close(writer)
        status = mkfs.wait()
    # mkfs goes on after data that it could not write, and ends with 0: whatever it says is a failure.
    if (words := os.pread(said, _MAX_SAID_BYTES, 0)) or status or broken:
        _explain(status, words)


def _enlarge(pipe: int) -> None:
    """A pipe of 1 MiB: fewer turns between the two programs."""
    import fcntl

    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    except OSError:  # beyond /proc/sys/fs/pipe-max-size, or the user's share of pipe pages: slower, no more
        return


def _explain(status: int, said: bytes) -> None:
    text = said.decode(errors="replace")
    if os.strerror(errno.ENOSPC) in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line for line in text.splitlines() if line.strip()]
    raise BadImageError(f"mkfs.erofs ended with {status}: {lines[-1] if lines else 'it said nothing'}")
