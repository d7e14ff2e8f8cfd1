"""--tmpfs, as Docker's users write it: PATH[:OPTIONS], where the options are those of mount(8) and tmpfs(5).

Checked when it is asked for, and read again when run.json is written. What the kernel would only refuse at start is
refused here by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.spec import grammar
from inferno.spec.user import MAX_ID

_FORM = "PATH[:size=64m,uid=1000,gid=1000,mode=750,exec]"
# What init mounts, and cannot do without.
_INITS = ("/", "/dev", "/proc", "/sys")
# The words for a flag of mount(2), and those that take it back. Without any: noexec, nosuid, nodev, as with Docker.
_FLAGS = {
    "ro": "rw",
    "exec": "noexec",
    "suid": "nosuid",
    "dev": "nodev",
    "noatime": "atime",
    "nodiratime": "diratime",
    "strictatime": "nostrictatime",
}
_BACK = {back: word for word, back in _FLAGS.items()}
# Docker takes these too. In memory that only one guest sees they change nothing.
_NOTHING = ("defaults", "sync", "async", "dirsync", "nomand", "relatime", "norelatime", "private", "rprivate")
# The kernel's memparse(), lib/cmdline.c; and b, which Docker's own sizes have.
_UNITS = {unit: 1 << 10 * power for power, unit in enumerate(("b", "k", "m", "g", "t", "p"))} | {"": 1}
# ULONG_MAX / BOGO_INODE_SIZE of the kernel's mm/shmem.c: one more is EINVAL.
_MAX_INODES = 2**54 - 1


class Tmpfs(NamedTuple):
    """A file system in memory. `mode` None is that of the folder which it covers, 1777 where there is none.

    `options` are NAME=NUMBER words for tmpfs itself, in bytes and decimal, each name once; `flags` are keys of _FLAGS.
    """

    path: str
    mode: int | None = None
    options: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def each(words: Iterable[str]) -> list[Tmpfs]:
    """What the words ask for: of one path the last word, and a folder before those in it. Raises UsageError."""
    found = {one.path: one for one in map(read, words)}
    return sorted(found.values(), key=lambda one: one.path.count("/"))


def read(word: str) -> Tmpfs:
    """PATH[:OPTIONS]; of options that exclude each other the last holds. Raises UsageError."""
    path, _, text = word.partition(":")
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise UsageError(f"--tmpfs {word!r} is not an absolute path", _FORM)
    path = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    grammar.check_path(path, "--tmpfs")
    if path in _INITS or path.startswith("/proc/"):
        raise UsageError(f"--tmpfs {word!r}: nothing can be mounted on {path}, which the guest itself needs", _FORM)
    mode: int | None = None
    options: dict[str, str] = {}
    flags: dict[str, bool] = {}
    for option in filter(None, text.split(",")):
        name, equals, value = option.partition("=")
        if option in _FLAGS or option in _BACK:
            flags[_BACK.get(option, option)] = option in _FLAGS
        elif name == "mode" and equals:
            mode = _mode(value, word)
        elif name in ("uid", "gid") and equals:
            options[name] = f"{name}={_id(name, value, word)}"
        elif name in ("size", "nr_inodes", "nr_blocks") and equals:
            options[name] = f"{name}={_amount(name, value, word)}"
        elif option not in _NOTHING:
            raise _unknown(name, option, word)
    return Tmpfs(path, mode, tuple(options.values()), tuple(flag for flag, is_set in flags.items() if is_set))


def _mode(text: str, word: str) -> int:
    if not text or len(text) > 8 or set(text) - set("01234567") or int(text, 8) > 0o7777:
        raise UsageError(f"--tmpfs {word!r}: mode {text!r} is not an octal number up to 7777", "for example mode=750")
    return int(text, 8)


def _id(name: str, text: str, word: str) -> int:
    if not _is_number(text) or int(text) > MAX_ID:
        hint = "the kernel, which mounts it, knows numbers alone"
        raise UsageError(f"--tmpfs {word!r}: {name} {text!r} is not a number from 0 to {MAX_ID}", hint)
    return int(text)


def _amount(name: str, text: str, word: str) -> str:
    """In bytes, inodes or blocks; 0 means no limit. A size may be a share of the guest's memory: 50%."""
    if name == "size" and text.endswith("%") and _is_number(text[:-1]) and int(text[:-1]) < 10_000:
        return f"{int(text[:-1])}%"
    digits = text.rstrip("bkmgtpBKMGTP")
    unit = text[len(digits) :].lower()
    if not _is_number(digits) or unit not in _UNITS or int(digits) * _UNITS[unit] > _most(name):
        examples = "64m, or 50% of the guest's memory" if name == "size" else "1000, or 1k"
        raise UsageError(f"--tmpfs {word!r}: {name} {text!r} is not a size", f"for example {examples}")
    return str(int(digits) * _UNITS[unit])


def _most(name: str) -> int:
    return _MAX_INODES if name == "nr_inodes" else (1 << 62) - 1


def _unknown(name: str, option: str, word: str) -> UsageError:
    if name == "mpol":
        return UsageError(f"--tmpfs {word!r}: mpol is for machines with several NUMA nodes, and a guest has one")
    flags = (f"{word}|{back}" for word, back in _FLAGS.items())
    known = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", *flags)
    return UsageError(f"--tmpfs {word!r}: unknown option {option!r}", ", ".join(known))


def _is_number(text: str) -> bool:
    """Of so few digits that int takes it, and of the digits that everybody means."""
    return text.isascii() and text.isdigit() and len(text) <= 20
