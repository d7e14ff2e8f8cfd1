"""Which platform of an image is taken, for each that can be asked for, and for a host of each level of x86-64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import platforms, processor
from inferno.image.oci_config import ImageConfig

V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"
LEVELS = {"": 1, "fpu sse sse2": 1, V2: 2, V3: 3, V4: 4}


@pytest.mark.parametrize(("flags", "level"), LEVELS.items())
def test_the_level_is_that_of_the_flags(flags: str, level: int) -> None:
    text = f"processor\t: 0\nmodel name\t: any\nflags\t\t: {flags}\nbugs\t\t: avx2\nflags\t\t: none\n"
    assert processor.of_flags(processor.flags(text)) == level


@pytest.mark.parametrize(("lower", "higher"), pairwise([1, 2, 3, 4]))
def test_every_flag_of_a_level_counts(lower: int, higher: int) -> None:
    words = {level: set(text.split()) for text, level in LEVELS.items()}
    words[1] = {"sse2"}
    for flag in words[higher] - words[lower]:
        assert processor.of_flags(words[higher] - {flag}) == lower


def test_cpuid_says_the_same_as_flags() -> None:
    """As KVM answers: leaf, index, flags, registers. What the kernel has and KVM does not pass on does not count."""
    one = (1, 0, 0, 0, 0, (1 << 0) | (1 << 9) | (1 << 13) | (1 << 19) | (1 << 20) | (1 << 23), 0)
    extended = (0x80000001, 0, 0, 0, 0, 1, 0)
    assert processor.of_flags(processor.of_cpuid([one, extended])) == 2
    assert processor.of_flags(processor.of_cpuid([one])) == 1, "without LAHF"
    every = [(leaf, 0, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) for leaf in (1, 7, 0x80000001)]
    assert processor.of_flags(processor.of_cpuid(every)) == 4
    assert processor.of_flags(processor.of_cpuid([*every, (7, 0, 1, 0, 1 << 3 | 1 << 8, 0, 0)])) == 2, "without AVX2"


def best(made_for: list[str], asked: str | None) -> str | None:
    fits = [(rank, each) for each in made_for if (rank := platforms.fit(each, asked)) is not None]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


EVERY = ["linux/386", "linux/arm64", "linux/amd64/v4", "linux/amd64/v3", "linux/amd64", "linux/amd64/v2"]


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_this_host_takes_the_plain_image_and_else_the_best_that_it_runs(
    level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "level", lambda: level)
    monkeypatch.setattr(platforms, "of_host", lambda: "linux/amd64")
    assert best(EVERY, None) == "linux/amd64"
    without = [each for each in EVERY if each != "linux/amd64"]
    assert best(without, None) == ("linux/386" if level == 1 else f"linux/amd64/v{level}")
    assert best(["linux/arm64", "linux/amd64/v9", "linux/amd64/x", "windows/amd64"], None) is None


@pytest.mark.parametrize(
    ("asked", "made_for", "taken"),
    [
        ("linux/amd64", EVERY, "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", EVERY, "linux/amd64/v3"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v4", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/arm64", ["linux/arm64/v9", "linux/arm64"], "linux/arm64"),
        ("linux/arm64/v9", ["linux/arm64", "linux/arm64/v8.2"], "linux/arm64/v8.2"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/386", ["linux/amd64"], None),
        ("linux/s390x", ["linux/s390x", "linux/amd64"], "linux/s390x"),
        ("linux/riscv64/rva22", ["linux/riscv64"], "linux/riscv64"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_taken_or_what_runs_there(asked: str, made_for: list[str], taken: str | None) -> None:
    assert best(made_for, asked) == taken


@pytest.mark.parametrize(
    ("fields", "platform"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "x86_64", "variant": "v1"}, "linux/amd64"),
        ({"architecture": "arm64", "variant": "v8"}, "linux/arm64"),
        ({"os": "linux", "architecture": "arm"}, "linux/arm/v7"),
        ({"os": "windows", "architecture": "amd64"}, "windows/amd64"),
        ({"os": "windows"}, "windows"),
        ({"os": "linux"}, None),
        ({}, None),
        (None, None),
        ({"os": None, "architecture": None}, None),
        ({"os": ["linux"], "architecture": "amd64"}, "malformed"),
        ({"os": "linux", "architecture": "a" * 5000}, "malformed"),
    ],
)
def test_what_an_image_says_it_is_made_for(fields: Any, platform: str | None) -> None:
    assert platforms.of_image(fields) == platform


def test_another_machines_image_is_refused_by_name() -> None:
    config = ImageConfig(os="linux", architecture="arm64", variant="v8")
    with pytest.raises(UsageError, match=r"image app:v1 is not made for linux/amd64$") as caught:
        platforms.check("app:v1", config, "linux/amd64")
    assert caught.value.hint == "it is made for linux/arm64"
    platforms.check("app:v1", config, "linux/arm64")
    platforms.check("app:v1", ImageConfig(), "linux/arm64")
    with pytest.raises(UsageError, match="not made for") as caught:
        platforms.check("app:v1", ImageConfig(os="linux", architecture="s390x"), None)
    assert "--platform linux/s390x" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        platforms.check("app:v1", ImageConfig(os="windows", architecture="amd64"), None)
    assert "--platform" not in str(caught.value.hint)
