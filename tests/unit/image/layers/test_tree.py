"""Layers settled into one tree: each rule by itself, and random stacks beside an unpacker that uses a real folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

import pytest

from inferno.image.layers.entry import BadImageError
from inferno.image.layers.limits import LeftOut
from tests.images import Member, directory, file, hard_link, symlink, whiteout
from tests.stacks import Listing, listing, settle


def names(layers: Sequence[Sequence[Member]]) -> list[str]:
    return sorted(listing(settle(layers)))


def contents(layers: Sequence[Sequence[Member]]) -> Listing:
    """path -> the last word: content, or target."""
    return {path: text.rpartition(" ")[2] for path, text in listing(settle(layers)).items()}


def test_parents_and_the_root_are_explicit_and_plain() -> None:
    found = listing(settle([[file("a/b/c", b"x")]]))
    assert found == {".": "dir 755 0:0 ", "a": "dir 755 0:0 ", "a/b": "dir 755 0:0 ", "a/b/c": "file 644 0:0 x"}


def test_the_roots_own_entry_counts() -> None:
    assert listing(settle([[directory("./", 0o700, uid=5)]])) == {".": "dir 700 5:0 "}


def test_the_stream_is_sorted_and_the_same_however_the_layer_was_ordered() -> None:
    one = [directory("b"), file("b/2"), file("b/1"), directory("a", 0o700), file("a/x")]
    assert settle([one]) == settle([[one[0], one[2], one[1], *one[3:]]])
    with tarfile.open(fileobj=io.BytesIO(settle([one]))) as archive:
        assert [member.name for member in archive] == [".", "a", "a/x", "b", "b/1", "b/2"]


def test_whiteouts_hide_what_is_below_wherever_they_stand() -> None:
    below = [file("a/gone"), file("a/stays"), directory("tree"), file("tree/x/y")]
    assert names([below, [file("tree/new"), whiteout("a/gone"), whiteout("tree")]]) == [
        ".", "a", "a/stays", "tree", "tree/new"
    ]  # fmt: skip


def test_an_opaque_directory_hides_only_what_is_below() -> None:
    below = [file("a/old"), file("a/b/older")]
    above = [file("a/new"), Member("a/.wh..wh..opq"), directory("a", 0o711)]
    assert names([below, above]) == [".", "a", "a/new"]
    assert listing(settle([below, above]))["a"].startswith("dir 711")


def test_other_notes_of_aufs_mean_nothing() -> None:
    assert names([[file("a")], [Member(".wh..wh.plnk"), Member(".wh..wh.aufs")]]) == [".", "a"]


@pytest.mark.parametrize("name", [".wh.", "a/.wh..", ".wh...", "../x", "a/../../x", "a/.wh..."])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(BadImageError):
        settle([[Member(name)]])


def test_absolute_names_are_the_images_own() -> None:
    assert names([[file("/etc/x"), file("//srv///y/")]])[0:3] == [".", "etc", "etc/x"]


def test_a_directory_over_a_directory_keeps_the_content() -> None:
    found = listing(settle([[directory("d"), file("d/f")], [directory("d", 0o1777, uid=7, gid=8)]]))
    assert found["d"] == "dir 1777 7:8 " and "d/f" in found


@pytest.mark.parametrize("above", [file("d", b"new"), symlink("d", "elsewhere"), Member("d", tarfile.FIFOTYPE)])
def test_anything_else_over_a_directory_replaces_all_of_it(above: Member) -> None:
    assert names([[directory("d"), file("d/f")], [above]]) == [".", "d"]


def test_a_directory_over_a_file_or_link_replaces_it() -> None:
    for below in (file("d"), symlink("d", "/elsewhere")):
        found = names([[directory("elsewhere"), below], [directory("d"), file("d/f")]])
        assert found == [".", "d", "d/f", "elsewhere"]


def test_entries_below_a_symlink_land_where_it_leads() -> None:
    below = [directory("usr/bin"), symlink("bin", "usr/bin"), symlink("abs", "/usr/bin"), symlink("up", "../../usr")]
    above = [file("bin/one"), file("abs/two"), file("up/bin/three")]
    assert [n for n in names([below, above]) if n.startswith("usr/bin/")] == [
        "usr/bin/one", "usr/bin/three", "usr/bin/two"
    ]  # fmt: skip


def test_a_whiteout_below_a_symlink_hides_what_it_leads_to() -> None:
    below = [file("usr/bin/one"), file("usr/bin/two"), symlink("bin", "usr/bin")]
    assert "usr/bin/one" not in names([below, [whiteout("bin/one")]])


def test_a_dangling_symlink_as_a_parent_gets_its_directory() -> None:
    assert names([[symlink("lib", "usr/lib"), file("lib/x")]]) == [".", "lib", "usr", "usr/lib", "usr/lib/x"]


def test_a_loop_of_symlinks_is_refused() -> None:
    with pytest.raises(BadImageError, match="not a directory"):
        settle([[symlink("a", "b"), symlink("b", "a"), file("a/x")]])


def test_no_symlink_leads_out_of_the_image() -> None:
    assert contents([[symlink("out", "../../../../etc"), file("out/passwd", b"mine")]])["etc/passwd"] == "mine"


@pytest.mark.parametrize("layer", [[file("a"), file("a/b")], [file("d/a"), symlink("l", "d"), file("l/a/b/c")]])
def test_a_file_of_the_same_layer_as_a_parent_is_refused(layer: list[Member]) -> None:
    with pytest.raises(BadImageError, match="a, which is not a directory"):
        settle([layer])
    with pytest.raises(BadImageError, match="a, which is not a directory"):
        settle([[file("a"), file("d/a")], layer])


def test_what_is_in_the_way_of_an_entry_makes_room_where_it_is_of_a_layer_below() -> None:
    """As with Docker's overlay2: what an entry is reached through is a folder, and what a link led to stays."""
    assert contents([[file("a", b"old")], [file("a/b/c", b"new")]]) == {".": "", "a": "", "a/b": "", "a/b/c": "new"}
    found = contents([[file("f", b"kept"), symlink("l", "f"), symlink("loop", "loop")], [file("l/x"), file("loop/x")]])
    assert found == {".": "", "f": "kept", "l": "", "l/x": "", "loop": "", "loop/x": ""}
    below = [file("d/f"), symlink("l", "d"), symlink("p", "q"), symlink("q", "p")]
    assert names([below, [file("l/f/x"), file("q/x")]]) == [".", "d", "d/f", "d/f/x", "l", "p", "q", "q/x"]
    for above in ([Member("loop/.wh..wh..opq"), file("loop/new")], [file("loop/new"), whiteout("loop/new")]):
        assert names([[symlink("loop", "loop")], above]) == [".", "loop", "loop/new"]


