"""Platforms as people and images write them, OS/ARCH[/VARIANT], and the one spelling that Inferno keeps.

The other spellings are those that Docker takes: normalizeArch and Parse of containerd/platforms.
"""

from __future__ import annotations

import os
import re

from inferno.base.errors import UsageError

LINUX = "linux"
_WORD = r"[a-z0-9_-]+"
_VARIANT = r"[a-z0-9.]+"
# Go's names of machines (internal/syslist) by those of others: uname -m, Debian's.
_ALIASES = {
    "x86_64": "amd64", "x86-64": "amd64", "i386": "386", "i486": "386", "i586": "386", "i686": "386",
    "aarch64": "arm64", "armhf": "arm/v7", "armel": "arm/v6", "armv7l": "arm/v7", "armv6l": "arm/v6",
}  # fmt: skip
_MACHINES = frozenset(
    "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x sparc64 wasm".split()  # noqa: SIM905
)
# The variant that goes without saying, of the machines that have some.
_PLAIN = {"amd64": "v1", "arm64": "v8"}
_AMD64_LEVELS = ("", "v2", "v3", "v4")


def read(word: str) -> str:
    """A platform as typed, in the kept spelling: linux/amd64 of amd64, linux/x86_64 or linux/amd64/v1.

    Raises UsageError for what is not one, and for another system than Linux.
    """
    system, machine, variant = _parts(word)
    if system != LINUX:
        raise UsageError(f"--platform {word!r}: only images for linux become microVMs", f"{LINUX}/{machine}")
    found = spelt(system, machine, variant)
    _, machine, variant = [*found.split("/"), ""][:3]
    if machine not in _MACHINES:
        from inferno.base import guess

        near = guess.near(machine, [*sorted(_MACHINES), *_ALIASES])
        hint = f"did you mean linux/{near} ?" if near else "for example linux/amd64"
        raise UsageError(f"--platform {word!r}: there is no machine {machine!r}", hint)
    if machine == "amd64" and variant not in _AMD64_LEVELS:
        raise UsageError(f"--platform {word!r}: amd64 has the variants v1 to v4", "for example linux/amd64/v3")
    return found


def spelt(system: str, machine: str, variant: str = "") -> str:
    """The kept spelling of what an image says of itself, whatever that is."""
    system, machine, variant = (part.lower() for part in (system, machine, variant))
    machine, _, known = _ALIASES.get(machine, machine).partition("/")
    variant = known or variant
    if variant[:1].isdigit() and machine in ("arm", "arm64", "amd64"):
        variant = f"v{variant}"
    if machine == "arm" and not variant:
        variant = "v7"
    if machine == "386" or variant == _PLAIN.get(machine):
        variant = ""
    return "/".join(part for part in (system, machine, variant) if part)


def of_host() -> str:
    """This host's, without a variant."""
    return spelt(LINUX, os.uname().machine)


def _parts(word: str) -> tuple[str, str, str]:
    """System, machine, variant. One word alone is a machine, or linux for this one."""
    parts = word.lower().split("/")
    if len(parts) > 3 or not all(re.fullmatch(_WORD, part) for part in parts[:2]):
        raise _malformed(word)
    if parts == [LINUX]:
        return LINUX, of_host().split("/")[1], ""
    if len(parts) == 1:
        known = parts[0] in _MACHINES or parts[0] in _ALIASES
        if not known:
            raise _malformed(word)
        return LINUX, parts[0], ""
    if parts[0] in _MACHINES or parts[0] in _ALIASES or not all(re.fullmatch(_VARIANT, part) for part in parts[2:]):
        raise _malformed(word)
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _malformed(word: str) -> UsageError:
    return UsageError(f"--platform {word!r} is not OS/ARCH[/VARIANT]", "for example linux/amd64")
