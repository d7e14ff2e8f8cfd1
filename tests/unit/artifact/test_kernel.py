"""The kernel's build on a source package of ten lines made here: real dpkg-deb, tar, make, gcc and strip.

Only apt is a script, put first on PATH, since the package is in no archive.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.artifact import kernel
from inferno.base.errors import InfernoError
from inferno.base.processes import run

FRAGMENT = 'CONFIG_EROFS_FS=y\nCONFIG_MODULES=n\nCONFIG_LOCALVERSION=""\nCONFIG_PANIC_TIMEOUT=-1\n'
# Like the real one it drops what it does not know (here: NONSENSE), and leaves options out that are n.
MAKEFILE = """
ifneq ($(words $(subst :, ,$(realpath $(CURDIR)))), 1)
$(error source directory cannot contain spaces or colons)
endif
allnoconfig:
\tgrep -vE 'NONSENSE|=n$$' $(KCONFIG_ALLCONFIG) > .config
\techo '# CONFIG_MODULES is not set' >> .config
vmlinux:
\ttest ! -p "$(HELD)" || { exec 3> "$(HELD)"; echo building >&3; exec cat "$(HELD).never"; }
\techo "const char stamp[] = \\"$(KBUILD_BUILD_TIMESTAMP)\\"; int main(void) { return stamp[0]; }" | gcc -g -x c -o $@ -
"""
CONTROL = (
    "Package: linux-source-6.12\nVersion: 6.12.1-1\nArchitecture: all\nMaintainer: T <t@localhost>\nDescription: -\n"
)


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts an apt on PATH that knows one package; it counts its downloads in the file returned."""
    tree = tmp_path / "linux-6.12"
    tree.mkdir()
    (tree / "Makefile").write_text(MAKEFILE.replace("$(HELD)", str(tmp_path / "held")))
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(CONTROL)
    (package / "usr/src").mkdir(parents=True)
    run(["tar", "-cJf", package / "usr/src/linux-source-6.12.tar.xz", "-C", tmp_path, tree.name])
    run(["dpkg-deb", "--build", "--root-owner-group", package, tmp_path / "linux-source-6.12_6.12.1-1_all.deb"])
    programs = tmp_path / "bin"
    programs.mkdir()
    downloads = tmp_path / "downloads"
    for name, script in {
        "apt-cache": f"cat {package}/DEBIAN/control",
        "apt-get": f'echo "$2" >> {downloads}; cp {tmp_path}/*.deb .',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return downloads


@pytest.fixture
def fragment(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.config"
    path.write_text(FRAGMENT)
    return path


def test_options_are_read_in_both_spellings_of_no() -> None:
    text = '# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x y"\nCONFIG_D=n\n\n# CONFIG_E was here\n'
    assert list(kernel.options(text)) == [
        ("CONFIG_A", "y"),
        ("CONFIG_B", "n"),
        ("CONFIG_C", '"x y"'),
        ("CONFIG_D", "n"),
    ]


def test_missing_names_what_was_dropped_and_what_was_not_to_be() -> None:
    fragment = "CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=5\nCONFIG_D=n\n"
    assert kernel.missing(fragment, "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=6\n") == ["CONFIG_B=n", "CONFIG_C=5"]


def test_a_build_leaves_a_stripped_kernel_and_nothing_in_the_cache_but_it(
    debian: Path, fragment: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    made = kernel.build(
        fragment,
        tmp_path / "out/vmlinux",
        tmp_path / "cache",
        progress=lambda what, done=None, total=None, detail="": told.append(what),
    )
    assert made["source"] == "linux-source-6.12 6.12.1-1"
    assert debian.read_text() == "linux-source-6.12=6.12.1-1\n"
    assert b"no symbols" in run(["nm", tmp_path / "out/vmlinux"], check=False).stderr
    assert b"1970-01-01" in (tmp_path / "out/vmlinux").read_bytes()
    [entry] = (tmp_path / "cache/kernel").iterdir()
    assert {path.name for path in entry.iterdir()} == {"vmlinux", "inputs.json"}
    stages = list(dict.fromkeys(told))
    assert stages[0] == "kernel source" and stages[-2:] == ["kernel configuration", "kernel"]


def test_only_a_changed_configuration_is_built_again(debian: Path, fragment: Path, tmp_path: Path) -> None:
    def build() -> int:
        kernel.build(fragment, tmp_path / "vmlinux", tmp_path / "cache")
        return len(debian.read_text().splitlines())

    assert build() == 1
    (tmp_path / "vmlinux").unlink()
    assert build() == 1
    assert (tmp_path / "vmlinux").exists()
    fragment.write_text(FRAGMENT + "CONFIG_EXT4_FS=y\n")
    assert build() == 2


def test_an_option_that_does_not_hold_is_named(debian: Path, fragment: Path, tmp_path: Path) -> None:
    fragment.write_text(FRAGMENT + "CONFIG_NONSENSE=y\n")
    with pytest.raises(InfernoError, match="did not take CONFIG_NONSENSE=y"):
        kernel.build(fragment, tmp_path / "vmlinux", tmp_path / "cache")
    assert not (tmp_path / "vmlinux").exists()
    assert list((tmp_path / "cache/kernel").iterdir()) == []


def test_without_package_lists_the_way_out_is_named(debian: Path, fragment: Path, tmp_path: Path) -> None:
    (tmp_path / "package/DEBIAN/control").write_text("")
    with pytest.raises(InfernoError, match="apt knows no linux-source") as caught:
        kernel.build(fragment, tmp_path / "vmlinux", tmp_path / "cache")
    assert caught.value.hint
    assert "apt-get update" in caught.value.hint


# The kernel's own build, which takes no such folder, is then done elsewhere.
@pytest.mark.parametrize("name", ["cache", "mein Büro: 100 % #1"])
def test_a_build_that_is_killed_ends_its_make_and_the_next_one_cleans_up(
    debian: Path, fragment: Path, tmp_path: Path, name: str
) -> None:
    cache = tmp_path / name
    held = tmp_path / "held"
    os.mkfifo(held)
    os.mkfifo(f"{held}.never")
    code = (
        "import sys; from pathlib import Path; from inferno.artifact import kernel;"
        "kernel.build(*map(Path, sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", code, str(fragment), str(tmp_path / "vmlinux"), str(cache)]
    with subprocess.Popen(argv) as builder, held.open() as pipe:
        assert pipe.readline() == "building\n"
        builder.send_signal(signal.SIGKILL)
        assert pipe.read() == ""  # the end of the pipe comes when what make runs is gone
    [left] = (cache / "kernel").glob("*.tmp")
    [place] = [path.resolve() for path in left.iterdir() if path.is_symlink()] or [left]
    assert (place / "linux/Makefile").exists()
    held.unlink()
    kernel.build(fragment, tmp_path / "vmlinux", cache)
    assert list((cache / "kernel").glob("*.tmp")) == []
    assert not place.exists()
    assert (tmp_path / "vmlinux").exists()
