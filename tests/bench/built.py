"""What VMs are made of and boot, built before anything is timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.place import CHECKOUT
from tests.bench.row import Lab


def artifacts(_: Lab) -> Path:
    """The folder of kiln, init, the guest's kernel and firecracker. What is missing is built, which may take minutes.

    Settings are left as they are: they may say where Firecracker is. Raises CalledProcessError.
    """
    subprocess.run([CHECKOUT / "tools/build"], stdout=sys.stderr, check=True)
    return CHECKOUT / "artifacts"
