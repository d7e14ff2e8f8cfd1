"""Registries that want to know who asks: logins, files of them, and credential helpers, for real, on loopback."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, credentials, local_images
from inferno.image.source import Access
from inferno.settings import Settings, load_settings
from tests import images
from tests.registry import Registry


def registries(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that runs a registry."""
    return pytest.mark.root(pytest.mark.slow(test))


SECRET = "s3cret-of-the-tests"
# As docker-credential-helpers has it: the verb is the argument, the registry comes on standard input.
HELPER = """#!/bin/sh
read -r asked
echo "$1 $asked" >> {folder}/asked
[ "$1 $asked" = "get {host}" ] || exit 9
{answer}
"""
GOOD = f"""echo '{{"ServerURL": "x", "Username": "me", "Secret": "{SECRET}"}}'"""
# What a helper does instead of its work, and what is said of it.
USELESS = {
    "missing": (None, "is not installed"),
    "nothing": ("echo credentials not found in native keychain; exit 1", "has no login"),
    "nothing in other words": ("echo No stored credential for this server; exit 1", "ended with status 1"),
    "an empty answer": ("exit 0", "answers otherwise"),
    "no user": ("""echo '{"Secret": "s3cret"}'""", "answers otherwise"),
    "empty words": ("""echo '{"Username": "", "Secret": ""}'""", "answers otherwise"),
    "numbers": ("""echo '{"Username": 1, "Secret": 2}'""", "answers otherwise"),
    "half of a pair": (r"""printf '{"Username": "\\ud800", "Secret": "s3cret"}'""", "answers otherwise"),
    "a list": ("""echo '["s3cret"]'""", "answers otherwise"),
    "nonsense": ("head -c 2000 /dev/urandom", "answers otherwise"),
    "failing": ("echo the s3cret service does not answer; exit 3", "ended with status 3"),
    "killed": ("kill -9 $$", "was killed by signal 9"),
    "endless": ("exec cat /dev/zero", "was killed by signal 25"),
    "hanging": ("sleep 1000 & wait", "did not answer within 1 s"),
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
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def check_unseen(secret: str, folder: Path) -> None:
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


@registries
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


@registries
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


def helper(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str = GOOD) -> None:
    """docker-credential-tests, on PATH."""
    program = folder / "bin/docker-credential-tests"
    program.parent.mkdir()
    program.write_text(HELPER.format(folder=folder, host=host, answer=answer))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@registries
@pytest.mark.parametrize("kind", ["credHelpers", "credsStore", "authfile"])
def test_a_credential_helper_is_asked(
    kind: str, ref: str, registry: Registry, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(registry.host, home, monkeypatch)
    value = {registry.host: "tests"} if kind == "credHelpers" else "tests"
    access = Access(authfile=str(home / "logins.json")) if kind == "authfile" else Access()
    path = Path(access.authfile or home / ".docker/config.json")
    path.write_text(json.dumps({kind.replace("authfile", "credsStore"): value, "auths": {registry.host: {}}}))
    local_images.ensure(ref, settings, access)
    base.ensure(ref, settings, access)
    assert (home / "asked").read_text() == f"get {registry.host}\n", "once for all that is asked of the registry"
    check_unseen(SECRET, settings.root)


class Told(list[str]):
    """The lines that a person sees."""

    def __call__(self, what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        self.append(what)


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore"])
@pytest.mark.parametrize("does", USELESS)
def test_a_helper_of_no_use_is_told_and_passed_over(
    does: str, kind: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, (answer, says) = "registry.example:5000", USELESS[does]
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT_S", 1 if does == "hanging" else 60)
    if answer is not None:
        helper(host, home, monkeypatch, answer)
    (home / ".docker/config.json").write_text(json.dumps({kind: {host: "tests"} if kind == "credHelpers" else "tests"}))
    told = Told()
    found = json.loads(credentials.collected(host, None, told))
    assert found == {"auths": {}, "credHelpers": {}}, "skopeo is not to ask it again"
    [line] = told
    assert says in line
    assert "docker-credential-tests" in line
    assert "\n" not in line
    assert "s3cret" not in line


@pytest.mark.parametrize("program", ["", "not a program", "#!/nowhere\n"])
def test_a_helper_that_cannot_be_run_is_told_too(program: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper("h", home, monkeypatch)
    (home / "bin/docker-credential-tests").write_text(program)
    (home / ".docker/config.json").write_text('{"credsStore": "tests"}')
    told = Told()
    assert json.loads(credentials.collected("h", None, told))["auths"] == {}
    assert len(told) == 1


def test_a_helpers_name_is_not_a_path(home: Path) -> None:
    (home / ".docker/config.json").write_text('{"credsStore": "../../bin/sh"}')
    told = Told()
    credentials.collected("h", None, told)
    assert "has a name that no program has" in told[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"text"',
        "null",
        "\0\0",
        '{"auths": []}',
        '{"auths": {"h": 1}}',
        '{"auths": {"h": {"auth": 5}}}',
        '{"auths": {"h": {"auth": "%%%"}}}',
        '{"auths": {"h": {"auth": "czNjcmV0"}}}',
        '{"credHelpers": [], "auths": {"h": []}}',
    ],
)
def test_a_damaged_file_is_told_and_passed_over(text: str, home: Path) -> None:
    """And what another file says is taken: podman's, here."""
    (home / ".docker/config.json").write_text(text)
    podman = home / ".config/containers/auth.json"
    podman.parent.mkdir(parents=True)
    podman.write_text('{"auths": {"h": {"auth": "bWU6czNjcmV0"}}}')
    told = Told()
    assert json.loads(credentials.collected("h", None, told))["auths"] == {"h": {"auth": "bWU6czNjcmV0"}}
    assert len(told) == (0 if text == '{"auths": []}' else 1), told
    assert not any("s3cret" in line or "czNj" in line for line in told)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_file_that_was_asked_for_must_be_good(text: str | None, home: Path) -> None:
    if text is not None:
        (home / "file").write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        credentials.collected("h", str(home / "file"), Told())


def test_every_form_of_a_login_is_passed_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the files of docker and podman, the first that has one; of registries that may be mirrors, too."""
    auths = {
        "h": {"auth": "bWU6czNjcmV0"},
        "token.example": {"auth": "PHRva2VuPjo=", "identitytoken": "t"},
        "words.example": {"username": "me", "password": "s3cret"},
        "halves.example": {"username": "me", "password": "\ud800"},
        "lines.example": {"auth": "bWU6czNj\r\ncmV0\n"},
        "https://index.docker.io/v1/": {"auth": "bWU6czNjcmV0"},
        "helped.example": {},
    }
    helper("other.example", home, monkeypatch)
    config = {"auths": auths, "credHelpers": {"other.example": "tests", "gone.example": "gone"}}
    (home / ".docker/config.json").write_text(json.dumps(config))
    first = home / "run/containers/auth.json"
    first.parent.mkdir(parents=True)
    first.write_text('{"auths": {"h": {"auth": "cG9kbWFuOnM="}}}')
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    told = Told()
    found = json.loads(credentials.collected("h", None, told))
    words = {"auth": base64.b64encode(b"me:s3cret").decode()}
    expected = {name: login for name, login in auths.items() if login and name != "halves.example"}
    changed = {"h": {"auth": "cG9kbWFuOnM="}, "words.example": words, "lines.example": words}
    assert found["auths"] == expected | changed
    assert found["credHelpers"] == {"other.example": "tests"}
    assert told == []


@pytest.mark.parametrize("answer", ['{"username": "me", "secret": "s"}', '{"USERNAME": "me", "Secret": "s", "x": 1}'])
def test_a_helper_may_answer_in_any_case(answer: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Docker reads it, by Go's library."""
    helper("h", home, monkeypatch, f"echo '{answer}'")
    (home / ".docker/config.json").write_text('{"credsStore": "tests"}')
    found = json.loads(credentials.collected("h", None, Told()))
    assert found["auths"] == {"h": {"auth": base64.b64encode(b"me:s").decode()}}


def test_docker_hub_is_asked_for_by_its_old_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper("https://index.docker.io/v1/", home, monkeypatch)
    old = {"auths": {"https://index.docker.io/v1/": {"auth": "b2xkOm9sZA=="}}, "credsStore": "tests"}
    (home / ".docker/config.json").write_text(json.dumps(old))
    login = {"auth": base64.b64encode(f"me:{SECRET}".encode()).decode()}
    assert json.loads(credentials.collected("docker.io", None, Told()))["auths"] == {"docker.io": login}


@registries
@pytest.mark.parametrize("does", ["missing", "failing"])
def test_a_public_image_is_had_whatever_the_helper_does(
    does: str, settings: Settings, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(tmp_path / "registry") as public:
        public.push(images.build(tmp_path / "layout", [[images.file("a")]], Cmd=["/x"]), "public:v1")
        if answer := USELESS[does][0]:
            helper(public.host, home, monkeypatch, answer)
        (home / ".docker/config.json").write_text(json.dumps({"credHelpers": {public.host: "tests"}}))
        told = Told()
        local_images.ensure(f"docker://{public.host}/public:v1", settings, progress=told)
    assert sum("docker-credential-tests" in line for line in told) == 1


@registries
def test_a_private_image_is_refused_with_both_lines(
    ref: str, registry: Registry, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(registry.host, home, monkeypatch, """echo '{"Username": "me", "Secret": "another-s3cret"}'""")
    (home / ".docker/config.json").write_text(json.dumps({"credsStore": "tests"}))
    with pytest.raises(UsageError, match="does not let you have") as caught:
        local_images.ensure(ref, settings)
    assert "\n" not in caught.value.text
    assert "s3cret" not in f"{caught.value.text} {caught.value.hint}"
    assert not settings.root.exists()
