"""Builds the guest's kernel from Debian's linux-source package and our own small configuration.

Debian's signature covers the source (apt checks it). The build is reproducible, so it is cached by the digest
of what goes in: source version, configuration, compiler, and the environment below. A build works in a folder
of its own in the cache, under a lock; one that was killed leaves that folder behind, and the next removes it.
Where the cache has a path that make cannot take, the source lies in /var/tmp meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from inferno.artifact import cache as caches
from inferno.artifact.follow import follow
from inferno.base import files, processes
from inferno.base.errors import InfernoError
from inferno.base.progress import Progress, quiet

PACKAGE = "linux-source-6.12"
# Debian packages the build needs: objtool wants libelf-dev, kconfig flex and bison, timeconst bc.
# tools/setup installs them; a test holds the two lists together.
BUILD_PACKAGES = (
    "bc",
    "binutils",
    "bison",
    "flex",
    "gcc",
    "libc6-dev",
    "libelf-dev",
    "make",
    "perl",
    "xz-utils",
)
# Whatever else would differ between two builds. Part of the cache's key.
_ENVIRONMENT = {
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "inferno",
    "KBUILD_BUILD_HOST": "inferno",
    "KBUILD_BUILD_VERSION": "1",
    "SOURCE_DATE_EPOCH": "0",
    "LC_ALL": "C",
}
# The kernel's Makefile refuses a source directory with spaces or colons; make itself trips over $, # and others.
_TAKEN_BY_MAKE = re.compile(r"[\w/.+-]+")
# A link in the cache, by which what a killed build left there is found.
_ELSEWHERE, _PREFIX = "elsewhere", "inferno-kernel."
_OPTION = re.compile(r"(?:# )?(CONFIG_\w+)(?:=(.*)| is not set)")


def build(
    fragment: Path, out: Path, cache: Path, *, progress: Progress = quiet, jobs: int | None = None
) -> dict[str, str]:
    """Put a stripped vmlinux at `out` and return what it was made from (source, compiler, config digest).

    `fragment` is a kernel configuration over allnoconfig. Takes milliseconds from the cache, else minutes.
    Raises MissingToolError, CommandError, or InfernoError naming the options that the kernel did not take.
    """
    inputs = describe(fragment)
    key = hashlib.sha256(json.dumps([inputs, _ENVIRONMENT], sort_keys=True).encode()).hexdigest()
    entry = cache / "kernel" / key
    if not _complete(entry):
        with files.lock(cache / "kernel" / "lock", "building the guest kernel"):
            if not _complete(entry):  # the last holder of the lock may have built this very one
                _build_into(entry, fragment, inputs, progress, jobs)
    if not (out.is_file() and files.sha256(out) == files.sha256(entry / "vmlinux")):
        caches.install(entry / "vmlinux", out, 0o644)
    return inputs


def describe(fragment: Path) -> dict[str, str]:
    """The inputs of a build, by name. Needs apt's package lists and the compiler; no root, no network."""
    return {
        "source": f"{PACKAGE} {source_version()}",
        "config": files.sha256(fragment),
        "compiler": _first_line(["gcc", "--version"]),
        "linker": _first_line(["ld", "--version"]),
    }


def source_version() -> str:
    """The version of linux-source that apt would bring. Raises InfernoError when apt knows none."""
    shown = processes.run(["apt-cache", "show", "--no-all-versions", PACKAGE], check=False).stdout.decode()
    found = re.search(r"^Version: (\S+)$", shown, re.MULTILINE)
    if not found:
        raise InfernoError(
            f"apt knows no {PACKAGE}",
            "run `apt-get update`; Debian 12 has it in its security suite, Debian 13 in main",
        )
    return found[1]


def options(text: str) -> Iterator[tuple[str, str]]:
    """The (name, value) pairs of a kernel configuration; `# X is not set` is the value n."""
    for line in text.splitlines():
        match = _OPTION.fullmatch(line.strip())
        if match:
            yield match[1], match[2] if match[2] is not None else "n"


