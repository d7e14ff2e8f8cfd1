"""The fuzz targets, one of them for a minute in each trial; what is found lies in fuzz/artifacts.

The seed is libFuzzer's as well. It begins from what earlier runs found in fuzz/corpus, so that a trial repeated is only
nearly the same; an input that fails is kept, and fails for ever.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
from pathlib import Path

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
SECONDS = 60
NEEDS = "nothing"

place = contextlib.nullcontext


def trial(seed: int, _: None) -> str:
    """One target. Raises AssertionError with what it said."""
    target = random.Random(seed).choice(sorted(path.stem for path in (FUZZ / "targets").glob("*.rs")))
    argv = [FUZZ / "run", target, str(SECONDS), str(seed)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{target}: {done.stdout.strip()}{done.stderr[-1000:]}"
    return f"{target} for {SECONDS} s"
