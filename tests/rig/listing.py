"""usage: listing.py DIR: every object below DIR, a line each, with all that a file system says of it. Run in the rig.

Path, kind, mode, owner, mtime in ns, size, device, target, xattrs, the digest of the content, and the first of a hard
link's names. Standard library only: it starts in no time there; BLAKE2b takes a third of SHA-256's time there.
"""

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator

KINDS = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}


def main(top: bytes) -> None:
    for row in rows(top):
        print(*(repr(word)[2:-1] if isinstance(word, bytes) else word for word in row))


def rows(top: bytes, exact: bool = False) -> Iterator[list[bytes | str]]:
    """Each object's words; `exact` is for folders where no time is that of the unpacking."""
    first: dict[tuple[int, int], bytes] = {}
    for path in sorted(paths(top)):
        info = os.lstat(path)
        name = os.path.relpath(path, top)
        kind = KINDS.get(stat.S_IFMT(info.st_mode), "device")
        at = str(info.st_mtime_ns) if exact else made(info, kind, name)
        words = [name, kind, f"{stat.S_IMODE(info.st_mode):o}", f"{info.st_uid}:{info.st_gid}", at]
        if kind != "dir":
            words.append(f"same as {first.setdefault((info.st_dev, info.st_ino), name)!r}")
        if kind == "file":
            with open(path, "rb") as file:
                words.append(f"{info.st_size} {hashlib.file_digest(file, hashlib.blake2b).hexdigest()}")
        elif kind == "link":
            words.append(repr(os.readlink(path)))
        elif kind == "device":
            words.append(f"{stat.S_ISBLK(info.st_mode)} {os.major(info.st_rdev)},{os.minor(info.st_rdev)}")
        for key in sorted(os.listxattr(path, follow_symlinks=False)):
            words.append(f"{key}={os.getxattr(path, key, follow_symlinks=False)!r}")
        yield words


def made(info: os.stat_result, kind: str, name: bytes) -> str:
    """The mtime. A directory that no layer describes has that of its unpacking, or none: one word for both.

    So has the root, which umoci touches last.
    """
    implied = name == b"." or (kind == "dir" and not 0 < info.st_mtime < time.time() - 86_400)
    return "implied" if implied else str(info.st_mtime_ns)


def paths(top: bytes) -> list[bytes]:
    found = [top]
    for folder, folders, files in os.walk(top):
        found += [os.path.join(folder, name) for name in [*folders, *files]]
    return found


if __name__ == "__main__":
    main(os.fsencode(sys.argv[1]))
