"""From plain values to the files of a version: the golden files, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from inferno.base.errors import UsageError
from inferno.spec import create_options
from inferno.spec.create_options import Spec
from inferno.state.slot import Slot
from inferno.wire import models, render
from tests.asked import everything

GOLDEN = Path(__file__).resolve().parents[2] / "contract"
ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"


class Image(NamedTuple):
    entrypoint: list[str]
    cmd: list[str]
    env: list[str]
    working_dir: str
    user: str
    volumes: list[str]


NGINX = Image(
    ["/docker-entrypoint.sh"], ["nginx", "-g", "daemon off;"], ["GREETING=hello"], "/", "", ["/var/cache/nginx"]
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@example.org"


def run(spec: Spec, image: Image = NGINX) -> models.Run:
    return render.run(
        "web1",
        spec,
        image,
        Slot(0),
        machine_id="00112233445566778899aabbccddeeff",
        ssh_keys=[KEY],
    )


def test_all_examples_together_are_the_golden_files() -> None:
    golden = models.Run.model_validate_json((GOLDEN / "run.json").read_text())
    spec = create_options.merge(None, everything(), "web1")
    assert run(spec) == golden.model_copy(update={"id": "web1", "files": []})  # which no option asks for
    assert models.dump(render.firecracker(spec, Slot(0))) == (GOLDEN / "firecracker.json").read_text()
    assert models.dump(render.kiln(ULID)) == (GOLDEN / "kiln.json").read_text()


def test_kiln_is_told_to_log_its_own_steps() -> None:
    assert render.kiln(ULID, debug=True).log.debug


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "args"),
    [
        (None, None, ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"]),
        (None, ["nginx", "-t"], ["/docker-entrypoint.sh", "nginx", "-t"]),
        (["/bin/sh"], None, ["/bin/sh"]),
        ([], ["nginx", "-t"], ["nginx", "-t"]),
    ],
)
def test_entrypoint_and_command_are_joined_as_docker_does(
    entrypoint: list[str] | None, cmd: list[str] | None, args: list[str]
) -> None:
    assert run(Spec("nginx", entrypoint=entrypoint, cmd=cmd)).process.args == args


@pytest.mark.parametrize(
    ("hostname", "names"),
    [
        (None, ["web1"]),
        ("web1", ["web1"]),
        ("box", ["box", "web1"]),
        ("box.example.org", ["box.example.org", "box", "web1"]),
        ("web1.example.org", ["web1.example.org", "web1"]),
    ],
)
def test_a_guest_knows_its_host_name_whole_and_short(hostname: str | None, names: list[str]) -> None:
    assert [host.names for host in run(Spec("nginx", hostname=hostname)).etc_hosts] == [names]


@pytest.mark.parametrize(("asked", "user"), [(None, "web"), ("", "web"), ("0", "0"), ("1000:1000", "1000:1000")])
def test_no_user_is_the_images(asked: str | None, user: str) -> None:
    image = NGINX._replace(user="web")
    assert run(Spec("nginx", user=asked), image).process.user == user


def test_a_process_without_a_program_is_refused() -> None:
    for spec, entrypoint in ((Spec("scratch"), []), (Spec("scratch", cmd=[""]), []), (Spec("scratch"), ["", "x"])):
        with pytest.raises(UsageError, match="image 'scratch' names no program to run"):
            run(spec, Image(entrypoint, [], [], "", "", []))
    assert run(Spec("nginx", entrypoint=["/bin/echo"], cmd=[""])).process.args == ["/bin/echo", ""]


def test_an_image_that_asks_for_what_no_guest_can_give_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the user of image 'nginx', '4294967296': a number is out of range"):
        run(Spec("nginx"), NGINX._replace(user="4294967296"))
    assert run(Spec("nginx", user="0"), NGINX._replace(user="4294967296")).process.user == "0"
    with pytest.raises(UsageError, match=r"image 'nginx': an argument or variable has 131074 bytes"):
        run(Spec("nginx"), NGINX._replace(env=[f"A={'x' * 131072}"]))


def test_a_host_name_has_no_underscore() -> None:
    made = render.run("test_alpine_latest", Spec("nginx"), NGINX, Slot(0), machine_id="0" * 32, ssh_keys=[])
    assert (made.id, made.hostname) == ("test_alpine_latest", "test-alpine-latest")
    assert [host.names for host in made.etc_hosts] == [["test-alpine-latest"]]
