"""Whose lines `logs` shows: alone those of the process, as Docker has it; by `tail` and `show` those of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferno.cli.main import main
from inferno.state.database import State
from inferno.state.paths import Paths
from tests.unit.logs.test_logs import said


def test_logs_alone_has_what_the_process_printed_and_tail_and_show_have_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path))
    paths = Paths(tmp_path)
    State(paths.root / "inferno.db").close()
    paths.logs.mkdir(exist_ok=True)
    lines = [
        said(1, "firecracker", message="Running Firecracker, one of many"),
        said(2, "kernel", message="Linux version"),
        said(3, "stdout", message="one"),
        said(4, "kiln", message="log ring was full: 2 lines dropped", dropped=2),
        said(5, "stderr", message="two", level="warn"),
        b'{"timestamp": "2026-11-24T14:1\n',
        said(7, "collector", message="1 lines refused", level="warn"),
        said(8, "init", message="the process ended", level="error"),
    ]
    paths.log("web").write_bytes(b"".join(lines))

    def shown(*words: str) -> str:
        """The number of each line that is shown, from 1 on; the one that is torn has no time."""
        assert main(["logs", *words, "--json"]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return "".join(each["timestamp"][18] if "timestamp" in each else "6" for each in found)

    assert shown("web") == shown("--vm", "web") == shown("web", "--tail", "all") == "34567"
    assert shown("web", "-n", "4") == shown("web", "--tail", "4") == "4567"
    assert shown("web", "--since", "2026-11-24T14:17:04Z") == "457"
    assert shown("web", "--grep", "one") == "3"
    for words in (["tail", "web"], ["show", "web"], ["web", "--source", "all"]):
        assert shown(*words) == "12345678", words
    assert shown("web", "--level", "error") == "8"
    assert shown("web", "--source", "kernel") == "2"
