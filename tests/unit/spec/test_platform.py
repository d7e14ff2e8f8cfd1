"""Platforms as people type them: the spellings that Docker takes, and what is refused."""

from __future__ import annotations

import pytest

from inferno.base.errors import UsageError
from inferno.spec import platform

# Spellings, and what `docker pull --platform` makes of them: TestParseSelector of containerd/platforms.
SPELLINGS = {
    "linux/amd64": ["linux/amd64", "amd64", "x86_64", "linux/x86_64", "linux/x86-64", "linux/amd64/v1", "LINUX/AMD64"],
    "linux/amd64/v3": ["linux/amd64/v3", "linux/x86_64/v3"],
    "linux/arm64": ["linux/arm64", "arm64", "aarch64", "linux/aarch64", "linux/arm64/v8", "linux/arm64/8"],
    "linux/arm/v7": ["linux/arm", "arm", "armhf", "linux/armhf", "linux/arm/v7", "linux/arm/7"],
    "linux/arm/v6": ["armel", "linux/arm/v6", "linux/arm/6"],
    "linux/386": ["i386", "linux/i386", "linux/386"],
    "linux/s390x": ["s390x", "linux/s390x"],
}


@pytest.mark.parametrize(("kept", "typed"), [(kept, typed) for kept, all_of in SPELLINGS.items() for typed in all_of])
def test_a_platform_is_kept_in_one_spelling(kept: str, typed: str) -> None:
    assert platform.read(typed) == kept
    assert platform.read(kept) == kept


def test_linux_alone_is_this_hosts() -> None:
    assert platform.read("linux") == platform.of_host()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("windows/amd64", "only images for linux"),
        ("darwin/arm64", "only images for linux"),
        ("linux/amd46", "no machine 'amd46'"),
        ("linux/amd64/v5", "v1 to v4"),
        ("linux/amd64/v3/x", "is not OS/ARCH"),
        ("arm/v7", "is not OS/ARCH"),
        ("linux/", "is not OS/ARCH"),
        ("/amd64", "is not OS/ARCH"),
        ("linux//amd64", "is not OS/ARCH"),
        ("linux/arm64/", "is not OS/ARCH"),
        ("", "is not OS/ARCH"),
        ("host", "is not OS/ARCH"),
        ("linux amd64", "is not OS/ARCH"),
        ("linux/amd64\n", "is not OS/ARCH"),
        ("../../amd64", "is not OS/ARCH"),
        ("linux/amd64,linux/arm64", "is not OS/ARCH"),
    ],
)
def test_what_is_not_a_platform_is_refused_in_one_line(typed: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        platform.read(typed)
    assert "\n" not in caught.value.text
    assert caught.value.hint
