"""The host's side of a stream is that of the golden frames, and what a guest may send is only them."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import InfernoError
from inferno.reach import frame
from inferno.reach.command import Command
from inferno.reach.terminal import Size

HERE = Path(__file__).parent
FRAMES: list[dict[str, Any]] = json.loads((HERE / "stream_frames.json").read_text())
GUEST = [golden for golden in FRAMES if golden["from"] == "guest"]
WRITE = {
    "stdin": lambda golden: frame.encode(frame.STDIN, bytes.fromhex(golden["payload"])),
    "stdin_end": lambda _: frame.encode(frame.STDIN_END),
    "resize": lambda golden: frame.resize(golden["rows"], golden["cols"]),
    "signal": lambda golden: frame.signal(golden["signal"]),
    "detach": lambda _: frame.encode(frame.DETACH),
}


@pytest.mark.parametrize("golden", [g for g in FRAMES if g["from"] == "host"], ids=lambda golden: golden["frame"])
def test_the_host_writes_the_golden_frames(golden: dict[str, Any]) -> None:
    assert WRITE[golden["frame"]](golden).hex() == golden["bytes"]


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
def test_the_host_reads_the_golden_frames_however_they_arrive(size: int) -> None:
    whole = b"".join(bytes.fromhex(golden["bytes"]) for golden in GUEST)
    reader = frame.Reader()
    read = [each for at in range(0, len(whole), size) for each in reader.feed(whole[at : at + size])]
    assert read[0] == (frame.STDOUT, b"\0\xff\n")
    assert read[1] == (frame.STDERR, b"x")
    assert (read[2][0], frame.window(read[2][1])) == (frame.WINDOW, 65536)
    assert (read[3][0], frame.exit_of(read[3][1])) == (frame.EXIT, frame.Exit(None, 9))


def test_the_host_asks_in_the_golden_words() -> None:
    golden = json.loads((HERE / "guest_api.json").read_text())
    asked = Command(
        ("sh", "-c", "echo grüß dich"), ("GREETING=hello",), "/srv", "nginx:adm", stdin=True, size=Size(24, 80)
    )
    assert json.loads(json.dumps(asked.body())) == golden["exec"]
    assert json.loads(json.dumps(Command(("date",)).body())) == golden["exec_with_defaults"]
    assert json.loads(json.dumps(Command(("/usr/sbin/cron",), detach=True).body())) == golden["exec_detached"]


@pytest.mark.parametrize(
    "head",
    [
        "0000000000000000",  # no kind
        "0100000000000001",  # the host's own
        "1101000000000001",  # not zero
        "1100000000010001",  # too long
        "11000000ffffffff",
        "1300000000000005",  # a window of another size
        "1400000000000101",  # an exit that is a novel
        "485454502f312e31",  # HTTP/1.1
    ],
)
def test_what_is_no_frame_is_refused_by_its_head(head: str) -> None:
    with pytest.raises(InfernoError, match="not a frame of a stream"):
        list(frame.Reader().feed(bytes.fromhex(head)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 200,
        '{"exit_code": 0}',
        '{"exit_code": null, "signal": null}',
        '{"exit_code": 0, "signal": 9}',
        '{"exit_code": 256, "signal": null}',
        '{"exit_code": true, "signal": null}',
        '{"exit_code": null, "signal": 65}',
        '{"exit_code": null, "signal": "9"}',
        '{"exit_code": 0, "signal": null, "more": 1}',
    ],
)
def test_an_end_is_one_code_or_one_signal(text: str) -> None:
    with pytest.raises(InfernoError, match="not a frame of a stream"):
        frame.exit_of(text.encode())
