"""kiln and init: static, without a folder's name inside, the same from any folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inferno.artifact import cache, cargo, crates
from inferno.base.errors import InfernoError
from inferno.base.processes import CommandError, run


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a checkout with one real crate that needs nothing but std."""

    def make(folder: str, source: str) -> Path:
        root = tmp_path / folder
        (root / "kiln/src").mkdir(parents=True)
        (root / "Cargo.toml").write_text('[workspace]\nmembers = ["kiln"]\nresolver = "3"\n')
        (root / "Cargo.lock").write_text('version = 4\n\n[[package]]\nname = "kiln"\nversion = "0.1.0"\n')
        (root / "kiln/Cargo.toml").write_text('[package]\nname = "kiln"\nversion = "0.1.0"\nedition = "2024"\n')
        (root / "kiln/src/main.rs").write_text(source)
        return root

    return make


def test_a_build_is_static_and_says_nothing_of_its_folder(workspace: Callable[[str, str], Path]) -> None:
    one = workspace("one", 'fn main() { panic!("see {}", file!()) }\n')
    two = workspace("a longer/place", 'fn main() { panic!("see {}", file!()) }\n')
    for root in (one, two):
        cargo.build("kiln", root / "out/kiln", root)
    program = (one / "out/kiln").read_bytes()
    assert program == (two / "out/kiln").read_bytes()
    assert str(one.parent).encode() not in program
    assert b"INTERP" not in run(["readelf", "--program-headers", one / "out/kiln"]).stdout


def test_an_equal_result_leaves_the_file_alone(workspace: Callable[[str, str], Path]) -> None:
    root = workspace("one", "fn main() {}\n")
    out = root / "out/kiln"
    cargo.build("kiln", out, root)
    before = out.stat()
    cargo.build("kiln", out, root)
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert out.stat().st_mode & 0o777 == 0o755


def test_what_was_built_of_the_same_is_not_built_again(workspace: Callable[[str, str], Path], tmp_path: Path) -> None:
    def built(folder: str, source: str) -> tuple[Path, bool]:
        root = workspace(folder, source)
        cargo.build("kiln", root / "out", root, tmp_path / "cache")
        return root / "out", (root / "target").exists()

    one, compiled = built("one", 'fn main() { println!("one") }\n')
    again, compiled_again = built("again", 'fn main() { println!("one") }\n')
    other, compiled_other = built("other", 'fn main() { println!("two") }\n')
    assert (compiled, compiled_again, compiled_other) == (True, False, True)
    assert one.read_bytes() == again.read_bytes() != other.read_bytes()
    assert again.stat().st_mode & 0o777 == 0o755
    assert run([other]).stdout == b"two\n"
    settings = tmp_path / "told/.cargo/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("profile.release.strip = true\n")
    told, compiled_as_told = built("told/one", 'fn main() { println!("one") }\n')
    assert compiled_as_told
    assert told.stat().st_size < one.stat().st_size


def test_a_cache_that_cannot_be_written_to_is_none(workspace: Callable[[str, str], Path], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    root = workspace("one", 'fn main() { println!("one") }\n')
    cargo.build("kiln", root / "out", root, tmp_path / "cache")
    assert run([root / "out"]).stdout == b"one\n"


def test_without_a_static_c_library_the_linker_has_the_word(
    workspace: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linker = tmp_path / "bin/cc"
    linker.parent.mkdir()
    linker.write_text(
        "#!/bin/sh\ncase $1 in -print-file-name=*) echo libc.a ;; --version) echo cc ;;"
        " *) echo 'cannot find -lc' >&2; exit 1 ;; esac\n"
    )
    linker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{linker.parent}:{os.environ['PATH']}")
    root = workspace("one", "fn main() {}\n")
    with pytest.raises(CommandError) as failure:
        cargo.build("kiln", root / "out", root, tmp_path / "cache")
    assert "cannot find -lc" in failure.value.output


def test_the_cache_keeps_the_newest(workspace: Callable[[str, str], Path], tmp_path: Path) -> None:
    kept = tmp_path / "cache/rust"
    kept.mkdir(parents=True)
    for number in range(40):
        (kept / f"kiln-{number}").touch()
        os.utime(kept / f"kiln-{number}", (number, number))
    root = workspace("one", "fn main() {}\n")
    cargo.build("kiln", root / "out", root, tmp_path / "cache")
    names = {path.name for path in kept.iterdir()}
    assert len(names) == 16
    assert {f"kiln-{number}" for number in range(25, 40)} < names


def test_a_compile_error_says_where_and_leaves_the_old_program(workspace: Callable[[str, str], Path]) -> None:
    root = workspace("one", "fn main() { nonsense }\n")
    out = root / "kiln.out"
    out.write_text("old")
    with pytest.raises(CommandError) as caught:
        cargo.build("kiln", out, root)
    assert "nonsense" in caught.value.output
    assert out.read_text() == "old"


def test_sources_change_with_every_input(workspace: Callable[[str, str], Path]) -> None:
    root = workspace("one", "fn main() {}\n")
    assert {os.path.relpath(path, root) for path in crates.sources("kiln", root)} == {
        "Cargo.toml",
        "Cargo.lock",
        "kiln/Cargo.toml",
        "kiln/src/main.rs",
    }
    assert crates.toolchain_files(), "a change of the compiler would go unnoticed"


def test_an_unknown_crate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfernoError, match="no such crate"):
        cargo.build("kilm", tmp_path / "out", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ours_come_out_the_same_from_two_folders(checkout: Path, tmp_path: Path) -> None:
    """One is the checkout itself, or whichever folder had what is in the cache."""
    other = tmp_path / "another/folder"
    other.mkdir(parents=True)
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(checkout / name, other / name)
    for member in cargo.BINARIES:
        shutil.copytree(checkout / member, other / member)
    for crate in cargo.BINARIES:
        cargo.build(crate, tmp_path / "here", checkout, cache.directory())
        cargo.build(crate, tmp_path / "there", other)
        program = (tmp_path / "there").read_bytes()
        assert (tmp_path / "here").read_bytes() == program
        assert str(tmp_path).encode() not in program
        assert b"INTERP" not in run(["readelf", "--program-headers", tmp_path / "there"]).stdout
