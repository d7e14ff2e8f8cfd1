"""What an image's configuration says, and what is refused in one."""

import json
import signal
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import oci_config


def parse(**inner: Any) -> oci_config.ImageConfig:
    return oci_config.parse(json.dumps({"architecture": "amd64", "os": "linux", "config": inner}))


def test_all_that_is_honoured() -> None:
    found = parse(
        Entrypoint=["/e"], Cmd=["c"], Env=["A=b=c", "B="], WorkingDir="/w", User="1:2", StopSignal="SIGQUIT",
        ExposedPorts={"80/tcp": {}, "53/udp": {}}, Volumes={"/data": {}}, Healthcheck={"Test": ["NONE"]},
    )  # fmt: skip
    assert (found.entrypoint, found.cmd, found.env) == (["/e"], ["c"], ["A=b=c", "B="])
    assert (found.working_dir, found.user, found.stop_signal) == ("/w", "1:2", signal.SIGQUIT)
    assert (found.exposed_ports, found.volumes) == (["53/udp", "80/tcp"], ["/data"])
    assert found.healthcheck == {"Test": ["NONE"]}


def test_nothing_said_is_nothing() -> None:
    for text in ("{}", '{"config": null}', '{"config": {"Cmd": null, "Env": null, "User": null}}'):
        found = oci_config.parse(text)
        assert [value or None for value in found] == [value or None for value in oci_config.ImageConfig()]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", '{"config": []}', '{"config": {"Cmd": {"sh": 1}}}', '{"config": {"Cmd": [1]}}',
     '{"config": {"User": 5}}', '{"config": {"StopSignal": 15}}', '{"config": {"Cmd": ["a\\u0000"]}}',
     '{"config": {"Env": {"A": 1}}}', "[" * 100_000, " " * (5 << 20)],
)  # fmt: skip
def test_malformed_ones_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        oci_config.parse(text)


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, []), ([], []), ([""], []), ("", []), ("/run me", ["/run me"]), (["a", ""], ["a", ""]),
     (["/a", "b c"], ["/a", "b c"])],
)  # fmt: skip
def test_a_command_in_every_form_that_images_have(value: Any, words: list[str]) -> None:
    """Docker's strslice takes one text for one word."""
    found = parse(Entrypoint=value, Cmd=value)
    assert (found.entrypoint, found.cmd, found.notes) == (words, words, [])


def test_texts_are_read_as_go_reads_them() -> None:
    """encoding/json puts U+FFFD for what is not UTF-8 and for half of a surrogate pair, and "" for null."""
    found = oci_config.parse(b'{"author": "\xe9", "config": {"Cmd": ["\xff", "\\ud800x", null], "User": "\\udfff"}}')
    assert (found.cmd, found.user) == (["\ufffd", "\ufffdx", ""], "\ufffd")
    assert parse(Env=["A=1", None]).env == ["A=1"]


def test_a_field_is_found_in_any_case_and_first_in_the_right_one() -> None:
    found = oci_config.parse(
        '{"Architecture": "arm64", "CONFIG": {"cmd": ["/a"], "workingdir": "/w", "USER": "x", "User": "1"}}'
    )
    assert (found.architecture, found.cmd, found.working_dir, found.user) == ("arm64", ["/a"], "/w", "1")


def test_what_docker_ignores_is_ignored_without_a_word() -> None:
    ignored = {"Shell": ["/bin/bash", "-c"], "OnBuild": ["RUN x"], "ArgsEscaped": True, "Labels": {"a": "b"},
               "Hostname": "x", "Domainname": "", "AttachStdin": False, "Tty": True, "Image": "sha256:x", "Unknown": 1,
               "MacAddress": "", "NetworkDisabled": False, "Memory": 0}  # fmt: skip
    assert parse(**ignored, Cmd=["/a"]) == parse(Cmd=["/a"])
    assert oci_config.parse(json.dumps({"history": "odd", "created": 5, "variant": 1, "os.features": 3})).notes == []


def test_ports_that_no_process_could_name_are_left_out() -> None:
    assert parse(ExposedPorts={"80/tcp": {}, "\udc80": {}, "\0": {}}).exposed_ports == ["80/tcp"]


def test_variables_that_are_none_are_named_and_passed_over() -> None:
    found = parse(Env=["A=1", "nothing", "=x", "", "A=2"])
    assert found.env == ["A=1", "A=2"]
    assert found.notes == ["variables without a name or a value are passed over: 'nothing', '=x', ''"]
    [note] = parse(Env=["\x1b[2J" + "y" * 1000] * 1000).notes
    assert len(note) < 600
    assert note.isprintable()
    assert note.endswith(" and 995 more")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ""),
        ("/w", "/w"),
        ("w/x", "/w/x"),
        (None, ""),
        ("./w", "/w"),
        ("/a/../../b//", "/b"),
        ("..", "/"),
        ("//w", "/w"),
        (".", "/"),
    ],
)
def test_a_working_directory_is_from_the_root(given: str | None, found: str) -> None:
    assert parse(WorkingDir=given).working_dir == found


def test_volumes_are_absolute_and_come_once() -> None:
    declared = ["/b", "/a", "/a/", "//a/./b/..", "/c d/é", "relative", "/", "", "/../..", "/\0", "/\udc80", "."]
    found = parse(Volumes={path: {} for path in declared})
    assert found.volumes == ["/a", "/b", "/c d/é"]
    [note] = found.notes
    assert note.startswith("volumes that are not absolute paths below / are passed over: ''")
    assert note.isprintable()
    assert parse(Volumes={"/a/../../b": {}}).volumes == ["/b"]
    with pytest.raises(UsageError, match="1001 volumes; 1000 are allowed"):
        parse(Volumes={f"/{number}": {} for number in range(1001)})


@pytest.mark.parametrize("test", [["CMD", "true"], ["CMD-SHELL", "x"], "odd"])
def test_a_health_check_is_named(test: Any) -> None:
    assert parse(Healthcheck={"Test": test}).notes == ["health check is not run yet"]


@pytest.mark.parametrize("check", [None, {}, {"Test": ["NONE"]}, {"Test": []}, {"Interval": 5}])
def test_no_health_check_is_not(check: Any) -> None:
    assert parse(Healthcheck=check).notes == []
