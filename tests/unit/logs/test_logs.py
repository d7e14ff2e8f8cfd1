"""Reading logs: from the end, in full, across rotations, as they grow; and what is shown of hostile bytes."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.cli.main import main
from inferno.logs import keep, read, rotation, vm_logs
from inferno.logs.collector import compress
from inferno.logs.collector.log_file import Limits, LogFile
from inferno.logs.follow import End
from inferno.logs.log_record import parse
from inferno.logs.query import query
from inferno.state.database import State
from inferno.state.paths import Paths
from tests.loghost import DEADLINE_S, eventually, line
from tests.threads import poll_timeout_ms

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
CTL = str(Path(sys.executable).with_name("infernoctl"))


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path))
    return Paths(tmp_path)


def said(number: int, source: str = "stdout", **extra: object) -> bytes:
    """A line as it is in a log file."""
    fields = {"timestamp": f"2026-11-24T14:17:{number % 60:02}.000000Z", "level": "info", "source": source}
    fields |= {"vm_name": "web", "vm_id": ULID, "message": f"line {number}"}
    return json.dumps({**fields, **extra}).encode() + b"\n"


class Writer:
    """A log that is written as the collector writes it: small files, compressed at once."""

    def __init__(self, log: Path, *, files: int = 1000, size: int = 2000, packed: bool = True) -> None:
        self.file = LogFile(log, Limits(size, files), compress.compress if packed else lambda path: None)
        self.count = 0

    def write(self, lines: int) -> None:
        for _ in range(lines):
            self.file.write(said(self.count))
            self.count += 1


@pytest.fixture
def writer(paths: Paths) -> Iterator[Writer]:
    writer = Writer(paths.log("web"))
    yield writer
    writer.file.close()


def numbers(lines: Iterator[bytes]) -> list[int]:
    return [int(parse(each).data.split()[1]) for each in lines]


def test_no_log_has_no_lines(paths: Paths) -> None:
    assert vm_logs.end(paths, "web") == 0
    assert vm_logs.tail(paths, "web", 5) == []
    assert list(read.forwards(paths.log("web"))) == []


@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_chain_of_files_reads_as_one(paths: Paths, writer: Writer, count: int) -> None:
    writer.write(count)
    log = paths.log("web")
    assert numbers(read.forwards(log)) == list(range(count))
    assert numbers(read.backwards(log)) == list(reversed(range(count)))
    if count == 100:
        assert len(rotation.rotated(log)) > 3
        assert all(part.compressed for part in rotation.rotated(log))


def test_a_position_means_the_same_after_rotations(paths: Paths, writer: Writer) -> None:
    positions = []
    for _ in range(60):
        positions.append(vm_logs.end(paths, "web"))
        writer.write(1)
    assert positions == sorted(set(positions))
    log = paths.log("web")
    for at, position in enumerate(positions):
        assert numbers(read.backwards(log, since=position)) == list(reversed(range(at, 60)))
        assert numbers(read.backwards(log, until=position)) == list(reversed(range(at)))
    assert vm_logs.tail(paths, "web", 2, since=positions[59]) == ["stdout: line 59"]


def test_a_line_that_is_being_written_is_none_yet(paths: Paths, writer: Writer) -> None:
    writer.write(3)
    with paths.log("web").open("ab") as file:
        file.write(said(3)[:-5])
    assert numbers(read.backwards(paths.log("web"))) == [2, 1, 0]
    assert numbers(read.forwards(paths.log("web"))) == [0, 1, 2]
    assert vm_logs.tail(paths, "web", 9, since=vm_logs.end(paths, "web")) == []


def test_lines_longer_than_a_block_are_whole(paths: Paths) -> None:
    log = paths.log("web")
    log.parent.mkdir()
    long = said(1, message="x" * 200_000)
    log.write_bytes(said(0) + long + said(2))
    assert [len(each) + 1 for each in read.backwards(log)] == [len(said(2)), len(long), len(said(0))]


def test_only_so_many_files_are_kept(paths: Paths) -> None:
    writer = Writer(paths.log("web"), files=3)
    writer.write(200)
    assert len(rotation.rotated(paths.log("web"))) == 2
    kept = numbers(read.forwards(paths.log("web")))
    assert kept == list(range(200 - len(kept), 200))
    assert {path.name.count(".tmp") for path in paths.logs.iterdir()} == {0}
    writer.file.close()


def test_followed_lines_are_complete_across_rotations(paths: Paths, writer: Writer) -> None:
    """The writer is as fast as it can be; the reader sees what is being renamed and compressed."""
    with vm_logs.follow(paths, "web") as follower:
        thread = threading.Thread(target=writer.write, args=(3000,))
        thread.start()
        got = [int(next(follower).data.split()[1]) for _ in range(3000)]
        thread.join()
    assert got == list(range(3000))


def test_following_begins_where_it_is_told(paths: Paths, writer: Writer) -> None:
    writer.write(30)
    since = vm_logs.end(paths, "web")
    writer.write(30)
    with vm_logs.follow(paths, "web", since=since) as follower:
        assert int(next(follower).data.split()[1]) == 30
    with vm_logs.follow(paths, "web", since=0) as follower:
        assert [int(next(follower).data.split()[1]) for _ in range(60)] == list(range(60))
        assert not follower.pending()


def test_following_survives_truncation_deletion_and_clearing(paths: Paths, writer: Writer) -> None:
    log = paths.log("web")
    with vm_logs.follow(paths, "web") as follower:
        writer.write(3)
        assert [next(follower).data for _ in range(3)][-1] == b"line 2"
        os.truncate(log, 0)
        assert not follower.pending()
        writer.write(1)
        assert next(follower).data == b"line 3"
        log.unlink()
        writer.write(1)
        assert next(follower).data == b"line 4"
        writer.write(50)
        assert [next(follower).data for _ in range(50)][-1] == b"line 54"
        assert keep.clear(log) > 2
        writer.write(1)
        assert next(follower).data == b"line 55"


def test_following_ends_with_the_process_that_it_is_told_of(paths: Paths, writer: Writer) -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = os.pidfd_open(child.pid)
    end = End(process, 1, lambda: child.poll() is not None)  # POLLIN
    with vm_logs.follow(paths, "web", end=end) as follower:
        writer.write(5)
        assert next(follower).data == b"line 0"
        child.kill()
        assert [record.data for record in follower] == [b"line 1", b"line 2", b"line 3", b"line 4"]
        assert list(follower) == []
    os.close(process)


def test_an_interrupted_wait_goes_on(paths: Paths, writer: Writer) -> None:
    with vm_logs.follow(paths, "web") as follower:
        writer.write(1)
        next(follower)

        def interrupt() -> None:
            eventually(lambda: poll_timeout_ms(threading.main_thread()) is not None)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        with pytest.raises(KeyboardInterrupt):
            thread.start()
            next(follower)
        thread.join()
        writer.write(1)
        assert next(follower).data == b"line 1"


def test_nothing_reaches_a_terminal_as_a_command() -> None:
    assert visible("grüß 日本\tdich") == "grüß 日本\tdich"
    assert visible("\x1b[2J\r\0\x7f\u009b\u202e") == "\\x1b[2J\\r\\x00\\x7f\\x9b\\u202e"
    record = parse(said(1, message="\x1b]0;owned\x07"))
    assert record.text() == "\\x1b]0;owned\\x07"
    assert record.output() == b"\x1b]0;owned\x07\n"
    assert parse(said(1, message="x\ud800")).text() == "x?"


def test_records_keep_bytes_and_parts() -> None:
    fields = {"source": "stderr", "vm_id": ULID}
    record = parse(json.dumps({**fields, "message_b64": "//4=", "partial": True}).encode())
    assert (record.data, record.output(), record.text()) == (b"\xff\xfe", b"\xff\xfe", "\\xff\\xfe…")
    for torn in (b'{"timestamp": "20', b"", b"[1]", b'{"message": 3}', b"\xff", b'{"message_b64": "="}', b"[" * 9999):
        assert parse(torn).data == torn
        assert json.loads(parse(torn).json())["source"] == "unreadable"


def test_queries_choose(paths: Paths) -> None:
    records = [parse(said(n, source, level=level)) for n, source, level in QUERIED]

    def chosen(**given: str) -> list[int]:
        wanted = query(given)
        return [int(record.data.split()[1]) for record in records if wanted.wants(record)]

    assert chosen() == [0, 1, 2, 3]
    assert chosen(source="stderr,kiln") == [1, 2]
    assert chosen(source="all") == chosen(source="kiln,all") == [0, 1, 2, 3]
    assert chosen(level="warn") == [1, 3]
    assert chosen(since="2026-11-24T14:17:01Z", until="2026-11-24T15:17:03+01:00") == [1, 2]
    assert chosen(grep="line [02]$") == [0, 2]
    assert chosen(since="1s") == []
    assert chosen(since="1h30m", until="-500ms") == []
    assert chosen(since="2026-11-24T14:17:02Z", until="2026-11-24T14:17:02Z") == []
    assert chosen(since="1795529821", until="1795529822.5") == [1, 2]
    assert chosen(until="2026-11-24T14:17:02Z") == [0, 1]
    assert chosen(since="2026-11-24T14:17:02Z", until="2026-11-24T14:17:01Z") == chosen(since="1h", until="2h") == []


QUERIED = [(0, "stdout", "info"), (1, "stderr", "warn"), (2, "kiln", "debug"), (3, "kernel", "error")]


@pytest.mark.parametrize(
    "given",
    [
        {"source": "stout"},
        {"level": "loud"},
        {"since": "yesterday"},
        {"until": "3 weeks"},
        {"grep": "("},
        {"grep": "a{99999999999999999999}"},
        {"grep": "(" * 5000},
    ],
)
def test_bad_queries_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        query(given)


@pytest.mark.parametrize(
    "words",
    [
        ["tial"],
        ["--tail", "few"],
        ["--since", "1w"],
        ["show", "--raw", "--json"],
        ["tail", "web"],
        ["tail", "-n", "-3"],
        ["tail", "--vm", "wbe"],
        ["show", "--vm", "A"],
        ["show", "-x"],
    ],
)
def test_bad_words_end_with_2_and_one_line(paths: Paths, capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    State(paths.root / "inferno.db").close()
    assert main(["logs", *words]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("error:")) == ("", 1)


def test_a_vm_is_named_as_docker_has_it(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    writer.write(50)

    def shown(*words: str) -> list[str]:
        assert main(["logs", *words]) == 0
        return capsys.readouterr().out.splitlines()

    assert len(shown("web")) == len(shown("tail", "web")) == 20
    assert (
        len(shown("web", "--tail", "all")) == len(shown("web", "-n", "all")) == len(shown("web", "--since", "0")) == 50
    )
    assert len(shown("web", "--tail", "-1")) == len(shown("web", "--tail=-1")) == len(shown("web", "-n", "-1")) == 50
    assert shown("web", "--tail", "0") == shown("web", "-n0") == []
    assert len(shown("web", "-f", "--until", "2026-11-24T14:17:03Z", "--tail", "all")) == 3, "it does not wait"
    assert len(shown("web", "--tail", "7")) == len(shown("web", "--tail", "7", "--since", "0")) == 7
    assert shown("web", "-t", "-n1")[0].startswith("2026-11-24T14:17:49.000000Z ")
    assert len(shown("show", "web")) == 50
    assert shown("show", "web", "-n", "3") == shown("--vm", "web", "--lines", "3") == shown("web")[-3:]
    assert shown("show", "web", "-n", "0") == []
    assert shown("clear", "web")
    assert main(["logs", "web"]) == 2


def test_the_command_shows_the_last_lines(paths: Paths, writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    writer.write(100)
    assert main(["logs", "tail", "--vm", "web", "-n", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-24T14:17:38.000Z web stdout line 98",
        "2026-11-24T14:17:39.000Z web stdout line 99",
    ]
    assert main(["logs", "--vm", "web", "--json"]) == 0
    shown = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [record["message"] for record in shown] == [f"line {n}" for n in range(80, 100)]
    assert shown[0]["vm_name"] == "web"
    assert main(["logs", "show", "--vm", "web", "--grep", "line 9?7$"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_command_keeps_account_and_clears(paths: Paths, writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    writer.write(100)
    assert main(["logs", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["collector"] is None
    assert [each["vm"] for each in found["logs"]] == [None, "web"]
    assert main(["logs", "clear", "--vm", "web"]) == 0
    assert list(paths.logs.iterdir()) == []
    assert main(["logs", "clear"]) == 0


def test_clear_means_the_combined_log_unless_told_otherwise(paths: Paths, capfd: pytest.CaptureFixture[str]) -> None:
    paths.logs.mkdir(parents=True, exist_ok=True)
    for name in ("vm_combined.log", "vm_combined.log.1", "web.log", "web.log.1", "db.log"):
        (paths.logs / name).touch()

    def left() -> set[str]:
        return {path.name for path in paths.logs.iterdir()}

    assert main(["logs", "clear", "--all", "web"]) == 2
    assert "infernoctl logs clear web" in capfd.readouterr().err
    assert len(left()) == 5
    assert main(["logs", "clear"]) == 0
    assert left() == {"web.log", "web.log.1", "db.log"}
    assert main(["logs", "clear", "web"]) == 0
    assert left() == {"db.log"}
    (paths.logs / "vm_combined.log").touch()
    assert main(["logs", "clear", "--all"]) == 0
    assert left() == set()


def test_the_command_follows_until_interrupted(paths: Paths, writer: Writer) -> None:
    writer.write(3)
    command = [CTL, "logs", "tail", "--vm", "web", "-n", "1", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("line 2\n")
        writer.write(40)
        assert [process.stdout.readline().split()[-1] for _ in range(40)] == [str(n) for n in range(3, 43)]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_reader_that_leaves_is_no_error(paths: Paths, writer: Writer) -> None:
    writer.write(2000)
    shown = subprocess.run(
        f"'{CTL}' logs show --vm web | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert (shown.stdout.count("\n"), shown.stderr) == (1, "")


def test_the_time_of_writing_survives_compression(tmp_path: Path) -> None:
    path = tmp_path / "web.log.0"
    path.write_bytes(line(ULID, "old"))
    os.utime(path, (1000, 1000))
    compress.compress(path)
    [packed] = tmp_path.iterdir()
    assert (packed.name, packed.stat().st_mtime) == ("web.log.0.gz", 1000)
    assert gzip.decompress(packed.read_bytes()) == line(ULID, "old")


def test_raw_lines_are_the_bytes_of_the_process(paths: Paths, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    State(paths.root / "inferno.db").close()
    paths.logs.mkdir(exist_ok=True)
    lines = (
        said(1, message="\x1b[31mred"),
        said(2, "stderr", message="worse"),
        said(3, message="no end", partial=True),
        said(4, message=None, message_b64="//4="),
        said(5, "kiln", message="ours"),
    )
    paths.log("web").write_bytes(b"".join(lines))

    def shown(*words: str) -> tuple[bytes, bytes]:
        assert main(["logs", "web", *words]) == 0
        out, err = capfdbinary.readouterr()
        return out, err

    assert shown("--raw") == (b"\x1b[31mred\nno end\xff\xfe\n", b"worse\n")
    assert shown("--raw", "--source", "kiln") == (b"ours\n", b"")
    assert shown("--raw", "-t", "-n", "1", "--source", "stderr") == (b"", b"2026-11-24T14:17:02.000000Z worse\n")
    assert b"\x1b" not in shown()[0]
