"""What a user may call an image, and what each means."""

import os
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.image import reference

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "transport", "name", "tag", "digest"),
    [
        ("nginx", "", "docker.io/library/nginx", "latest", None),
        ("nginx:1.27", "", "docker.io/library/nginx", "1.27", None),
        ("team/app", "", "docker.io/team/app", "latest", None),
        ("localhost/app:v1", "", "localhost/app", "v1", None),
        ("registry.example:5000/a/b-c_d.e:T-1", "", "registry.example:5000/a/b-c_d.e", "T-1", None),
        ("127.0.0.1:5000/app", "", "127.0.0.1:5000/app", "latest", None),
        (f"nginx@sha256:{HEX}", "", "docker.io/library/nginx", None, f"sha256:{HEX}"),
        (f"nginx:1@sha256:{HEX}", "", "docker.io/library/nginx", "1", f"sha256:{HEX}"),
        ("docker://nginx:1", "docker", "docker.io/library/nginx", "1", None),
        ("docker-daemon:app:dev", "docker-daemon", "docker.io/library/app", "dev", None),
        ("MyReg/app", "", "MyReg/app", "latest", None),
        ("LOCALHOST/app", "", "LOCALHOST/app", "latest", None),
        ("index.docker.io/a", "", "docker.io/library/a", "latest", None),
        ("docker.io/library/a/b", "", "docker.io/library/a/b", "latest", None),
        ("[2001:DB8::1]:443/a/b:t", "", "[2001:DB8::1]:443/a/b", "t", None),
        (f"{'a' * 255}/b"[-255:], "", f"docker.io/{'a' * 253}/b", "latest", None),
        ("dir:v1", "", "docker.io/library/dir", "v1", None),
        ("oci:/a/b", "oci", "/a/b", None, None),
        ("oci:/a/b:v1", "oci", "/a/b", "v1", None),
        ("oci-archive:/a.tar:v1", "oci-archive", "/a.tar", "v1", None),
        ("docker-archive:/a.tar", "docker-archive", "/a.tar", None, None),
    ],
)
def test_meaning(text: str, transport: str, name: str, tag: str | None, digest: str | None) -> None:
    assert reference.parse(text) == reference.Reference(text, transport, name, tag, digest)


def test_short_and_remote_names() -> None:
    assert reference.parse("nginx").short == "nginx:latest"
    assert reference.parse("nginx").remote == "docker://docker.io/library/nginx:latest"
    assert reference.parse("docker.io/a/b").short == "a/b:latest"
    assert reference.parse(f"a/b:1@sha256:{HEX}").remote == f"docker://docker.io/a/b@sha256:{HEX}"


@pytest.mark.parametrize("text", ["library/a/b", "library/library/a", "docker.io/localhost/a", "docker.io/a.b/c"])
def test_a_short_name_means_the_same(text: str) -> None:
    """It is what the Docker Engine is asked for."""
    parsed = reference.parse(text)
    assert reference.parse(parsed.short).name == parsed.name


@pytest.mark.parametrize(
    ("text", "found"),
    [("0123456789ab", "0123456789ab"), ("docker-daemon:beef", "beef"), (HEX, HEX), ("abc", None), ("beef:v1", None),
     ("docker://beef", None), ("nginx", None), ("a/beef", None), (HEX + "a", None)],
)  # fmt: skip
def test_a_name_of_digits_alone_may_be_an_engines_id(text: str, found: str | None) -> None:
    assert reference.parse(text).engine_id == found


def test_a_file_with_a_colon_in_its_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    parsed = reference.parse(f"oci:{tmp_path}/a:b")
    assert (parsed.name, parsed.tag) == (f"{tmp_path}/a:b", None)


def test_a_relative_path_is_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.parse("oci:./x:v").name == os.path.join(tmp_path, "x")


@pytest.mark.parametrize(
    "text",
    ["", "Nginx", "a b", "nginx:", "nginx:-x", "-x", "a//b", "nginx@sha256:short", "nginx@md5:x", "a\nb", "a\0b",
     "oci:", "x" * 5000, "docker://", "http://a/b", "../x", "nginx:a:b", "a" * 256, f"h.io/{'a' * 128}/{'b' * 128}",
     "a..b/c", "a.-b/c", "[fe80::1%eth0]:5/a"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        reference.parse(text)


def test_a_misspelt_transport_gets_a_guess() -> None:
    with pytest.raises(UsageError) as caught:
        reference.parse("oci-archiv:/tmp/x.tar")
    assert "oci-archive:" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://registry.example/app", "without https://"),
        ("containers-storage:app", "podman save"),
        ("containers-storage:localhost/app:v1", "podman save"),
        ("dir:/images/app", "skopeo copy dir:"),
    ],
)
def test_what_others_call_images_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        reference.parse(text)
    assert hint in str(caught.value.hint)