def test_a_folder_is_made_in_the_middle_of_a_long_path() -> None:
    assert len(names([[file("/".join("d" * 50))], [file("/".join("d" * 100) + f"/f{n}") for n in range(20)]])) == 121


def test_hard_links_come_after_their_target_whatever_the_names() -> None:
    stream = settle([[file("z", b"data", 0o640), hard_link("a", "z"), hard_link("m", "a")]])
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert [(m.name, m.islnk(), m.linkname) for m in archive][1:] == [
            ("a", False, ""), ("m", True, "a"), ("z", True, "a")
        ]  # fmt: skip
    assert set(contents([[file("z", b"data"), hard_link("a", "z")]]).values()) >= {"data"}


def test_hard_links_across_layers_and_to_what_is_replaced_later() -> None:
    layers = [[file("a", b"old")], [hard_link("b", "a")], [file("a", b"new")], [hard_link("c", "/b")]]
    found = contents(layers)
    assert (found["a"], found["b"], found["c"]) == ("new", "old", "old")


def test_a_hard_link_to_a_symlink_is_one() -> None:
    assert listing(settle([[symlink("a", "b"), hard_link("c", "a")]]))["c"] == "link 0:0 -> b"


@pytest.mark.parametrize("target", ["nowhere", "d", "../etc/passwd", "", "/"])
def test_hard_links_to_nothing_are_refused(target: str) -> None:
    with pytest.raises(BadImageError):
        settle([[directory("d"), hard_link("a", target)]])


