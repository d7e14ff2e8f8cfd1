"""Writes requirements.lock and requirements-dev.lock: every package that pyproject.toml leads to, by version and hash.

pip decides, against the index that it is configured for here, what it would install; once for each Python that Inferno
runs on. A lock names no index: `pip install --require-hashes` takes the same bytes from any.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from packaging.markers import Environment, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[1]
# Debian 12's, and Debian 13's. Their C library is at least that of Debian 12.
PYTHONS = ("3.11", "3.13")
GLIBC_MINOR = 36
ABOUT = "# Written by tools/lock from pyproject.toml, for Python {pythons} on x86_64 with glibc: {what}.\n"


class Pin(NamedTuple):
    """One package: its version, and the SHA-256 of each file that one of the Pythons may be given."""

    name: str
    version: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return " \\\n    ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{h}" for h in sorted(self.hashes))])


def main() -> int:
    """Writes both locks. Nothing is written when a package cannot be had."""
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    needs: list[str] = wanted["project"]["dependencies"]
    dev = [*wanted["project"]["optional-dependencies"]["dev"], *wanted["build-system"]["requires"]]
    everything = locked([*needs, *dev])
    # Of the versions that suit both, so that the two locks agree.
    chosen = [f"{pin.name}=={pin.version}" for pin in everything]
    run = locked(needs, chosen)
    names = {pin.name for pin in run}
    write(CHECKOUT / "requirements.lock", "what Inferno imports", run)
    write(
        CHECKOUT / "requirements-dev.lock",
        "what else its tests, its linters and its build need",
        [pin for pin in everything if pin.name not in names],
    )
    return 0


def locked(wanted: list[str], chosen: list[str] | None = None) -> list[Pin]:
    """What installing `wanted` takes, by name. The first Python's choice, or `chosen`, binds the other Pythons."""
    versions: dict[str, str] = {}
    hashes: dict[str, set[str]] = defaultdict(set)
    reports = []
    for python in PYTHONS:
        for found in report(python, wanted, chosen or [f"{name}=={version}" for name, version in versions.items()]):
            name = canonicalize_name(found["metadata"]["name"])
            versions[name] = found["metadata"]["version"]
            hashes[name].add(found["download_info"]["archive_info"]["hashes"]["sha256"])
            reports.append((python, found["metadata"]))
    for python, metadata in reports:
        check_markers(python, metadata, versions)
    return [Pin(name, versions[name], frozenset(hashes[name])) for name in sorted(versions)]


def report(python: str, wanted: list[str], constraints: list[str]) -> list[dict[str, Any]]:
    """pip's report of what it would install for a Python that need not be here."""
    with tempfile.TemporaryDirectory() as folder:
        bounds, said = Path(folder, "constraints"), Path(folder, "report")
        bounds.write_text("".join(f"{line}\n" for line in constraints))
        platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(GLIBC_MINOR, 4, -1)]
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        argv += ["--dry-run", "--ignore-installed", f"--target={folder}/nothing", f"--report={said}"]
        argv += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms]
        subprocess.run([*argv, f"--constraint={bounds}", *wanted], stdin=subprocess.DEVNULL, check=True)
        installed: list[dict[str, Any]] = json.loads(said.read_text())["install"]
    return installed


def check_markers(python: str, metadata: dict[str, Any], pinned: Collection[str]) -> None:
    """pip asks markers of the Python that it runs on. Raises SystemExit where another one needs what was not pinned."""
    there: Environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    for text in metadata.get("requires_dist", []):
        needs = Requirement(text)
        if (not needs.marker or needs.marker.evaluate({**there, "extra": ""})) and (
            canonicalize_name(needs.name) not in pinned
        ):
            raise SystemExit(f"lock: {metadata['name']} wants {text!r} on Python {python}: run this with that one")


def write(path: Path, what: str, pins: list[Pin]) -> None:
    """The lock, whole or not at all."""
    text = ABOUT.format(pythons=" and ".join(PYTHONS), what=what) + "".join(f"{pin}\n" for pin in pins)
    making = path.with_name(f"{path.name}.tmp")
    making.write_text(text)
    making.replace(path)
    print(f"lock: {path.name} pins {len(pins)} packages")


if __name__ == "__main__":
    sys.exit(main())
