"""Builds our two Rust programs: static, and byte for byte the same from whatever folder they are built in.

Three things would put a folder's name into a binary: the checkout, cargo's home (sources of dependencies) and
the toolchain's sysroot (sources of std). rustc is told to write a fixed name for each. The profile (size,
LTO, strip) is the workspace's Cargo.toml. Being the same, a program is cached by the digest of what goes into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from inferno.artifact import cache
from inferno.artifact.crates import sources
from inferno.artifact.follow import follow
from inferno.base import files, processes
from inferno.base.errors import InfernoError
from inferno.base.progress import Progress, quiet

TARGET = "x86_64-unknown-linux-gnu"
# Which program each crate makes.
BINARIES = {"kiln": "kiln", "guest": "init"}
_KEPT = 16  # programs in the cache
# Where rustup and cargo keep things is theirs to know; the rest of the environment must not change a build.
_PASSED_ON = ("CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "https_proxy", "HTTPS_PROXY", "no_proxy")


def build(crate: str, out: Path, checkout: Path, cached: Path | None = None, progress: Progress = quiet) -> None:
    """Build the crate and put its program at `out`, 0755, atomically; an equal one stays as it is.

    `cached` is the folder of `cache.directory()`: what it holds of the same inputs is not built again.
    Raises MissingToolError without cargo, CommandError (its `output` holds the compiler's words) on failure.
    """
    if crate not in BINARIES:
        raise InfernoError(f"no such crate: {crate}", f"one of {', '.join(BINARIES)}")
    if cached is None:
        return _install(_compile(crate, checkout, progress), out)
    key = _key(crate, checkout)
    known = cached / "rust" / f"{BINARIES[crate]}-{key}"
    if known.is_file():
        with contextlib.suppress(FileNotFoundError):
            os.utime(known)
            return _install(known, out)
    program = _compile(crate, checkout, progress)
    _install(program, out)
    if _key(crate, checkout) == key:  # else somebody edits a source just now: what was compiled is not known
        with contextlib.suppress(OSError):  # a cache that is full, or not to be written to, is none
            cache.install(program, known, 0o755)
            _remove_old(known.parent)


def _install(program: Path, out: Path) -> None:
    if not (out.is_file() and out.read_bytes() == program.read_bytes()):
        cache.install(program, out, 0o755)


def _compile(crate: str, checkout: Path, progress: Progress) -> Path:
    binary = BINARIES[crate]
    # A target directory of its own: `cargo test` beside a build neither waits for it nor undoes its flags.
    target = checkout / "target" / "artifact"
    argv: list[processes.Arg] = [
        "cargo",
        "build",
        "--locked",
        "--release",
        "--target",
        TARGET,
        "--target-dir",
        target,
        "-p",
        binary,
    ]
    follow(argv, what=binary, progress=progress, env=_environment(checkout), cwd=checkout)
    return target / TARGET / "release" / binary


def _key(crate: str, checkout: Path) -> str:
    """The digest of what decides a program's bytes: sources, how and by what they are built, the C library in it."""

    def said(*argv: str) -> str:
        return processes.run(argv, cwd=checkout, env=_passed_on()).stdout.decode().strip()

    libc = Path(said("cc", "-print-file-name=libc.a"))
    inputs = {
        "sources": [(os.path.relpath(path, checkout), files.sha256(Path(path))) for path in sources(crate, checkout)],
        "options": files.sha256(Path(__file__)),
        "settings": [files.sha256(path) for path in _settings(checkout)],
        "compiler": [said("cargo", "--version"), said("rustc", "-vV")],
        "linker": [said("cc", "--version"), said("ld", "--version")],
        # Where there is none cc prints the name alone, and a build fails with the linker's words.
        "libc": files.sha256(libc) if libc.is_absolute() else None,
    }
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _settings(checkout: Path) -> list[Path]:
    """The files in which cargo finds settings, profiles and linkers among them: above the checkout, and in its home."""
    folders = [*(folder / ".cargo" for folder in (checkout, *checkout.parents)), _home()]
    paths = dict.fromkeys(folder / name for folder in folders for name in ("config", "config.toml"))
    return [path for path in paths if path.is_file()]


def _home() -> Path:
    """Where cargo keeps its settings and the sources of dependencies."""
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def _remove_old(folder: Path) -> None:
    programs = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # others build too
            programs.append((path.stat().st_mtime, path))
    for _, path in sorted(programs)[:-_KEPT]:
        path.unlink(missing_ok=True)


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _environment(checkout: Path) -> dict[str, str]:
    """The build's environment: fixed flags in cargo's own encoding, which leaves spaces in paths alone."""
    environ = _passed_on()
    sysroot = processes.run(["rustc", "--print", "sysroot"], cwd=checkout, env=environ).stdout.decode().strip()
    # The last matching prefix wins, so the checkout, which may hold the others, comes first.
    prefixes = {os.fspath(checkout): "/inferno", os.fspath(_home()): "/cargo", sysroot: "/rust"}
    flags = [
        "-Ctarget-feature=+crt-static",
        *(f"--remap-path-prefix={old}={new}" for old, new in prefixes.items()),
    ]
    # Incremental code generation depends on what was compiled before, and is of no use to a release.
    return environ | {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "CARGO_INCREMENTAL": "0",
        "SOURCE_DATE_EPOCH": "0",
    }
