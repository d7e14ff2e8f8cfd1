"""The recipe of bases has a number. A base by another number is made anew, and versions with it."""

from __future__ import annotations

import hashlib
import tarfile

from inferno.image import base
from inferno.image.layers import worker
from tests.images import Member, directory, file, hard_link, symlink, whiteout
from tests.stacks import settle

# What the recipe of that number makes of the stack below.
KNOWN = (3, "3f511f9c0aa15e27")


def stack() -> list[list[Member]]:
    """What the rules differ about, and a bit of all else."""
    pax = {f"SCHILY.xattr.{name}": "v" for name in ("user.a", "com.apple.x", "trusted.overlay.opaque")}
    below = [
        directory("./"), symlink("lib", "usr/lib"), file("usr/lib/keep"), directory("d", 0o2775, gid=5), file("d/f"),
        file("x", b"1", 0o6755, uid=4294967295, mtime=-1.5, pax=pax), Member("null", tarfile.CHRTYPE, device=(1, 3)),
        Member("whiteout", tarfile.CHRTYPE), file("n" * 256), file("far", pax={"mtime": "99999999999"}),
    ]  # fmt: skip
    above = [
        Member("lib/.wh..wh..opq"), whiteout("d/f"), hard_link("d/made/g", "d/f"), file("lib/new"),
        file("y" * 120, b"2"), file("slash/"), file("x/in/the/way"), file("far"), hard_link("m", "d/f"),
    ]  # fmt: skip
    return [below, above]


def test_a_base_by_other_rules_has_another_recipe() -> None:
    """When this fails because bases come out differently on purpose: raise RECIPE, and put the new pair here."""
    made = hashlib.sha256(settle(stack()))
    made.update(repr((worker.MKFS_OPTIONS, worker.AS_IT_IS, worker.COMPRESSED)).encode())
    assert (base.RECIPE, made.hexdigest()[:16]) == KNOWN