def missing(fragment: str, config: str) -> list[str]:
    """The lines of the fragment that do not hold in the final configuration; an option not in it is n."""
    final = dict(options(config))
    return [f"{name}={value}" for name, value in options(fragment) if final.get(name, "n") != value]


def _complete(entry: Path) -> bool:
    return (entry / "vmlinux").is_file() and (entry / "inputs.json").is_file()


def _build_into(entry: Path, fragment: Path, inputs: dict[str, str], progress: Progress, jobs: int | None) -> None:
    for stale in entry.parent.glob("*.tmp"):
        _remove(stale)
    work = entry.with_suffix(".tmp")
    work.mkdir(parents=True)
    try:
        tree = unpack(_place(work), inputs["source"], progress)
        configure(tree, fragment, progress)
        follow(
            ["make", f"-j{jobs or os.cpu_count() or 1}", "vmlinux"],
            what="kernel",
            progress=progress,
            env=_ENVIRONMENT,
            cwd=tree,
        )
        done = work / "done"
        done.mkdir()
        processes.run(["strip", "-s", "-o", done / "vmlinux", tree / "vmlinux"])
        files.write_json(done / "inputs.json", inputs, 0o644)
        files.sync_tree(done)
        files.remove_tree(entry)
        os.replace(done, entry)
    finally:
        _remove(work)


def _place(work: Path) -> Path:
    """The folder to build in: `work`, or one in /var/tmp to which a link in `work` leads."""
    if _TAKEN_BY_MAKE.fullmatch(os.fspath(work)):
        return work
    folder = Path("/var/tmp", f"{_PREFIX}{secrets.token_hex(8)}")
    (work / _ELSEWHERE).symlink_to(folder)
    folder.mkdir(0o700)
    return folder


def _remove(work: Path) -> None:
    """Of a link in the cache only the name counts: wherever else it may lead, nothing is removed there."""
    link = work / _ELSEWHERE
    if link.is_symlink() and (name := link.readlink().name).startswith(_PREFIX):
        files.remove_tree(Path("/var/tmp", name))
    files.remove_tree(work)


def unpack(work: Path, source: str, progress: Progress = quiet) -> Path:
    """Download `source` ("package version") by apt into `work`, unpack it, and return the kernel's tree."""
    package, version = source.split()
    follow(["apt-get", "download", f"{package}={version}"], what="kernel source", progress=progress, cwd=work)
    [archive] = work.glob(f"{package}_*.deb")
    follow(["dpkg-deb", "-x", archive, work / "deb"], what=f"unpack {archive.name}", progress=progress)
    archive.unlink()
    tree = work / "linux"
    tree.mkdir()
    tarball = work / "deb/usr/src" / f"{package}.tar.xz"
    argv: list[processes.Arg] = ["tar", "-xJf", tarball, "-C", tree, "--strip-components=1", "--no-same-owner"]
    follow(argv, what=f"unpack {tarball.name}", progress=progress)
    files.remove_tree(work / "deb")
    return tree


def configure(tree: Path, fragment: Path, progress: Progress = quiet) -> None:
    """Write .config: allnoconfig and the fragment. Raises InfernoError naming each option that did not hold.

    kconfig drops an option whose dependencies are missing without a word, hence the check.
    """
    environ = _ENVIRONMENT | {"KCONFIG_ALLCONFIG": os.fspath(fragment.absolute())}
    follow(["make", "allnoconfig"], what="kernel configuration", progress=progress, env=environ, cwd=tree)
    lost = missing(fragment.read_text(), (tree / ".config").read_text())
    if lost:
        raise InfernoError(
            f"the kernel did not take {', '.join(lost)}",
            f"ask for what these depend on too, or drop them from {fragment.name}",
        )


def _first_line(argv: list[str]) -> str:
    return processes.run(argv).stdout.decode(errors="replace").splitlines()[0]
