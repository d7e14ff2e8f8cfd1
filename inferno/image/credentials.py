"""Logins for registries, put together for skopeo: what `docker login` and `podman login` wrote, and what the credential
helpers say that their files name.

skopeo would ask helpers itself, but it knows `credHelpers` alone, not the `credsStore` that `docker login` uses where
there is one; it would start them without the variables that helpers of clouds live by; and it fails where one fails,
though most images are public. Here a helper or a file that is of no use is told in one line, and passed over.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from pathlib import Path
from typing import Any

from inferno.base import interruption, processes
from inferno.base.errors import MissingToolError, UsageError
from inferno.base.progress import Progress
from inferno.base.text import visible

HELPER_TIMEOUT_S = 30
_MAX_ANSWER_BYTES = 1 << 20
_MAX_WRITTEN_BYTES = 64 << 20  # of any one file: a helper may keep what it fetched
_MAX_FILE_BYTES = 4 << 20
_HUB, _HUB_HOST = "https://index.docker.io/v1/", "docker.io"  # what `docker login` calls Docker Hub
_HUB_NAMES = (_HUB, "index.docker.io", _HUB_HOST, "registry-1.docker.io")
_TOKEN_USER = "<token>"  # docker-credential-helpers: then the secret is an identity token
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# The one answer that is not a failure, and how it is told: credentials/error.go of docker-credential-helpers.
_NOTHING = b"credentials not found"

Auths = dict[str, dict[str, str]]


def collected(host: str, authfile: str | None, tell: Progress) -> str:
    """A file of logins for skopeo, as JSON: all that is known, and for `host` what its helper says.

    `authfile` is looked at instead of the user's own files; then UsageError is raised when it cannot be read.
    """
    auths: Auths = {}
    others: dict[str, str] = {}
    helper = None
    for path in [Path(authfile)] if authfile else _own():
        config = _read(path, tell, must=authfile is not None)
        for name, login in _logins(config, path, host, tell).items():
            auths.setdefault(name, login)
        helper = helper or _helper(config, host)
        others = {**_of_others(config), **others}
    answer = _asked(host, helper, tell) if helper else None
    if answer is not None:
        auths = {name: known for name, known in auths.items() if name not in _names(host)} | {host: answer}
    return json.dumps({"auths": auths, "credHelpers": {name: one for name, one in others.items() if name != host}})


def _own() -> list[Path]:
    """The user's files, the one that counts most first: containers-auth.json(5), and `docker --config`."""
    home = Path(os.environ.get("HOME", "/root"))
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return [Path(named)]
    found = []
    if folder := os.environ.get("DOCKER_CONFIG"):
        found.append(Path(folder, "config.json"))
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    found.append(Path(runtime or f"/run/containers/{os.getuid()}", "containers" if runtime else "", "auth.json"))
    found.append(Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json"))
    if not os.environ.get("DOCKER_CONFIG"):
        found.append(home / ".docker/config.json")
    return found


def _read(path: Path, tell: Progress, *, must: bool) -> dict[str, Any]:
    """The file's content; nothing where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES)
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError
    except FileNotFoundError as error:
        if not must:
            return {}
        reason = str(error.strerror)
    except OSError as error:
        reason = str(error.strerror)
    except (ValueError, RecursionError):
        reason = "it is not a JSON object"
    else:
        return config
    if must:
        raise UsageError(f"the logins in {path} cannot be read: {reason}", "--authfile FILE, or docker login")
    tell(f"the logins in {visible(str(path))} cannot be read: {reason}; going on without them")
    return {}


def _logins(config: dict[str, Any], path: Path, host: str, tell: Progress) -> Auths:
    """The logins in a file, as skopeo reads them. An empty one says that a helper has it."""
    auths = config.get("auths")
    found: Auths = {}
    for name, entry in auths.items() if isinstance(auths, dict) else ():
        login = _login(entry)
        if login:
            found[name] = login
        elif entry != {} and name in _names(host):
            tell(f"the login for {visible(host)} in {visible(str(path))} is damaged; going on without it")
    return found


def _login(entry: Any) -> dict[str, str] | None:
    """One login of a file: USER:PASSWORD in base64, an identity token, or both words by themselves."""
    if not isinstance(entry, dict):
        return None
    auth, token = entry.get("auth"), entry.get("identitytoken")
    user, password = entry.get("username"), entry.get("password")
    login = {}
    if isinstance(auth, str) and auth:
        auth = auth.translate({10: None, 13: None})  # Go's base64 passes over ends of lines
        try:
            if b":" not in base64.b64decode(auth, validate=True):
                return None
        except (binascii.Error, ValueError):
            return None
        login["auth"] = auth
    elif isinstance(user, str) and isinstance(password, str) and user and _is_utf8(user, password):
        login["auth"] = _encoded(user, password)
    if isinstance(token, str) and token:
        login["identitytoken"] = token
    return login or None


def _names(host: str) -> set[str]:
    """What a registry is called in files of logins."""
    hosts = _HUB_NAMES if host == _HUB_HOST else (host,)
    bare = [f"{scheme}{each}" for each in hosts for scheme in ("", "http://", "https://")]
    return {f"{each}{end}" for each in bare for end in ("", "/", "/v1/", "/v2/")} | set(hosts)


def _helper(config: dict[str, Any], host: str) -> str | None:
    """The helper that a file names for a registry."""
    helpers = config.get("credHelpers")
    own = next((helpers[name] for name in helpers if name in _names(host)), None) if isinstance(helpers, dict) else None
    found = own or config.get("credsStore")
    return str(found) if found else None


def _of_others(config: dict[str, Any]) -> dict[str, str]:
    """Helpers for registries, as mirrors are, that are here: skopeo asks them, and fails without them."""
    import shutil

    helpers = config.get("credHelpers")
    return {
        name: each
        for name, each in (helpers.items() if isinstance(helpers, dict) else ())
        if isinstance(each, str) and _NAME.fullmatch(each) and shutil.which(f"docker-credential-{each}")
    }


def _asked(host: str, helper: str, tell: Progress) -> dict[str, str] | None:
    """What a helper has for a registry, as `auths` holds it."""
    program = f"docker-credential-{helper}"
    if not _NAME.fullmatch(helper):
        problem = "has a name that no program has"
    else:
        try:
            status, said = _run(program, _HUB if host == _HUB_HOST else host)
        except MissingToolError:
            problem = "is not installed"
        except OSError as error:
            problem = f"cannot be run: {error.strerror}"
        else:
            login = _answered(said) if status == 0 else None
            if login:
                return login
            problem = _problem(status, said)
    tell(f"the credential helper {visible(program)[:80]} {problem}; asking {host} without a login of its")
    return None


def _problem(status: int | None, said: bytes) -> str:
    """What a helper did instead of its work; never a word of what it said, which may be a secret."""
    if status is None:
        return f"did not answer within {HELPER_TIMEOUT_S} s"
    if _NOTHING in said[:_MAX_ANSWER_BYTES]:
        return "has no login"
    if status == 0:
        return "answers otherwise than a credential helper does"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _run(program: str, asked: str) -> tuple[int | None, bytes]:
    """Status and answer; no status when it was not done in time. Its answer goes to a file in memory, of a limited
    size: one that never ends ends the helper."""
    memory = [os.memfd_create(name) for name in ("asked", "answer")]
    try:
        os.write(memory[0], asked.encode())
        os.lseek(memory[0], 0, os.SEEK_SET)
        process = processes.spawn(
            [program, "get"], stdin=memory[0], stdout=memory[1], stderr=processes.DEVNULL, env=os.environ
        )
        try:
            processes.limit_files(process, _MAX_WRITTEN_BYTES)
            with interruption.ends(process):
                status = processes.wait(process, HELPER_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        interruption.check()
        return status, os.pread(memory[1], _MAX_ANSWER_BYTES, 0)
    finally:
        for descriptor in memory:
            os.close(descriptor)


def _answered(said: bytes) -> dict[str, str] | None:
    try:
        answer = {name.lower(): value for name, value in json.loads(said).items()}  # in any case, as Docker reads it
        user, secret = answer["username"], answer["secret"]
    except (ValueError, KeyError, AttributeError, RecursionError):
        return None
    if not (isinstance(user, str) and isinstance(secret, str) and user and secret and _is_utf8(user, secret)):
        return None
    return {"identitytoken": secret} if user == _TOKEN_USER else {"auth": _encoded(user, secret)}


def _is_utf8(*words: str) -> bool:
    """Whether no word has half of a surrogate pair, which JSON can write."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
