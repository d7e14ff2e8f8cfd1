"""Images as commands want them: the name that tasks and stamps have, and what of the options is refused."""

from pathlib import Path

import pytest

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import local_images
from inferno.image.stamp import Stamp, key, split
from inferno.image.wanted import subject_of, wanted
from inferno.settings import load_settings

NAMES = [
    ("alpine", None),
    ("alpine", "linux/arm64"),
    ("alpine", "linux/arm/v7"),
    ("oci:/images#linux/arm64", None),  # the folder `images#linux`, and in it the folder `arm64`
    ("oci:/images#linux/arm64", "linux/arm64"),
    ("oci:/images", "linux/arm64"),
    ("oci:/a#b", None),
    ("oci:/a#b/c:d", None),
    ("oci:/a#", None),
    ("oci:/a##", None),
]


def test_no_two_images_have_one_name() -> None:
    assert len({key(*each) for each in NAMES}) == len(NAMES)


@pytest.mark.parametrize(("ref", "platform"), NAMES)
def test_a_name_says_which_image_it_is_of(ref: str, platform: str | None) -> None:
    assert split(key(ref, platform)) == (ref, platform)


def test_a_platform_beside_the_name_becomes_part_of_it() -> None:
    assert subject_of("alpine", "linux/arm64") == subject_of("alpine#linux/arm64", "linux/arm64")
    with pytest.raises(UsageError, match="is not that of"):
        subject_of("alpine#linux/arm64", "linux/amd64")
    with pytest.raises(UsageError, match=r"is not OS/ARCH\[/VARIANT\]$"):
        subject_of("alpine", "arm64/v8")


def test_one_platform_has_one_name_however_it_is_spelt() -> None:
    for spelling in ("amd64", "linux/x86_64", "linux/amd64/v1", "Linux/AMD64"):
        assert subject_of("alpine", spelling) == "alpine#linux/amd64"
        assert subject_of("alpine#linux/amd64", spelling) == "alpine#linux/amd64"
        assert wanted("alpine", password=str, platform=spelling).subject == "alpine#linux/amd64"


def test_a_stamp_of_another_image_under_the_same_name_is_none(tmp_path: Path) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path)})
    path = local_images.stamp_path("alpine", settings, "linux/arm64")
    for known, found in (("linux/arm64", True), (None, False), ("linux/amd64", False)):
        files.write_json(path, Stamp("alpine", "sha256:0", "registry", "", known)._asdict())
        assert (local_images.stamp("alpine", settings, "linux/arm64") is not None) is found


def test_a_password_is_asked_for_when_the_user_comes_without_one() -> None:
    assert wanted("alpine", password=lambda user: f"of {user}", creds="me").access.credentials == "me:of me"
    assert wanted("alpine", password=lambda _: "asked", creds="me:typed").access.credentials == "me:typed"


def test_bad_options_are_refused(tmp_path: Path) -> None:
    for given in ({"pull": "sometimes"}, {"platform": "windows/amd64"}, {"authfile": str(tmp_path / "none")}):
        with pytest.raises(UsageError):
            wanted("alpine", password=str, **given)
