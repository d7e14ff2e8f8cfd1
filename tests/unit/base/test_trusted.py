"""Whose a path is, folder by folder and link by link, asked of real folders of real owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferno.base import trusted
from inferno.base.errors import UsageError

pytestmark = pytest.mark.root
EVE, ROOT_ALONE = 4711, frozenset({0})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    for folder in (place, place.parent, tmp_path):
        folder.chmod(0o755)
    return place


def refused(path: Path, uids: frozenset[int] = ROOT_ALONE) -> str:
    with pytest.raises(UsageError) as error:
        trusted.check([path], uids)
    return f"{error.value.text} | {error.value.hint}"


def test_roots_own_is_trusted_there_or_not_yet(place: Path) -> None:
    trusted.check([place, place / "not" / "yet", Path("/")], ROOT_ALONE)


def test_a_folder_on_the_way_of_somebody_else_is_named_with_what_to_do(place: Path) -> None:
    os.chown(place.parent, EVE, EVE)
    said = refused(place / "root")
    assert f"{place.parent} belongs to uid {EVE}" in said
    assert f"INFERNO_TRUST_UID={EVE} >> /etc/inferno/env" in said
    trusted.check([place], frozenset({0, EVE}))


def test_nobody_is_offered_as_one_to_trust_who_is_not_a_person(place: Path) -> None:
    for uid in (65534, 33):
        os.chown(place, uid, uid)
        assert "INFERNO_TRUST_UID" not in refused(place)


@pytest.mark.parametrize(("mode", "gid", "fine"), [(0o775, 0, True), (0o775, EVE, False), (0o757, 0, False)])
def test_who_else_may_write(place: Path, mode: int, gid: int, fine: bool) -> None:
    os.chown(place.parent, 0, gid)
    place.parent.chmod(mode)
    if fine:
        trusted.check([place], ROOT_ALONE)
    else:
        assert f"chmod go-w {place.parent}" in refused(place)


def test_a_users_own_group_adds_nobody(place: Path) -> None:
    os.chown(place, EVE, EVE)
    place.chmod(0o775)
    trusted.check([place], frozenset({0, EVE}))


def test_a_sticky_folder_is_on_the_way_but_not_the_place(place: Path) -> None:
    place.parent.chmod(0o1777)
    trusted.check([place], ROOT_ALONE)
    assert str(place.parent) in refused(place.parent)
    os.chown(place, EVE, EVE)
    assert str(place) in refused(place), "in a sticky folder anybody makes what is not there yet"


def test_links_are_followed_and_so_is_whose_they_are(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a/../a/b")
    trusted.check([link / "x"], ROOT_ALONE)
    os.chown(place, EVE, EVE)
    assert str(place) in refused(link / "x")
    os.chown(place, 0, 0)
    os.lchown(link, EVE, EVE)
    assert str(link) in refused(link / "x")


def test_links_that_lead_nowhere_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert "too many links" in refused(tmp_path / "one")
