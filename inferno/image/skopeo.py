"""Asks registries through skopeo: forms of authentication, mirrors (registries.conf) and own CAs (certs.d) are its.

Secrets go by a file without a name, never by arguments; what skopeo says comes back as one line and a hint.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from inferno.base import files, interruption, processes
from inferno.base.errors import InfernoError, UsageError
from inferno.base.progress import Progress
from inferno.base.text import visible
from inferno.image import credentials, skopeo_proxy
from inferno.image.reference import Reference
from inferno.image.source import Access, NotThereError
from inferno.settings import Settings
from inferno.state.paths import Paths

_INSPECT_TIMEOUT_S = 60
_COPY_TIMEOUT_S = 3600
_REDRAW_S = 0.2
# After a failure that may not come again. Docker fetches a layer up to five times; skopeo 1.9 once, unless the registry
# says 429, when it waits as that says.
PAUSES_S = (1, 3)
_MIN_BLOB_BYTES = 8 << 20  # manifest and configuration are among them, up to 4 MiB each
_POLICY = Path("/etc/containers/policy.json")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_PASSED_ON = (*_PROXIES, "SSL_CERT_DIR")
_NOWHERE = "/nonexistent"
_SILENT = ("connection refused", "no such host", "network is unreachable", "i/o timeout", "deadline exceeded")
# A server that is overloaded or restarts, and a connection that was cut, in the words of skopeo 1.9 to 1.18.
_PASSING = re.compile(
    r"(?:http status|status code from registry|statuscode):? 50[0234]"
    r"|unexpected eof|: eof\b|connection reset by peer|broken pipe|goaway|stream error"
)
# As Docker: a registry on this very host needs no TLS. Any other does, unless it is named in the settings.
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")


# The last is of a proxy that answers by a page of its own.
_NOT_THERE = ("manifest unknown", "name unknown", "manifest not found", "statuscode: 404")

Answer = TypeVar("Answer")


class SilentError(UsageError):
    """The registry does not answer; the image may be well."""


class Skopeo:
    """What one user may ask of one registry."""

    def __init__(self, ref: Reference, access: Access, settings: Settings, tell: Progress) -> None:
        self._ref, self._access, self._tell = ref, access, tell
        self._host = ref.name.partition("/")[0]
        self._images = Paths(settings.root).images
        self._plain = bool(_LOOPBACK.fullmatch(self._host)) or self._host in settings.insecure_registries

    def manifest(self, digest: str | None = None) -> bytes:
        """The manifest, or index, of the reference or of a digest, as the registry has it."""
        return self._inspect(["--raw"], digest)

    def config(self, digest: str) -> bytes:
        """The configuration of the image whose manifest has this digest; both are named by sha256 there."""
        return self._inspect(["--raw", "--config"], digest)

    def copy(
        self, digest: str, folder: Path, blobs: Path, what: str, wanted: dict[Path, int], progress: Progress
    ) -> None:
        """Fetch an image's blobs that are not in `blobs` yet. `folder` is empty; unfinished blobs are in it meanwhile.

        `wanted` has the size of each, in bytes, by its place. Raises UsageError when the registry does not let it be
        had, or sends more.
        """
        options = ["--dest-shared-blob-dir", os.fspath(blobs), "--dest-oci-accept-uncompressed-layers"]

        def attempt() -> None:
            with self._authfile("--src-authfile") as (auth, passed), files.nameless(folder) as said:
                argv = [*_skopeo(_COPY_TIMEOUT_S), "copy", "--quiet", *self._tls("--src-tls-verify"), *auth, *options]
                argv += [self._remote(digest), f"oci:{folder}:image"]
                copy = processes.spawn(
                    argv,
                    stdout=processes.DEVNULL,
                    stderr=said,
                    env=_environment(),
                    pass_fds=passed,
                    die_with_parent=True,
                )
                # It reads a blob to its end, then compares: a registry that never ends would fill the disk.
                processes.limit_files(copy, max(*wanted.values(), _MIN_BLOB_BYTES))
                status = _watch(copy, folder, wanted, what, progress)
                if status is None:
                    raise UsageError(f"{self._host} sends more of {self._ref.short} than its manifest says")
                if status:
                    raise processes.CommandError(argv, processes.Result(status, b"", os.pread(said, 1 << 16, 0)))

        with self._explained():
            self._again_if_it_passes(attempt)

    @contextlib.contextmanager
    def proxy(self) -> Iterator[skopeo_proxy.Proxy]:
        """What brings blobs of the reference's repository by any digest; `copy` knows sha256's alone."""
        with self._authfile("--authfile") as (auth, passed), self._explained():
            argv = [*_skopeo(_COPY_TIMEOUT_S), "experimental-image-proxy", *self._tls("--tls-verify"), *auth]
            with skopeo_proxy.running(argv, self._ref.remote, _environment(), passed, _COPY_TIMEOUT_S) as proxy:
                yield proxy

    def _inspect(self, options: list[str], digest: str | None) -> bytes:
        def attempt() -> bytes:
            with self._authfile("--authfile") as (auth, passed):
                argv = [*_skopeo(_INSPECT_TIMEOUT_S), "inspect", *options, *self._tls("--tls-verify"), *auth]
                argv += [self._remote(digest) if digest else self._ref.remote]
                return processes.run(argv, env=_environment(), timeout=_INSPECT_TIMEOUT_S + 10, pass_fds=passed).stdout

        with self._explained():
            return self._again_if_it_passes(attempt)

    def _again_if_it_passes(self, attempt: Callable[[], Answer]) -> Answer:
        """What an attempt gives, the next one where one fails for a moment. Whole blobs that it brought are there."""
        for pause_s in PAUSES_S:
            try:
                return attempt()
            except processes.CommandError as error:
                if not _PASSING.search(error.output.lower()):
                    raise
                self._tell(f"{visible(self._host)} is cut off or overloaded; asking again in {pause_s} s")
                interruption.wait_for(functools.partial(time.sleep, pause_s))
        return attempt()

    def _remote(self, digest: str) -> str:
        return f"docker://{self._ref.name}@{digest}"

    def _tls(self, option: str) -> list[str]:
        return [f"{option}=false"] if self._plain else []

    @functools.cached_property
    def _logins(self) -> bytes:
        """As Docker's config.json holds them."""
        if self._access.credentials is None:
            return credentials.collected(self._host, self._access.authfile, self._tell).encode()
        login = {"auth": base64.b64encode(self._access.credentials.encode()).decode()}
        return json.dumps({"auths": {self._host: login}}).encode()

    @contextlib.contextmanager
    def _authfile(self, option: str) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        """The option that names the file with the secrets, and the descriptors that skopeo has to inherit for it."""
        memory = os.memfd_create("auth")
        try:
            os.write(memory, self._logins)
            yield [option, f"/proc/self/fd/{memory}"], (memory,)
        finally:
            os.close(memory)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """skopeo's words as one line that says what to do."""
        host, image = self._host, self._ref.short
        try:
            yield
        except processes.CommandError as error:
            said = error.output.lower()
            if "file too large" in said:  # EFBIG
                raise UsageError(f"{host} sends more of {image} than its manifest says") from None
            if any(words in said for words in _NOT_THERE):
                raise NotThereError(f"{host} has no image {image}", "check the name and the tag") from None
            if any(word in said for word in ("unauthorized", "authentication required", "denied", "no basic auth")):
                hint = f"docker login {host}, or --creds USER"
                raise NotThereError(f"{host} does not let you have {image}", hint) from None
            if "error getting credentials" in said:  # and what a helper said may be a secret
                raise UsageError(f"a credential helper for a mirror of {host} fails", "docker login") from None
            if "no space left" in said:
                raise files.disk_full(self._images) from None
            if any(words in said for words in _SILENT):
                reason = _last(error.output).rpartition(": ")[2]
                raise SilentError(f"{host} does not answer: {reason}", "is the name right, and does it run?") from None
            raise UsageError(f"image {image} cannot be had from {host}: {_last(error.output)}", _hint(said)) from None
        except InfernoError as error:
            if error.status == 1:
                raise SilentError(f"{host} does not answer: {error.text}") from None
            raise


