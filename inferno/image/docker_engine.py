"""Images of the Docker Engine here (DOCKER_HOST, else its usual socket), through the docker SDK.

Most engines have no manifest to name an image by before it was pushed, so their own id does: the digest of the
configuration, which holds the digests of all layers' content. One that keeps images as registries do (containerd's
store) has the manifest, but its id may be that of an index, which BuildKit writes anew with every build, time and all.
What was saved to be looked at is kept until the base is made of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.base.progress import quiet
from inferno.image import archive, docker_socket, layout, parts, platforms, reference
from inferno.image.layers.decompress import Blob
from inferno.image.reference import Reference
from inferno.image.source import Ask, Image
from inferno.state.paths import Paths

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_S = 60


def resolve(ask: Ask, *, must: bool) -> Image | None:
    """The image as the engine has it; None when it has none and it is not a `must`.

    Raises UsageError when the engine does not answer, or has no such image.
    """
    found = _id(ask, must=must)
    if found is None:
        return None
    known = _known(ask, found)
    if known is not None:
        return known
    with contextlib.ExitStack() as held:
        saved, image = _checked(_save(ask, found, held), ask, found)
        _keep(ask, saved, image)
        return image


def seen(ask: Ask) -> str | None:
    """The engine's id of the image; of one for another platform, that it is that: looked up again, it is refused."""
    try:
        return _id(ask._replace(progress=quiet), must=False)
    except platforms.OtherPlatformError as error:
        return error.text


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    saved = _take_kept(ask, image.digest, held) or _save(ask, image.seen, held)
    saved, found = _checked(saved, ask, image.seen)
    if found.digest != image.digest:
        raise _another(found.digest, image.digest)
    return archive.layers_of(saved, found)


def _known(ask: Ask, identity: str) -> Image | None:
    """The image of the engine's id, when that was seen before."""
    from inferno.image import local_images

    stamp = local_images.stamp(ask.ref.text, ask.settings, ask.access.platform)
    digest = stamp.digest if stamp and (stamp.place, stamp.seen) == ("engine", identity) else identity
    known = local_images.image(digest, ask.settings)
    return Image(digest, *known, "engine", identity) if known else None


def _checked(saved: parts.Archive, ask: Ask, wanted: str) -> tuple[parts.Archive, Image]:
    """The image of the id in what the engine sent, and that as an archive of the kind it is."""
    found = archive.look(saved, ask, wanted)
    if found.digest != wanted:
        name = archive.blob_name(wanted)
        if name not in saved.parts:
            raise _another(found.digest, wanted)
        saved = saved._replace(ref=saved.ref._replace(transport=reference.OCI_ARCHIVE))
        index = [{"digest": wanted, "size": saved.part(name).size}]
        inside = ask._replace(ref=saved.ref)
        found = layout.from_index(index, inside, lambda blob: archive.read_blob(saved, blob), "engine")
    return saved, Image(found.digest, found.manifest, found.config, "engine", wanted)


def _another(found: str, wanted: str) -> UsageError:
    return UsageError(f"the Docker Engine sent another image: {found}, not {wanted}", "run it again")


def _keep(ask: Ask, saved: parts.Archive, image: Image) -> None:
    """What was saved, unless the base is there already."""
    from inferno.image import base

    kept = _kept(ask, image.digest)
    if not base.is_intact(image.digest, ask.settings):
        kept.parent.mkdir(exist_ok=True)
        kept.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # by another of its names, at the same time
            files.give_name(saved.descriptor, kept)


def _kept(ask: Ask, digest: str) -> Path:
    return Paths(ask.settings.root).image(digest) / "saved.tar"


def _take_kept(ask: Ask, digest: str, held: contextlib.ExitStack) -> parts.Archive | None:
    """What was saved of the image, if it was. It loses its name, and so goes from the disk with its last user."""
    kept = _kept(ask, digest)
    try:
        descriptor = files.open_regular(kept)
    except FileNotFoundError:
        return None
    held.callback(os.close, descriptor)
    kept.unlink(missing_ok=True)
    return parts.index(_as_file(ask.ref), descriptor, os.fstat(descriptor).st_size)


