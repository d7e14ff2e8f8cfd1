"""Stacks of layers by chance: types, links, whiteouts, names, times and attributes, some of which cannot be placed."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Sequence

from tests.images import Member, directory, file, hard_link, symlink, whiteout

OPAQUE = ".wh..wh..opq"
CAPABILITY = "\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # struct vfs_cap_data, revision 2: cap_net_raw, effective
_NAMES = ["a", "b", "c", "d", "lib", "a b", "n\nl", "\udcff\udcfe", "x" * 255]
_WEIGHTS = [9, 9, 9, 5, 5, 1, 1, 1, 1]
_TARGETS = [
    "a", "b", "/c", "../a", "a/b", "/lib", ".", "..", "lib", "nowhere/x", "../../../../b", "/", "no/../b", ".//b",
]  # fmt: skip
_SPELLINGS = [*["{}"] * 8, "./{}", "./{}", "/{}", "/{}", ".//{}", "a/../{}", "/../{}", "{}/", "{}/."]
_TIMES = ["1700000000", "1234567890.987654321", "1600000000.000000001", "0", "-1.5", "-86400", "-0.000000001", "1e9"]
_XATTRS = {
    "user.note": "a=b\nc", "user.big": "v" * 3000, "user.empty.not": "x", "trusted.t": "t", "security.x": "\x01\x02",
    "security.capability": CAPABILITY,
}  # fmt: skip


def layers(chance: random.Random) -> list[list[Member]]:
    """One to five layers, now and then one of them twice; about one in ten of their members cannot be placed."""
    found = [_layer(chance, number) for number in range(chance.randrange(1, 6))]
    return [*found, chance.choice(found)] if chance.random() < 0.1 else found


def for_docker(stack: Sequence[Sequence[Member]]) -> list[list[Member]]:
    """With the first of each path in a layer, since Docker refuses the others, and without hard links."""
    known = [[member for member in layer if member.kind != tarfile.LNKTYPE] for layer in stack]
    return [
        list({os.path.normpath("/" + each.name.lstrip("/")): each for each in layer[::-1]}.values())[::-1]
        for layer in known
    ]


def _layer(chance: random.Random, number: int) -> list[Member]:
    members = [directory("./", mtime=1_500_000_000)] if number == 0 or chance.random() < 0.2 else []
    for _ in range(chance.randrange(0, 14)):
        members += _members(chance, is_first=number == 0)
    return members


def _path(chance: random.Random) -> str:
    return "/".join(chance.choices(_NAMES, _WEIGHTS, k=chance.choice([1, 1, 2, 2, 3, 4])))


def _members(chance: random.Random, *, is_first: bool) -> list[Member]:
    """One member, or several that belong together."""
    path = _path(chance)
    kind = chance.choice("dddfffflllhhpc" if is_first else "dddffflllhhpcwwwwoooORRLB")
    match kind:
        case "w":
            return [whiteout(path)]
        case "o":
            return [Member(f"{path}/{OPAQUE}")]
        case "O":  # what a storage driver writes for a folder that was made anew, in either order
            both = [_made(chance, "d", path), Member(f"{path}/{OPAQUE}")]
            return [*chance.sample(both, 2), _made(chance, "f", f"{path}/new")]
        case "L":  # a hard link to what is hidden, or on a hidden way, or replaced
            return _link_to_hidden(chance, path)
        case "B":  # over and below one another
            both = [_made(chance, chance.choice("dflpch"), path), _made(chance, chance.choice("dflh"), f"{path}/a")]
            return chance.sample(both, chance.choice([1, 2]))
        case "R":  # removed and made again in one layer
            return chance.sample([whiteout(path), _made(chance, chance.choice("dfl"), path)], 2)
        case _:
            return [_made(chance, kind, path)]


def _link_to_hidden(chance: random.Random, path: str) -> list[Member]:
    hidden = path.rpartition("/")[0] if chance.random() < 0.5 else path
    found = [hard_link(_path(chance), path)]
    if chance.random() < 0.7:
        found.append(whiteout(path))
    if hidden and chance.random() < 0.5:
        found.append(chance.choice([whiteout(hidden), Member(f"{hidden}/{OPAQUE}")]))
    if hidden and chance.random() < 0.5:
        found.append(_made(chance, chance.choice("dflpc"), hidden))
    return chance.sample(found, len(found))


def _made(chance: random.Random, kind: str, path: str) -> Member:
    known = {"uid": chance.choice([0, 7, 3_000_000_000]), "gid": chance.choice([0, 50]), "pax": _pax(chance, kind)}
    name = chance.choice(_SPELLINGS).format(path)
    mode = chance.choice([0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o600])
    match kind:
        case "d":
            return directory(name, mode, **known)
        case "l":
            return symlink(name, chance.choice([*_TARGETS, path.rpartition("/")[2]]), **known)
        case "h":
            return hard_link(name, _path(chance))
        case "p":
            return Member(name, tarfile.FIFOTYPE, mode=mode, **known)
        case "c":
            return Member(name, tarfile.CHRTYPE, mode=mode, device=(1, 3), **known)
        case _:
            return file(name, str(chance.random()).encode() * chance.choice([0, 1, 1, 400]), mode, **known)


def _pax(chance: random.Random, kind: str) -> dict[str, str]:
    """A time, and now and then xattrs, which links and special files cannot have."""
    found = {"mtime": chance.choice(_TIMES[:3] if kind == "d" else _TIMES[:-1])}
    if kind in "df" and chance.random() < 0.3:
        names = chance.sample(sorted(_XATTRS), chance.randrange(1, 4))
        names = [name for name in names if kind == "f" or name != "security.capability"]
        found |= {f"SCHILY.xattr.{name}": _XATTRS[name] for name in names}
    return found