def _watch(
    copy: processes.Popen[bytes], folder: Path, wanted: dict[Path, int], what: str, progress: Progress
) -> int | None:
    """Wait for the end, and tell how far it is meanwhile: the only measure is what is on the disk.

    Returns the status, or None when what is there became more than is wanted, and it was ended: it fetches six blobs at
    a time, each of which may be as long as the longest.
    """
    total = sum(wanted.values())
    try:
        while True:
            whole = {path: _size(path) for path in wanted}
            unfinished = _bytes(folder)
            if unfinished > total + _MIN_BLOB_BYTES or any(whole[path] > size for path, size in wanted.items()):
                return None
            progress(what, min(total, sum(whole.values()) + unfinished), total)
            status = processes.wait(copy, _REDRAW_S)
            if status is not None:
                return status
    finally:
        copy.kill()
        copy.wait()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    return total


def _skopeo(timeout_s: int) -> list[str]:
    policy = [] if _POLICY.exists() else ["--insecure-policy"]
    # By its option, which is not in its help: Debian 12's skopeo does not know the variable.
    aliases = os.environ.get("CONTAINERS_REGISTRIES_CONF")
    own = ["--registries-conf", aliases] if aliases else []
    return ["skopeo", "--command-timeout", f"{timeout_s}s", *policy, *own]


def _environment() -> dict[str, str]:
    """Without the user's own files of logins: skopeo 1.9 looks into these too when --authfile has none, and asks the
    helpers that they name."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    hidden = {"DOCKER_CONFIG": _NOWHERE}
    if Path(os.environ.get("HOME", "/root"), ".config/containers/auth.json").exists():
        hidden["XDG_CONFIG_HOME"] = _NOWHERE
    return passed | hidden


def _last(text: str) -> str:
    """The core of a line of skopeo's: time="…" level=fatal msg="…: …: the reason"."""
    line = text.strip().splitlines()[-1] if text.strip() else "skopeo said nothing"
    found = re.search(r'msg="(.*)"', line)
    return (found[1] if found else line).replace('\\"', '"')[-300:]


def _hint(said: str) -> str | None:
    if "toomanyrequests" in said or "too many requests" in said:
        return "docker login raises the registry's limit, or wait, or use a mirror"
    if "unsupported schema version 2" in said:
        return "the registry serves the manifest under another media type than its own"
    if "invalid status code from registry 404" in said and "pinging" in said:
        return "what answers there is not a registry"
    if "server gave http response to https client" in said:
        return "a registry without TLS must be named in INFERNO_INSECURE_REGISTRIES"
    if "x509" in said or "certificate" in said:
        return "put the registry's CA into /etc/containers/certs.d/HOST/ca.crt"
    return None
