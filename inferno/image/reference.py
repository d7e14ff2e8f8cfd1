"""What a user may call an image: the transports of containers-transports(5), and Docker's short names.

nginx  nginx:1.27  registry.example:5000/team/app@sha256:…     the local Docker Engine's, else the registry's
docker-daemon:REF                                              the local Docker Engine's, only
docker://REF                                                   the registry's, only
oci:DIR[:TAG]  oci-archive:FILE[:TAG]  docker-archive:FILE[:REF]   each also with @sha256:… behind it
"""

from __future__ import annotations

import os
import re
from typing import Final

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple

ANY, ENGINE, REGISTRY = "", "docker-daemon", "docker"
OCI, OCI_ARCHIVE, DOCKER_ARCHIVE = "oci", "oci-archive", "docker-archive"
_FILES: Final = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)
_DEFAULT_REGISTRY = "docker.io"
# distribution/reference: the grammar of names, tags and digests.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_NAME = rf"(?:(?P<host>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_LIKE_DIGEST = r"[a-z0-9]+:[0-9a-f]{32,}"  # a path may have an @ too
_MAX_CHARS = 4096
_MAX_PATH_CHARS = 255  # distribution/reference: RepositoryNameTotalLengthMax
_ENGINE_ID = r"[0-9a-f]{4,64}"  # `docker images` shows 12 digits
# Transports of containers-transports(5) that are not read here, and how their images can be had.
_OTHERS: Final = {
    "containers-storage": "podman save --format oci-archive -o FILE NAME, then oci-archive:FILE",
    "dir": "skopeo copy dir:FOLDER oci:OTHER, then oci:OTHER",
    "ostree": "skopeo copy ostree:… oci:FOLDER, then oci:FOLDER",
    "sif": "skopeo copy sif:FILE oci:FOLDER, then oci:FOLDER",
}


class Reference(NamedTuple):
    """A parsed reference. `name` is a path for the transports of files, else host/path; `tag` what came behind it.

    `digest` pins a manifest, or in a docker-archive a configuration; it is of an algorithm that is known here.
    """

    text: str
    transport: str
    name: str
    tag: str | None = None
    digest: str | None = None

    @property
    def is_local_file(self) -> bool:
        return self.transport in _FILES

    @property
    def name_and_tag(self) -> tuple[str, str | None]:
        return self.name, self.tag

    @property
    def short(self) -> str:
        """As Docker shows it: without the default registry, where it is taken for the same without."""
        name = self.name
        path = name.removeprefix(f"{_DEFAULT_REGISTRY}/")
        for shorter in (path, path.removeprefix("library/")):
            found = re.fullmatch(_NAME, shorter)
            if found and _complete(found) == self.name:
                name = shorter
        return f"{name}@{self.digest}" if self.digest else f"{name}:{self.tag}"

    @property
    def engine_id(self) -> str | None:
        """What may be the beginning of an engine's id: a name of such digits alone, without host, tag or digest."""
        word = self.text.removeprefix(f"{ENGINE}:") if self.transport in (ANY, ENGINE) else ""
        return word if re.fullmatch(_ENGINE_ID, word) else None

    @property
    def remote(self) -> str:
        """As skopeo wants it: docker://host/path, with the digest or the tag (both together are refused there)."""
        return f"docker://{self.name}@{self.digest}" if self.digest else f"docker://{self.name}:{self.tag}"


def parse(text: str) -> Reference:
    """Read a reference. Raises UsageError, with a guess for a misspelt transport; looks at no file."""
    if not text or len(text) > _MAX_CHARS or "\0" in text or "\n" in text:
        raise UsageError(f"bad image reference {text[:80]!r}", "for example: --image nginx:latest")
    if text.startswith("docker://"):
        return _named(text, REGISTRY, text.removeprefix("docker://"))
    transport, colon, rest = text.partition(":")
    if transport == ENGINE and colon:
        return _named(text, ENGINE, rest)
    if transport in _FILES and colon:
        return _file(text, transport, rest)
    if colon and transport in _OTHERS and (transport == "containers-storage" or not re.fullmatch(_TAG, rest)):
        raise UsageError(f"image {text!r}: {transport}: is not read here", _OTHERS[transport])
    if colon and not re.fullmatch(_TAG, rest):
        from inferno.base import guess  # a misspelt transport, perhaps

        if near := guess.near(transport, [ENGINE, *_FILES]):
            raise UsageError(f"unknown transport {transport!r} in image {text!r}", f"did you mean {near}:{rest} ?")
    return _named(text, ANY, text)


def _file(text: str, transport: str, rest: str) -> Reference:
    """PATH[:TAG][@DIGEST], or PATH:NAME:TAG in a docker-archive. The longest path that is there is the path."""
    digest = None
    head, at, last = rest.rpartition("@")
    if at and re.fullmatch(_LIKE_DIGEST, last) and not os.path.exists(rest):
        rest, digest = head, _checked(last, text)
    colons = [at for at, char in enumerate(rest) if char == ":"]
    ends = [len(rest), *reversed(colons)]
    guess = colons[0] if transport == DOCKER_ARCHIVE and colons else colons[-1] if colons else len(rest)
    end = next((end for end in ends if os.path.exists(rest[:end])), guess)
    path, tag = rest[:end], rest[end + 1 :]
    if not path:
        raise UsageError(f"image {text!r} names no file", f"{transport}:PATH")
    try:
        return Reference(text, transport, os.path.abspath(path), tag or None, digest)
    except FileNotFoundError:
        raise UsageError(
            f"image {text!r}: the folder this runs in is gone", "cd to another, or give a whole path"
        ) from None


def _named(text: str, transport: str, rest: str) -> Reference:
    name, at, digest = rest.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    name = f"{head}{slash}{last}"
    found = re.fullmatch(_NAME, name)
    if at:
        _checked(digest, text)
    if not found or (colon and not re.fullmatch(_TAG, tag)):
        if scheme := re.match(r"https?://", rest):
            raise UsageError(f"bad image reference {text!r}", f"without {scheme[0]}")
        hint = "NAME[:TAG] or NAME@sha256:DIGEST, in lower case; or TRANSPORT:… (see infernoctl create --help)"
        raise UsageError(f"bad image reference {text!r}", hint)
    complete = _complete(found)
    if len(complete.partition("/")[2]) > _MAX_PATH_CHARS:
        raise UsageError(f"image reference {text[:80]!r}… has a name of more than {_MAX_PATH_CHARS} characters")
    return Reference(text, transport, complete, tag or (None if at else "latest"), digest or None)


def _checked(digest: str, text: str) -> str:
    from inferno.image import digests

    return digests.check(digest, f"the digest in image reference {text!r}")


def _complete(found: re.Match[str]) -> str:
    """host/path as Docker completes it: a first part is a host that is localhost, or has a dot, a colon or capitals."""
    host, path = found["host"], found["path"]
    if host and not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
        host, path = None, f"{host}/{path}"
    if host in (None, "index.docker.io"):
        host = _DEFAULT_REGISTRY
    if host == _DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"
