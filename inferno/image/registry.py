"""Images of registries, by skopeo: it knows every form of authentication, and checks every digest as it comes.

Blobs are kept in images/blobs, shared by all images, under their digests; skopeo fetches only those that are missing.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from inferno import run
from inferno.config import Settings
from inferno.errors import InfernoError, UsageError
from inferno.image import config, layout, manifest
from inferno.image.manifest import Descriptor, Manifest
from inferno.image.reference import Reference
from inferno.image.source import Image, Layer, open_part
from inferno.log import Progress
from inferno.paths import Paths

_INSPECT_TIMEOUT_S = 60
_COPY_TIMEOUT_S = 3600
_POLICY = Path("/etc/containers/policy.json")
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "REGISTRY_AUTH_FILE")
# As Docker: a registry on this very host needs no TLS. Any other does.
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")


def resolve(ref: Reference, settings: Settings, progress: Progress, *, must: bool) -> Image:
    """Ask the registry, and fetch what is not here yet. Raises UsageError when it cannot be had."""
    progress(f"ask the registry for {ref.short}")
    text = _inspect(ref, ref.remote, ref.digest)
    found = manifest.parse(text)
    if not isinstance(found, Manifest):
        wanted = manifest.choose(found, ref.text)
        text = _inspect(ref, f"docker://{ref.name}@{wanted.digest}", wanted.digest)
        found = manifest.parse(text)
        if not isinstance(found, Manifest):
            raise UsageError(f"image {ref.text} has an index in its index")
    _fetch(ref, found, settings, progress)
    return Image(found.digest, text, _config(ref, found, settings), "registry", found.digest)


def seen(ref: Reference, settings: Settings) -> str | None:
    """Only the registry knows, and it is asked only when the user wants it so."""
    return None


def layers(
    ref: Reference, image: Image, settings: Settings, progress: Progress, held: contextlib.ExitStack
) -> list[Layer]:
    found = manifest.parse(image.manifest)
    assert isinstance(found, Manifest)
    _fetch(ref, found, settings, progress)
    return [
        Layer(*open_part(held, _blob(settings, layer.digest)), layer.digest, diff_id)
        for layer, diff_id in layout.with_diff_ids(image)
    ]


def _fetch(ref: Reference, image: Manifest, settings: Settings, progress: Progress) -> None:
    """Bring the layers that are not here. A killed fetch leaves whole blobs, and nothing else that counts."""
    missing = [layer for layer in image.layers if not _is_whole(settings, layer)]
    if not missing:
        return
    images = Paths(settings.root).images
    images.mkdir(parents=True, exist_ok=True)
    for layer in missing:  # one that is there, but of the wrong size, would be taken for whole
        _blob(settings, layer.digest).unlink(missing_ok=True)
    total = sum(layer.size for layer in missing) >> 20
    progress(f"fetch {ref.short}: {len(missing)} layers, {total} MiB")
    with tempfile.TemporaryDirectory(prefix=".fetch.", suffix=".tmp", dir=images) as folder:
        options = ["--dest-shared-blob-dir", os.fspath(images / "blobs"), "--dest-oci-accept-uncompressed-layers"]
        source = f"docker://{ref.name}@{image.digest}"
        argv = [*_skopeo(_COPY_TIMEOUT_S), "copy", "--quiet", *_tls(ref, "--src-tls-verify"), *options, source]
        with _explained(ref):
            run.run([*argv, f"oci:{folder}:image"], env=_environment(), timeout=_COPY_TIMEOUT_S + 60)
    for layer in missing:
        if not _is_whole(settings, layer):
            raise UsageError(
                f"image {ref.text} has a layer that the registry does not hand out: {layer.digest}",
                "it is a foreign one, which only its maker may distribute",
            )


def _config(ref: Reference, image: Manifest, settings: Settings) -> bytes:
    known = Paths(settings.root).image(image.digest) / "config.json"
    with contextlib.suppress(OSError):
        text = known.read_bytes()
        if manifest.digest_of(text) == image.config.digest:
            return text
    argv = [*_skopeo(_INSPECT_TIMEOUT_S), "inspect", "--raw", "--config", *_tls(ref, "--tls-verify")]
    with _explained(ref):
        text = run.run([*argv, f"docker://{ref.name}@{image.digest}"], env=_environment()).stdout
    config.parse(text)
    return layout.check_blob(text, image.config, ref)


def _inspect(ref: Reference, remote: str, digest: str | None) -> bytes:
    argv = [*_skopeo(_INSPECT_TIMEOUT_S), "inspect", "--raw", *_tls(ref, "--tls-verify"), remote]
    with _explained(ref):
        text = run.run(argv, env=_environment(), timeout=_INSPECT_TIMEOUT_S + 10).stdout
    if digest is not None and manifest.digest_of(text) != digest:
        raise UsageError(f"the registry sent another manifest for {remote}", "is there a proxy in between?")
    return text


def _skopeo(timeout_s: int) -> list[str]:
    policy = [] if _POLICY.exists() else ["--insecure-policy"]
    return ["skopeo", "--command-timeout", f"{timeout_s}s", *policy]


def _tls(ref: Reference, option: str) -> list[str]:
    return [f"{option}=false"] if _LOOPBACK.fullmatch(ref.name.partition("/")[0]) else []


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


@contextlib.contextmanager
def _explained(ref: Reference) -> Iterator[None]:
    """skopeo's words as one line that says what to do."""
    host = ref.name.partition("/")[0]
    try:
        yield
    except run.CommandError as error:
        said = error.output.lower()
        if "manifest unknown" in said or "name unknown" in said or "not found" in said.rpartition("manifest")[2]:
            raise UsageError(f"{host} has no image {ref.short}", "check the name and the tag") from None
        if any(word in said for word in ("unauthorized", "authentication required", "denied", "no basic auth")):
            raise UsageError(f"{host} does not let you have {ref.short}", f"docker login {host}") from None
        if "no space left" in said:
            raise InfernoError("no space left on the disk of the images", "free some, or move INFERNO_ROOT") from None
        raise UsageError(f"image {ref.short} cannot be had from {host}: {_last(error.output)}") from None
    except InfernoError as error:
        if error.status == 1:
            raise UsageError(f"{host} does not answer: {error.text}") from None
        raise


def _last(text: str) -> str:
    """The core of a line of skopeo's: time="…" level=fatal msg="…: …: the reason"."""
    line = text.strip().splitlines()[-1] if text.strip() else "skopeo said nothing"
    found = re.search(r'msg="(.*)"', line)
    return (found[1] if found else line).replace('\\"', '"')[-300:]


def _is_whole(settings: Settings, layer: Descriptor) -> bool:
    """Its digest was checked as it came, and is checked again when it is read."""
    try:
        return _blob(settings, layer.digest).stat().st_size == layer.size
    except FileNotFoundError:
        return False


def _blob(settings: Settings, digest: str) -> Path:
    return Paths(settings.root).images / "blobs" / "sha256" / digest.removeprefix("sha256:")
