"""Each rig that begins, noted for the ledger of time that `make test` prints (tests/ledger.py)."""

from __future__ import annotations

import os
import time

LEDGER = "TEST_LEDGER"  # names the file; tools/steps.sh appends to it as well


def note(how: str, began: float) -> None:
    """Append how a rig came up (`restored`, `booted`, `rebooted`), since when (seconds since 1970) and for which test.

    One short write to a file opened for appending: those of several processes do not mix. Without a ledger: nothing.
    """
    if path := os.environ.get(LEDGER):
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
        with open(path, "a") as file:
            file.write(f"rig\t{began:.3f}\t{time.time():.3f}\t{how}\t{test}\n")
