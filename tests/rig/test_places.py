"""A rig in a folder with spaces, commas, quotes and an umlaut in its name, longer than a socket's name may be.

QEMU and ssh each read such characters in paths as something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.machine import RUNNING, Rig

NAME = "mein Büro, 100 %d \"of\" 'it' ~ ${HOME} @con " + 80 * "x"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """In the folder of that name; else it is as any other."""
    with Rig.start(name=NAME) as rig:
        yield rig


def test_commands_and_files_come_and_go(rig: Rig, tmp_path: Path) -> None:
    source = tmp_path / "Grüße, all"
    source.mkdir()
    (source / "a file").write_text("here\n")
    rig.put(source, "/tmp")
    assert rig.run(["cat", "/tmp/Grüße, all/a file"]).stdout == "here\n"
    rig.get("/tmp/Grüße, all", tmp_path / "back")
    assert (tmp_path / "back/a file").read_text() == "here\n"
    assert "rig" in rig.run(["hostname"]).stdout


def test_another_process_finds_it_by_its_name(rig: Rig) -> None:
    assert Rig.attach(NAME).run(["echo", "attached"]).stdout == "attached\n"
    assert (RUNNING / NAME / "console.log").exists()