def _save(ask: Ask, wanted: str, held: contextlib.ExitStack) -> parts.Archive:
    """`docker save` into a file without a name. Raises UsageError for an image that is too large."""
    ref, max_mib = ask.ref, ask.settings.image_max_mib
    descriptor = held.enter_context(files.nameless(Paths(ask.settings.root).images))
    size = 0
    with _client() as client, _explained(ref):
        for piece in client.api.get_image(wanted):
            size += len(piece)
            if size > max_mib << 20:
                raise UsageError(f"image {ref.short} is larger than {max_mib} MiB", "INFERNO_IMAGE_MAX_MB")
            files.write_all(descriptor, piece)
            ask.progress(f"copy {ref.short} from the Docker Engine", size)
    return parts.index(_as_file(ref), descriptor, size)


def _as_file(ref: Reference) -> Reference:
    return Reference(ref.text, reference.DOCKER_ARCHIVE, f"the Docker Engine's {ref.short}")


def _id(ask: Ask, *, must: bool) -> str | None:
    ref = ask.ref
    if not must and not _configured():
        return None
    try:
        found = _inspected(ref, ref.short)
        if found is None and ref.engine_id:  # as Docker: what is not a name may be an id
            found = _inspected(ref, ref.engine_id)
    except UsageError as error:
        if must:
            raise
        ask.progress(f"{error.text}; asking the registry for {ref.short}")
        return None
    if found is None:
        if must:
            raise UsageError(f"the Docker Engine has no image {ref.short}", "docker images")
        return None
    identity = found.get("Id")
    if not isinstance(identity, str):
        raise UsageError(f"the Docker Engine has an image {ref.short} without an id")
    made_for = platforms.of_image({name.lower(): found.get(name) for name in ("Os", "Architecture", "Variant")})
    if made_for is not None and platforms.fit(made_for, ask.access.platform) is None:
        # As Docker: for another platform than the engine's image has, a registry is asked.
        if must or ask.access.platform is None:
            raise platforms.refusal(ref.text, ask.access.platform, [made_for])
        return None
    return identity


def _inspected(ref: Reference, name: str) -> dict[str, object] | None:
    """What the engine says of the image of a name, or an id; None when it has none.

    Raises UsageError when it does not answer.
    """
    path = docker_socket.path()
    if path is not None:
        if not os.path.exists(path):
            raise UsageError(f"there is no Docker Engine at {path}", "is dockerd running? or DOCKER_HOST")
        return docker_socket.inspect(path, name)
    import docker

    with _client() as client, _explained(ref):
        try:
            found: dict[str, object] = client.api.inspect_image(name)  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            return None
        return found


def _configured() -> bool:
    """Whether there is any engine to ask, without loading its library."""
    return bool(os.environ.get("DOCKER_HOST")) or os.path.exists(docker_socket.DEFAULT)


@contextlib.contextmanager
def _client() -> Iterator[DockerClient]:
    if not _configured():
        raise UsageError(
            "there is no Docker Engine here", f"is dockerd running? {docker_socket.DEFAULT}, or DOCKER_HOST"
        )
    import docker

    try:
        client = docker.from_env(timeout=_TIMEOUT_S)
    except docker.errors.DockerException as error:
        raise UsageError(f"the Docker Engine cannot be used: {_last(error)}", "is dockerd running?") from None
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def _explained(ref: Reference) -> Iterator[None]:
    import docker
    import requests

    try:
        yield
    except docker.errors.ImageNotFound:
        raise UsageError(f"the Docker Engine has no image {ref.short}", "docker images") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise UsageError(f"the Docker Engine does not answer: {_last(error)}", "is dockerd running?") from None


def _last(error: Exception) -> str:
    """The system's own word, where there is one: the libraries wrap it four times, with all of their names."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