def test_limits_hold() -> None:
    with pytest.raises(BadImageError, match="more than 10 entries"):
        settle([[file(f"f{n}") for n in range(11)]], max_entries=10)
    with pytest.raises(BadImageError, match="larger than"):
        settle([[file("f", bytes(3 << 20))]], max_bytes=2 << 20)
    assert names([[file("n" * 255)]])[1] == "n" * 255


def test_what_fits_no_ustar_header_arrives_all_the_same() -> None:
    name = "/".join("d" * 60 for _ in range(5)) + "/ \n\udcff"
    members = [file(name, b"x", uid=4_000_000_000, gid=2_500_000, mtime=-1.5), symlink("l", "t" * 300)]
    with tarfile.open(fileobj=io.BytesIO(settle([members])), errors="surrogateescape") as archive:
        found = {member.name: member for member in archive}
    assert (found[name].uid, found[name].gid) == (4_000_000_000, 2_500_000)
    assert (
        found[name].pax_headers["mtime"] == "-2.500000000"
    )  # which is -1.5 to mkfs.erofs: seconds, and a fraction more
    assert found["l"].linkname == "t" * 300


def test_xattrs_arrive_as_they_are() -> None:
    pax = {"SCHILY.xattr.security.capability": "\x01\0\0\x02" + "x" * 16, "SCHILY.xattr.user.a": "b=\n"}
    with tarfile.open(fileobj=io.BytesIO(settle([[file("f", pax=pax)]]))) as archive:
        assert {k: v for k, v in archive.getmember("f").pax_headers.items() if "xattr" in k} == pax


def test_an_opaque_folder_over_a_link_hides_nothing_of_what_the_link_leads_to() -> None:
    """The order is what one finds in images: before the folder's own entry, behind it, and without one."""
    below = [directory("usr/lib"), file("usr/lib/keep"), symlink("lib", "usr/lib")]
    note, folder, new = Member("lib/.wh..wh..opq"), directory("lib"), file("lib/new")
    for above in ([note, folder, new], [folder, note, new], [folder, new, note]):
        assert names([below, above]) == [".", "lib", "lib/new", "usr", "usr/lib", "usr/lib/keep"]
    assert names([below, [note]]) == [".", "lib", "usr", "usr/lib", "usr/lib/keep"]


def test_an_opaque_folder_below_a_link_is_where_the_link_leads() -> None:
    below = [file("usr/lib/d/old"), symlink("lib", "usr/lib")]
    assert names([below, [Member("lib/d/.wh..wh..opq")]]) == [".", "lib", "usr", "usr/lib", "usr/lib/d"]


def test_an_opaque_root_hides_all_that_is_below() -> None:
    assert names([[file("a/b"), symlink("c", "a")], [Member(".wh..wh..opq"), file("new")]]) == [".", "new"]


def test_whiteouts_that_lead_through_a_loop_hide_nothing() -> None:
    below = [symlink("lib", "lib"), symlink("p", "q"), symlink("q", "p"), file("f")]
    above = [Member("lib/.wh..wh..opq"), whiteout("lib/x"), Member("p/d/.wh..wh..opq"), whiteout("q/f")]
    assert names([below, above]) == [".", "f", "lib", "p", "q"]
    assert names([below, [Member("lib/.wh..wh..opq"), directory("lib"), file("lib/new")]])[3] == "lib/new"


