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
# What makes artifacts and versions, runs and reads images, and says what other verbs take.
OF_CHANGES = {
    *("inferno.artifact.cargo", "inferno.artifact.firecracker", "inferno.artifact.kernel", "inferno.artifact.support"),
    *("inferno.version.make", "inferno.version.sealing", "inferno.version.trusted_copies", "inferno.wire.render"),
    *("inferno.base.templates", "inferno.life.destroy", "resource", "shlex"),
}
OF_OTHER_VERBS = {f"inferno.console.verbs.{name}" for name in ("table", "reach", "host")} | {"inferno.console.help"}
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
    assert (OF_CHANGES | OF_OTHER_VERBS) & loaded == set()
    if program == "doit":  # what no option was given for needs the table of no options
        assert {"inferno.console.verbs.look", "inferno.console.image_options"} & loaded == set()
    assert {".".join(name.split(".")[:2]) for name in loaded} & OF_RUNS == set()


def test_types_that_such_a_create_loads_are_defined_without_compiling_source_text() -> None:
    """A dataclass compiles the source of its methods: the spec's alone cost 10 million instructions, 2 ms."""
    program = """
import builtins
from doit.doit_cmd import DoitMain  # with what it needs of Python's own
from inferno.base import records
def unless_text(stock):
    def call(code, *known, **named):
        if isinstance(code, str):
            raise AssertionError(f"source text is compiled: {code}")
        return stock(code, *known, **named)
    return call
for name in ("exec", "eval", "compile"):
    setattr(builtins, name, unless_text(getattr(builtins, name)))
from inferno.spec import create_options
from inferno.version import plan, version_json
from inferno.state import vm_record
from inferno.image import base
for kind in (create_options.Spec, version_json.VersionRecord, vm_record.VmRecord, base.Made, base.Note):
    records._reader(kind)
"""
    said = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
