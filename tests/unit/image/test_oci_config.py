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
        assert oci_config.parse(text) == oci_config.ImageConfig()


def test_words_that_are_no_variables_are_passed_over() -> None:
    assert parse(Env=["A=1", "nothing", "=x", ""]).env == ["A=1"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", '{"config": []}', '{"config": {"Cmd": "sh"}}', '{"config": {"Cmd": [1]}}',
     '{"config": {"User": 5}}', '{"config": {"StopSignal": "SIGNONE"}}', '{"config": {"Cmd": ["a\\u0000"]}}',
     '{"config": {"Cmd": ["\\ud800"]}}', '{"config": {"User": "\\udfff"}}',
     '{"config": {"Env": {"A": 1}}}', "[" * 100_000, " " * (5 << 20)],
)  # fmt: skip
def test_malformed_ones_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        oci_config.parse(text)
