"""Registries that want to know who asks: logins, files of them, and credential helpers, for real, on loopback."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, local_images
from inferno.image.source import Access
from inferno.settings import Settings, load_settings
from tests import images
from tests.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.slow]
SECRET = "s3cret-of-the-tests"
# As docker-credential-helpers has it: the verb is the argument, the registry comes on standard input.
HELPER = """#!/bin/sh
read -r asked
echo "$1 $asked" >> {folder}/asked
[ "$1 $asked" = "get {host}" ] || exit 9
{answer}
"""
GOOD = f"""echo '{{"ServerURL": "x", "Username": "me", "Secret": "{SECRET}"}}'"""
HELPERS = {
    "wrong": """echo '{"Username": "me", "Secret": "another-s3cret"}'""",
    "without": "echo credentials not found in native keychain; exit 1",
    "failing": "echo the s3cret service does not answer; exit 3",
    "babbling": """echo '{"Secret": "s3cret"}'""",
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with Registry(folder / "data", users={"me": SECRET}) as running:
        layout = images.build(folder / "layout", [[images.file("a", os.urandom(100_000))]], Cmd=["/x"])
        running.push(layout, "private:v1", "--dest-creds", f"me:{SECRET}")
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


@pytest.fixture
def ref(registry: Registry) -> str:
    return f"docker://{registry.host}/private:v1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without logins."""
    folder = tmp_path / "home"
    (folder / ".docker").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def check_unseen(secret: str, folder: Path) -> None:
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_passwords_are_needed_kept_and_never_seen(ref: str, settings: Settings) -> None:
    with pytest.raises(UsageError, match="does not let you have") as caught:
        local_images.ensure(ref, settings)
    assert "--creds" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        local_images.ensure(ref, settings, Access(credentials="me:wrong-secret"))
    assert "wrong-secret" not in f"{caught.value.text} {caught.value.hint}"
    made = local_images.ensure(ref, settings, Access(credentials=f"me:{SECRET}"))
    base.ensure(ref, settings, Access(credentials=f"me:{SECRET}"))
    assert made.place == "registry"
    assert SECRET not in repr(Access(credentials=SECRET))
    check_unseen(SECRET, settings.root)


@pytest.mark.parametrize("where", ["authfile", "home", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"])
def test_a_file_of_docker_login_does(
    where: str, ref: str, registry: Registry, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = base64.b64encode(f"me:{SECRET}".encode()).decode()
    path = (home / ".docker" if where == "home" else home) / "config.json"
    path.write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    if where == "DOCKER_CONFIG":
        monkeypatch.setenv(where, str(path.parent))
    elif where == "REGISTRY_AUTH_FILE":
        monkeypatch.setenv(where, str(path))
    local_images.ensure(ref, settings, Access(authfile=str(path) if where == "authfile" else None))
    base.ensure(ref, settings)
    check_unseen(secret, settings.root)


def helper(registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str = GOOD) -> None:
    """docker-credential-tests, on PATH."""
    program = folder / "bin/docker-credential-tests"
    program.parent.mkdir()
    program.write_text(HELPER.format(folder=folder, host=registry.host, answer=answer))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore", "authfile"])
def test_a_credential_helper_is_asked(
    kind: str, ref: str, registry: Registry, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(registry, home, monkeypatch)
    value = {registry.host: "tests"} if kind == "credHelpers" else "tests"
    access = Access(authfile=str(home / "logins.json")) if kind == "authfile" else Access()
    path = Path(access.authfile or home / ".docker/config.json")
    path.write_text(json.dumps({kind.replace("authfile", "credsStore"): value, "auths": {registry.host: {}}}))
    local_images.ensure(ref, settings, access)
    base.ensure(ref, settings, access)
    assert (home / "asked").read_text() == f"get {registry.host}\n", "once for all that is asked of the registry"
    check_unseen(SECRET, settings.root)


@pytest.mark.parametrize(
    ("helps", "says"),
    [("missing", "docker-credential-tests is not installed"), ("wrong", "does not let you have"),
     ("without", "does not let you have"), ("failing", "docker-credential-tests ended with status 3"),
     ("babbling", "answers otherwise")],
)  # fmt: skip
def test_a_helper_that_does_not_help_is_one_line(
    helps: str, says: str, ref: str, registry: Registry, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if helps != "missing":
        helper(registry, home, monkeypatch, HELPERS[helps])
    (home / ".docker/config.json").write_text(json.dumps({"credsStore": "tests"}))
    with pytest.raises(UsageError, match=says) as caught:
        local_images.ensure(ref, settings)
    assert "\n" not in caught.value.text
    assert "s3cret" not in f"{caught.value.text} {caught.value.hint}"
    assert not settings.root.exists()
