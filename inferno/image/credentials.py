"""Logins that a program keeps: the credential helpers which Docker's config.json names, asked as Docker asks them.

skopeo knows `credHelpers` alone, not the `credsStore` that `docker login` uses where there is one; and it would be
started without the variables that helpers of clouds live by.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

from inferno.base import processes
from inferno.base.errors import MissingToolError, UsageError

_TIMEOUT_S = 60
_HUB, _HUB_HOST = "https://index.docker.io/v1/", "docker.io"  # what `docker login` calls Docker Hub
_TOKEN_USER = "<token>"  # docker-credential-helpers: then the secret is an identity token
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def kept(host: str, authfile: str | None) -> dict[str, str] | None:
    """What a helper has for a registry, as `auths` of config.json holds it; None without a helper, or a login there.

    `authfile` is looked at instead of the user's own. Raises UsageError for a helper that is not there, or fails.
    """
    helper = _helper(host, Path(authfile) if authfile else _own())
    if helper is None:
        return None
    asked = _HUB if host == _HUB_HOST else host
    program = f"docker-credential-{helper}"
    try:
        found = processes.run([program, "get"], input=asked.encode(), env=os.environ, check=False, timeout=_TIMEOUT_S)
    except MissingToolError:
        raise UsageError(f"the credential helper {program} is not installed", "config.json names it") from None
    if found.status:
        # The one thing that is not a failure, and how it is told: credentials/error.go of docker-credential-helpers.
        if b"credentials not found" in found.stdout:
            return None
        raise UsageError(f"{program} ended with status {found.status}", f"docker login {host}")
    return _login(found.stdout, program)


def _own() -> Path:
    """The user's file, which skopeo takes too."""
    if file := os.environ.get("REGISTRY_AUTH_FILE"):
        return Path(file)
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path(os.environ.get("HOME", "/root"), ".docker")) / "config.json"


def _helper(host: str, path: Path) -> str | None:
    """The name of the helper for a registry; what is wrong with the file is skopeo's to say."""
    try:
        config = json.loads(path.read_bytes())
        one = (config.get("credHelpers") or {}).get(host) or config.get("credsStore")
    except (OSError, ValueError, AttributeError):
        return None
    return one if isinstance(one, str) and _NAME.fullmatch(one) else None


def _login(said: bytes, program: str) -> dict[str, str] | None:
    try:
        answer: dict[str, Any] = json.loads(said)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{program} answers otherwise than a credential helper does") from None
    if user == _TOKEN_USER:
        return {"identitytoken": secret}
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()} if user else None