def test_a_whiteout_of_a_link_hides_the_link_alone() -> None:
    below = [directory("usr/lib"), file("usr/lib/keep"), symlink("lib", "usr/lib"), symlink("loop", "loop")]
    assert names([below, [whiteout("lib"), whiteout("loop")]]) == [".", "usr", "usr/lib", "usr/lib/keep"]


def test_whiteouts_of_a_layer_see_the_layers_below_as_they_are() -> None:
    """Not as others of the layer leave them: the link that leads to the second is hidden by the first."""
    below = [file("usr/lib/x"), file("usr/lib/y"), symlink("lib", "usr/lib")]
    for above in ([whiteout("lib"), whiteout("lib/x")], [whiteout("lib/x"), whiteout("lib")]):
        assert names([below, above]) == [".", "usr", "usr/lib", "usr/lib/y"]


def test_what_is_removed_and_made_again_in_one_layer_is_the_new_one() -> None:
    below = [directory("d"), file("d/old"), file("f", b"old")]
    above = [whiteout("d"), directory("d"), file("d/new"), whiteout("f"), file("f", b"new")]
    for layer in (above, above[::-1], [above[2], above[0], above[4], above[3]]):
        found = contents([below, layer])
        assert sorted(found) == [".", "d", "d/new", "f"]
        assert found["f"] == "new"


def test_a_hard_link_to_what_its_own_layer_hides_is_what_is_left_of_it() -> None:
    below = [file("a", b"data"), file("d/b", b"more")]
    above = [whiteout("a"), hard_link("c", "a"), whiteout("d"), hard_link("e", "d/b")]
    for layer in (above, above[::-1]):
        assert contents([below, layer]) == {".": "", "c": "data", "e": "more"}
    assert contents([below, [whiteout("a"), hard_link("a/made/c", "a")]])["a/made/c"] == "data"
    with pytest.raises(BadImageError, match="is not there"):
        settle([below, [whiteout("a")], [hard_link("c", "a")]])  # gone with the layer before


def test_a_hard_link_to_what_is_hidden_with_the_way_to_it() -> None:
    """`c`, the folder on the way, is hidden or replaced, by the same layer."""
    fifo = Member("c/c", tarfile.FIFOTYPE)
    device = Member("c", tarfile.CHRTYPE, device=(1, 3))
    link = hard_link("n", "c/c")
    assert listing(settle([[fifo], [symlink("c/a", ".")], [device, link, whiteout("c/a/a/c")]])) == {
        ".": "dir 755 0:0 ", "c": "dev 644 0:0 1,3", "n": "dev 644 0:0 0,0"
    }  # fmt: skip
    for way in ([whiteout("c")], [whiteout("c"), directory("c")], [file("c")], [symlink("c", "elsewhere")],
                [whiteout("c/c"), whiteout("c")], [Member("c/.wh..wh..opq")], [Member(".wh..wh..opq"), file("c/new")],
                [directory("c"), directory("c/c")]):  # fmt: skip
        found = listing(settle([[fifo], [*way, link]]))
        assert found["n"].startswith("dev"), way
    above = [whiteout("q/x"), whiteout("p"), hard_link("n", "p/x"), symlink("r", "q"), hard_link("m", "r/x")]
    assert contents([[file("q/x", b"x"), symlink("p", "q")], above])["n"] == "x"
    assert contents([[file("q/x", b"x"), symlink("p", "q")], above])["m"] == "x"


def test_a_hard_link_to_what_its_own_layer_made_and_replaced_finds_nothing() -> None:
    for above in ([file("c/new"), file("c"), hard_link("n", "c/new")], [whiteout("l"), hard_link("n", "l/new")]):
        with pytest.raises(BadImageError, match="what is not there"):
            settle([[directory("c"), symlink("l", "c")], above])
    assert contents([[file("c")], [directory("c"), hard_link("n", "c")]])["n"] == ""


