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
    assert reference.parse(f"a/b:1@sha256:{HEX}").remote == f"docker://docker.io/a/b@sha256:{HEX}"


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
     "oci:", "x" * 5000, "docker://", "http://a/b", "../x", "nginx:a:b"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        reference.parse(text)


def test_a_misspelt_transport_gets_a_guess() -> None:
    with pytest.raises(UsageError) as caught:
        reference.parse("oci-archiv:/tmp/x.tar")
    assert "oci-archive:" in str(caught.value.hint)
