"""start.json: written as the golden file has it, for what reads it, and never beyond what kiln takes."""

import json
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.base.records import BadRecordError
from inferno.wire import secrets, start
from inferno.wire.start import Host, Resolv

CONTRACT = Path(__file__).parents[2] / "contract"
RUN = "01JD8ZM0G7C4R1X6B9T2W5Y8HE"


def test_the_golden_file_is_what_a_start_writes(tmp_path: Path) -> None:
    golden = (CONTRACT / "start.json").read_bytes()
    assert start.text(RUN, Resolv(["9.9.9.9"], ["example.org"], ["ndots:1"]), [Host("192.0.2.7", ["db"])]) == golden
    assert start.run_of(CONTRACT / "start.json") == RUN
    assert start.run_of(tmp_path / "none") is None
    (tmp_path / "torn").write_bytes(golden[:40])
    assert start.run_of(tmp_path / "torn") is None


def test_it_is_one_line_whatever_the_host_has() -> None:
    line = start.text(RUN, Resolv(["9.9.9.9"], ["\n\r\x85\u2028"], ["ü"]), [])
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_one_that_kiln_would_refuse_is_not_written() -> None:
    with pytest.raises(UsageError, match="more than 64 KiB of name servers"):
        start.text(RUN, Resolv([], ["x" * 65536], []), [])


def test_this_release_and_the_one_before_are_known_by_their_kiln_json(tmp_path: Path) -> None:
    golden = json.loads((CONTRACT / "kiln.json").read_text())
    assert start.format_for(CONTRACT / "kiln.json") == 2
    in_between = tmp_path / "between.json"
    in_between.write_text(json.dumps({**golden, "format": 2}))
    assert start.format_for(in_between) == 1
    before = tmp_path / "before.json"
    before.write_text(json.dumps({key: value for key, value in golden.items() if key != "format"}))
    assert start.format_for(before) is None


@pytest.mark.parametrize("number", [0, 4, 2**40])
def test_a_version_of_another_inferno_is_named_as_such(tmp_path: Path, number: int) -> None:
    other = tmp_path / "kiln.json"
    other.write_text(json.dumps({"format": number, "unheard of": True}))
    with pytest.raises(UsageError, match=rf"of another Inferno \(format {number}; this one starts 1 to 3\)"):
        start.format_for(other)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "2"}', '{"format": true}'])
def test_what_is_no_kiln_json_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "kiln.json").write_text(text)
    with pytest.raises(BadRecordError):
        start.format_for(tmp_path / "kiln.json")


def test_only_a_kiln_that_knows_secrets_is_told_of_them() -> None:
    resolv = Resolv([], [], [])
    assert json.loads(start.text(RUN, resolv, [], secrets=True))["secrets"] is True
    before = json.loads(start.text(RUN, resolv, [], number=1))
    assert before == {"format": 1, "run": RUN, "etc_resolv": resolv._asdict(), "etc_hosts": []}
    assert [start.takes_secrets(number) for number in (None, 1, 2)] == [False, False, True]


def test_the_golden_message_is_what_a_start_hands_over() -> None:
    golden = (CONTRACT / "secrets.json").read_bytes()
    assert secrets.text({"db_password": b"hunter2\xff\n"}, ["TOKEN=grüß dich=1"]) == golden


def test_a_message_that_kiln_would_refuse_is_refused_before() -> None:
    most = 1024 * 1024
    shell = len(secrets.text({}, ["A="]))
    assert len(secrets.text({}, ["A=" + "x" * (most - shell)])) == most
    with pytest.raises(UsageError, match="take 1024 KiB, and at most 1024 KiB are handed to a guest"):
        secrets.text({}, ["A=" + "x" * (most - shell + 1)])
