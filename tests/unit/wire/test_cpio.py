"""The newc archives: what the cpio program reads back is what was written, and the same entries give the same bytes."""

import io
import subprocess
from pathlib import Path

from inferno.wire import cpio

ENTRIES = [
    cpio.Entry("inferno", 0o755),
    cpio.Entry("inferno/init", 0o755, b"\x7fELF" + bytes(range(256))),
    cpio.Entry("inferno/run.json", 0o400, '{"grüß": 1}'.encode()),
]


def archive(entries: list[cpio.Entry]) -> bytes:
    out = io.BytesIO()
    cpio.write(out, entries)
    return out.getvalue()


def test_same_entries_same_bytes() -> None:
    assert archive(ENTRIES) == archive(ENTRIES)
    assert len(archive(ENTRIES)) % 4 == 0


def test_the_cpio_program_reads_it(tmp_path: Path) -> None:
    done = subprocess.run(
        ["cpio", "-idm", "--no-absolute-filenames"],
        input=archive(ENTRIES),
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert b"not dumped" not in done.stderr
    for entry in ENTRIES:
        path = tmp_path / entry.path
        assert path.stat().st_mode & 0o7777 == entry.mode
        if entry.content is not None:
            assert path.read_bytes() == entry.content
            assert path.stat().st_mtime == 0


def test_archives_follow_one_another(tmp_path: Path) -> None:
    parts = [tmp_path / "a", tmp_path / "b"]
    parts[0].write_bytes(archive(ENTRIES[:2]))
    parts[1].write_bytes(archive(ENTRIES[2:]))
    cpio.concatenate(tmp_path / "both", parts)
    assert (tmp_path / "both").read_bytes() == parts[0].read_bytes() + parts[1].read_bytes()
