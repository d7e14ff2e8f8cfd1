"""usage: rust_coverage.py FOLDER LLVM

Prints which lines and functions of kiln and init their own tests run, as root. The programs are built in FOLDER, apart
from those that are used; LLVM is the folder of llvm-profdata and llvm-cov, of the version that rustc has. Ends with 1
when a test failed; the table is printed all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
# Those of .cargo/config.toml, which this variable replaces, and the one for the counters.
FLAGS = "-Ctarget-feature=+crt-static -Cinstrument-coverage"
LEFT_OUT = ("kiln", "test")
WHY = "kiln's tests of the whole program are left out: its own seccomp filter kills it where it writes what it counted."
OTHERS = "/(rustc|registry|tests|examples)/"  # files that are not the crates' own


@dataclass(frozen=True)
class Program:
    """Something that was built: a harness of tests, or what the tests run."""

    path: Path
    crate: Path
    is_harness: bool


def build(folder: Path) -> Iterator[Program]:
    """Build the tests and what they run. Raises CalledProcessError."""
    argv = ["cargo", "test", "--quiet", "--offline", "--locked", "--workspace", "--no-run", "--message-format=json"]
    environ = {**os.environ, "CARGO_TARGET_DIR": str(folder), "RUSTFLAGS": FLAGS}
    done = subprocess.run(argv, cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told.get("executable"):
            crate = Path(told["manifest_path"]).parent
            is_harness = told["profile"]["test"] and (crate.name, *told["target"]["kind"]) != LEFT_OUT
            yield Program(Path(told["executable"]), crate, is_harness)


def run(programs: list[Program], counters: Path) -> bool:
    """Run the tests, which write their counters; whether all passed."""
    # One file per program: a process adds to it what it counted.
    settings = [f"LLVM_PROFILE_FILE={counters}/%m.profraw", "RUST_TEST_THREADS=16"]
    ends = []
    for each in programs:
        if each.is_harness:
            argv = [CHECKOUT / "tools/as-root", "env", *settings, each.path, "--quiet", "--include-ignored"]
            ends.append(subprocess.run(argv, cwd=each.crate, check=False).returncode)
    return not any(ends)


def report(programs: list[Program], counters: Path, llvm: Path) -> None:
    """Print the table. Raises CalledProcessError."""
    merged = counters / "all.profdata"
    subprocess.run([llvm / "llvm-profdata", "merge", "-sparse", *counters.glob("*.profraw"), "-o", merged], check=True)
    first, *rest = [each.path for each in programs]
    argv = [llvm / "llvm-cov", "report", f"--instr-profile={merged}", f"--ignore-filename-regex={OTHERS}"]
    argv += ["--show-region-summary=false", "--show-branch-summary=false", first]
    subprocess.run([*argv, *(word for path in rest for word in ("--object", path))], check=True)


def main(folder: Path, llvm: Path) -> int:
    counters = folder / "counters"
    shutil.rmtree(counters, ignore_errors=True)
    counters.mkdir(parents=True)
    programs = list(build(folder))
    passed = run(programs, counters)
    report(programs, counters, llvm)
    print(WHY)
    return 0 if passed else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2])))
