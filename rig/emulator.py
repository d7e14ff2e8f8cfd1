"""QEMU from Debian's source with three faults mended, each of which hangs nested guests.

Seen in 10.0.13; test_emulator.py provokes the first two, with which a guest hangs within seconds.

1. To begin a guest's run with an interrupt, the emulated VMRUN (helper_vmrun) delivers the interrupt and leaves its
   number in exception_index. If the vCPU's thread is kicked before the guest's next exit, the same interrupt is
   delivered a second time, and the guest's kernel waits for ever for a lock that it holds itself.
2. Each instruction that loads the state of the FPU (FLDENV, FRSTOR, FXRSTOR, XRSTOR), on any vCPU, clears a flag of the
   first vCPU (cpu_clear_ignne). It reads and writes the word of flags while that vCPU may be changing it: flags that
   were just cleared, as "nested paging is on", come back, and a guest or its host goes on with the other's.
3. VMRUN sets a bit of interrupt_request without the lock under which all others change that word, so that an
   interrupt that arrives in this moment is lost. (Found by reading.)
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

SVM, FPU = "target/i386/tcg/system/svm_helper.c", "target/i386/tcg/system/fpu_helper.c"
# A file of QEMU's source, a statement that occurs in it once, and what stands in its place.
MENDED = (
    (SVM, "do_interrupt_x86_hardirq(env, vector, 1);", "{0} cs->exception_index = -1;"),
    (FPU, "env->hflags2 &= ~HF2_IGNNE_MASK;", "if (env->hflags2 & HF2_IGNNE_MASK) {{ {0} }}"),
    (SVM, "cs->interrupt_request |= CPU_INTERRUPT_VIRQ;", "bql_lock(); {0} bql_unlock();"),
    (SVM, '#include "cpu.h"', '{0}\n#include "qemu/main-loop.h"'),
)
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
    for name, statement, instead in MENDED:
        source = tree / name
        source.write_text(mended(source.read_text(), statement, instead))
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


def mended(source: str, statement: str, instead: str) -> str:
    """The text of a file of QEMU's with `instead` for a statement, {0} being the statement. Raises RigError."""
    if source.count(statement) != 1:
        raise RigError(f"this QEMU is another: {statement!r} is in its source {source.count(statement)} times")
    return source.replace(statement, instead.format(statement))
