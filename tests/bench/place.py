"""Where the benchmark keeps what it found, and works."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferno"
FOLDER = CACHE / "bench"
RESULTS = FOLDER / "results.ndjson"
