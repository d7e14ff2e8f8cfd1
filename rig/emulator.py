"""QEMU from Debian's source with one line more, without which nested guests hang.

To begin a guest's run with an interrupt, the emulated VMRUN (helper_vmrun) delivers the interrupt and leaves its
number in exception_index. If the vCPU's thread is kicked before the guest's next exit, the same interrupt is delivered
a second time, and the guest's kernel waits for ever for a lock that it holds itself. Seen in 7.2, 10.0.2 and 10.0.13;
test_emulator.py provokes it. The line clears the number.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from rig.cache import CHECKOUT, cached, digest, digest_of_code, digest_of_files
from rig.follow import follow
from rig.program import RigError, command

SOURCE = Path("target/i386/tcg/system/svm_helper.c")
DELIVERY = "do_interrupt_x86_hardirq(env, vector, 1);"
CLEARING = "cs->exception_index = -1;"
PROGRAMS = ("qemu-system-x86_64", "qemu-img")
# What the rig's devices need and no more. Without default devices there would not even be a machine.
OPTIONS = (
    "--target-list=x86_64-softmmu --without-default-features --enable-system --enable-tools --enable-tcg --enable-kvm "
    "--enable-slirp --disable-user --disable-docs --disable-fdt --disable-werror --disable-debug-info "
    "--disable-install-blobs --disable-download"
)
# QEMU's configure looks for these two in the Python that it is given.
BUILD_TOOLS = ("meson==1.12.1", "distlib==0.4.4")
# The BIOS and the option ROM of a directly booted kernel, from Debian's packages qemu-system-data and seabios.
FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios")


def emulator() -> Path:
    """The folder with qemu-system-x86_64, qemu-img, and the version of their source. Raises RigError."""
    recipe = digest(digest_of_code(Path(__file__)), digest_of_files(CHECKOUT / "tools/debian-source"))
    return cached("qemu", recipe, "QEMU", _build)


def program(name: str) -> Path:
    """The path of one of PROGRAMS. Raises RigError."""
    return emulator() / name


def bare_machine() -> list[str]:
    """The first words of a command line: no device and no setting but those that follow. Raises RigError."""
    firmware = [word for folder in FIRMWARE for word in ("-L", folder)]
    return [str(program("qemu-system-x86_64")), *firmware, "-no-user-config", "-nodefaults", "-display", "none"]


def _build(making: Path) -> None:
    # QEMU's configure refuses a folder with spaces or colons.
    place = making if re.fullmatch(r"[\w/.+-]+", str(making)) else "/var/tmp"
    with tempfile.TemporaryDirectory(prefix="inferno-qemu.", dir=place) as work:
        _build_in(Path(work), making)


def _build_in(work: Path, making: Path) -> None:
    follow(CHECKOUT / "tools/debian-source", "qemu", work)
    tree = work / "source"
    (making / "version").write_text((tree / "VERSION").read_text())
    source = tree / SOURCE
    source.write_text(with_clearing(source.read_text()))
    python = work / "venv/bin/python"
    follow(sys.executable, "-m", "venv", work / "venv")
    follow(python, "-m", "pip", "install", "--quiet", *BUILD_TOOLS)
    build = tree / "build"
    build.mkdir()
    path = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    follow("../configure", f"--python={python}", *OPTIONS.split(), cwd=build, env=path)
    follow("ninja", *PROGRAMS, cwd=build, env=path)
    for name in PROGRAMS:
        command("strip", "-o", making / name, build / name)


def with_clearing(source: str) -> str:
    """The text of svm_helper.c with the line that is missing. Raises RigError where it does not fit."""
    if source.count(DELIVERY) != 1:
        raise RigError(f"{SOURCE} of this QEMU is another: {DELIVERY!r} is in it {source.count(DELIVERY)} times")
    return source.replace(DELIVERY, f"{DELIVERY}\n            {CLEARING}")
