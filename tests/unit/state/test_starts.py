"""The table of starts: a line holds as long as its writer lives, and nobody sees their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from inferno.state.starts import Starts, root_id

WEB, DB = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC"
SPAWN = multiprocessing.get_context("spawn")


def note_and_wait(path: Path, ulid: str, number: int, told: Connection) -> None:
    Starts(path).note(ulid, number, path.parent)
    told.send("noted")
    signal.pause()


def test_lines_of_others_are_seen_until_they_close(tmp_path: Path) -> None:
    path = tmp_path / "run/starts"
    web, db, looker = Starts(path), Starts(path), Starts(path)
    here = tmp_path / "run"
    web.note(WEB, 100, here)
    db.note(DB, 16777216 + 16777216 // 128 + 10, tmp_path)  # the largest that a VM may be
    assert looker.others() == {WEB: 100, DB: 16908298}
    assert web.others() == {DB: 16908298}
    web.close()
    assert looker.others() == {DB: 16908298}
    again = Starts(path)
    assert looker.roots() == {root_id(tmp_path)}
    again.note(WEB, 7, here)
    assert looker.others() == {WEB: 7, DB: 16908298}
    assert looker.roots() == {root_id(tmp_path), root_id(here)}
    assert path.stat().st_size == 128, "a line that was left is written anew"
    assert path.stat().st_mode & 0o777 == 0o600
    for each in (db, again, looker):
        each.close()


def test_the_line_of_a_killed_writer_counts_no_more(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    here, there = SPAWN.Pipe()
    writer = SPAWN.Process(target=note_and_wait, args=(path, WEB, 100, there))
    writer.start()
    assert here.recv() == "noted"
    looker = Starts(path)
    assert looker.others() == {WEB: 100}
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert looker.others() == {}
    looker.close()