def test_whiteouts_that_hide_each_others_way_both_hide() -> None:
    """`a/b/a` is the root: the one hides the link that leads to the other's."""
    below = [symlink("a", "."), symlink("b", "..")]
    for above in ([whiteout("a/b/a/a"), whiteout("a/b")], [whiteout("a/b"), whiteout("a/b/a/a")]):
        assert names([below, above]) == ["."]


def test_a_link_leads_over_what_is_missing_as_a_text() -> None:
    assert names([[symlink("l", "gone/../a"), file("l/x")]]) == [".", "a", "a/x", "l"]
    below = [file("a/x"), symlink("l", "gone/../a")]
    assert names([below, [whiteout("l/x")]]) == [".", "a", "l"]
    assert names([below, [file("l/x/y")]]) == [".", "a", "a/x", "a/x/y", "l"]


def test_the_same_layer_twice_is_that_layer() -> None:
    below = [directory("./"), file("d/f", b"1"), symlink("l", "d"), hard_link("h", "d/f")]
    above = [whiteout("h"), Member("d/.wh..wh..opq"), file("d/new"), file("l/more"), hard_link("i", "d/new")]
    assert settle([below, above, above]) == settle([below, above])
    assert settle([below] * 200) == settle([below, [], [directory("./")]])


def test_dots_in_a_path_are_read_as_text_and_never_lead_out() -> None:
    assert names([[symlink("l", "x"), file("l/../a"), file("/../b"), hard_link("c", "x/../a")]]) == [
        ".", "a", "b", "c", "l"
    ]  # fmt: skip


def test_a_folder_that_nobody_describes_is_of_its_parents_group_where_that_is_set_gid() -> None:
    found = listing(settle([[directory("g", 0o2775, gid=50), file("g/made/too/f")]]))
    assert found["g/made"] == found["g/made/too"] == "dir 2755 0:50 "


def lost(layers: Sequence[Sequence[Member]]) -> str:
    """What is told of the stack."""
    left_out = LeftOut()
    settle(layers, left_out=left_out)
    return left_out.told()


def test_names_that_nothing_can_have_are_left_out_and_counted() -> None:
    long, deep = "n" * 256, "/".join(["d" * 200] * 21)
    stack = [
        file(long),
        file("d/" + long, b"x"),
        hard_link("short", "d/" + long),
        file(deep),
        file("x" * 5000),
    ]
    assert names([stack])[-1] == "short"
    assert contents([stack])["short"] == "x"
    assert lost([stack]) == f"4 names (the first: {'d' * 200}…)"
    assert max(map(len, names([stack]))) <= 4094


def test_what_is_replaced_later_is_not_counted() -> None:
    odd = file("f", pax={"SCHILY.xattr.com.apple.provenance": "x"})
    assert lost([[odd]]) == "1 xattrs (the first: f: com.apple.provenance)"
    assert lost([[odd], [file("f")]]) == ""


def test_notes_of_aufs_and_names_like_whiteouts_are_no_files() -> None:
    stack = [Member(".wh..wh.plnk/12.34", data=b"x"), hard_link("f", ".wh..wh.plnk/12.34"), file(".wh.d/below")]
    assert contents([stack]) == {".": "", "f": "x"}
    assert lost([stack]) == "1 names (the first: .wh.d)"


@pytest.mark.parametrize(
    "member",
    [Member("x", tarfile.CHRTYPE, device=(0, 0)), Member("x", tarfile.CHRTYPE, device=(4096, 1)),
     symlink("x", "t" * 4096), symlink("x", "")],
    ids=["whiteout", "device", "long", "empty"],
)  # fmt: skip
def test_what_no_guest_can_have_hides_what_was_there_and_is_left_out(member: Member) -> None:
    assert names([[file("x"), file("y")], [member]]) == [".", "y"]
    assert lost([[member]]).startswith("1 ")
