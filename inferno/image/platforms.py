"""Which of an image's platforms is taken, for one that was asked for or for this host.

For this host that is what Docker takes: on amd64 the plain image where there is one, so that a version does not depend
on the processor that it was made with; only then, the highest variant that this processor has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from inferno.base.errors import UsageError
from inferno.image.oci_config import ImageConfig
from inferno.spec.platform import LINUX, of_host, spelt

# What runs on a machine counts up from here: amd64 without a variant is v1, arm64 is v8.
_PLAIN_LEVELS = {"amd64": 1.0, "arm64": 8.0, "arm": 7.0}
_PREFERRED = 100.0
_LEVEL = r"v([0-9]{1,2}(?:\.[0-9]{1,2})?)"


class OtherPlatformError(UsageError):
    """The image is there, for other machines."""


def of_image(fields: Any) -> str | None:
    """The platform in the fields `os`, `architecture` and `variant` of an index or a configuration.

    None where it says none.
    """
    said = fields if isinstance(fields, dict) else {}
    system, machine, variant = (said.get(name) or "" for name in ("os", "architecture", "variant"))
    if not all(isinstance(word, str) and len(word) <= 40 for word in (system, machine, variant)):
        return "malformed"
    return spelt(system or LINUX, machine, variant) if machine else None if system in ("", LINUX) else system


def wanted(asked: str | None) -> str:
    """The platform to be told of: the one asked for, else this host's."""
    return asked or of_host()


def fit(made_for: str, asked: str | None) -> float | None:
    """How well an image for a platform fits the one asked for, or this host: the higher the better. None: it does not.

    A lower level of the same machine fits, and so does 386 on amd64, whose instructions the guest's kernel has.
    """
    system, machine, variant = _split(made_for)
    _, here, most = _split(wanted(asked))
    if system != LINUX:
        return None
    if (machine, here) == ("386", "amd64"):
        return 0.0
    if machine != here:
        return None
    level, limit = _level(machine, variant), _level(here, most)
    if level is None or limit is None:
        return 1.0 if variant in ("", most) else None
    if asked is None and here == "amd64":
        return _PREFERRED if level == 1 else level if level <= _of_processor() else None
    return level if level <= limit else None


def refusal(image: str, asked: str | None, made_for: Iterable[str]) -> OtherPlatformError:
    """The error for an image of which nothing fits."""
    there = sorted(set(made_for) - {"unknown/unknown"})
    hint = f"it is made for {', '.join(there) or 'nothing'}"
    other = next((each for each in there if each.startswith(f"{LINUX}/")), None)
    if other and asked is None:
        hint += f"; --platform {other} takes it all the same"
    here = wanted(asked)
    if asked is None and any(each.startswith(f"{here}/v") for each in there):
        here += f"/v{_of_processor()}"
    return OtherPlatformError(f"image {image} is not made for {here}", hint)


def of_config(config: ImageConfig) -> str | None:
    """The platform that a configuration says; None where it says none."""
    return of_image({"os": config.os, "architecture": config.architecture, "variant": config.variant})


def check(image: str, config: ImageConfig, asked: str | None) -> None:
    """Raise UsageError when an image's configuration says a platform that does not fit."""
    made_for = of_config(config)
    if made_for is not None and fit(made_for, asked) is None:
        raise refusal(image, asked, [made_for])


def _of_processor() -> int:
    from inferno.image import processor  # most images come without variants

    return processor.level()


def _split(platform: str) -> tuple[str, str, str]:
    system, machine, variant = [*platform.split("/", 2), "", ""][:3]
    return system, machine, variant


def _level(machine: str, variant: str) -> float | None:
    """The number of a variant, None where variants are not numbers."""
    plain = _PLAIN_LEVELS.get(machine)
    if plain is None or not variant:
        return plain
    found = re.fullmatch(_LEVEL, variant)
    return float(found[1]) if found else None
