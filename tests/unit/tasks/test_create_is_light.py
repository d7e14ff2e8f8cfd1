"""What a create that changes nothing loads: a fifth more than doit takes to list no tasks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import images

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).resolve().parents[3]
# Libraries that cost more to load than such a create may take beside doit's own time.
HEAVY = {"pydantic", "jinja2", "sqlite_utils", "docker", "pyroute2", "ulid", "ctypes", "isal", "zstandard"}
# What starts, ends, reaches and watches VMs.
OF_RUNS = {"inferno.net", "inferno.sandbox", "inferno.reach", "inferno.logs", "inferno.watch"}


@pytest.mark.parametrize("words", [["doit", "create:web1"], ["infernoctl", "create", "web1"]])
def test_a_create_that_changes_nothing_loads_nothing_that_only_changes_need(words: list[str], tmp_path: Path) -> None:
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    image = f"oci:{images.busybox(tmp_path / 'layout')}"
    subprocess.run([BIN / "infernoctl", "create", "web1", "--image", image], env=env, check=True, timeout=300)
    env["PYTHONPROFILEIMPORTTIME"] = "1"
    program, *rest = words
    said = subprocess.run(
        [BIN / program, *rest], cwd=CHECKOUT, env=env, check=True, timeout=300, capture_output=True, text=True
    ).stderr
    loaded = set(re.findall(r"^import time: .*\| +(\S+)$", said, re.MULTILINE))
    assert "inferno.state.database" in loaded
    assert HEAVY & loaded == set()
    assert {".".join(name.split(".")[:2]) for name in loaded} & OF_RUNS == set()
