"""Files of `docker save` before Docker 1.10: `repositories` names images by tag, and each layer is an image of its own.

ID/json describes one and names its parent, ID/layer.tar is its layer; there is no manifest.json. Format: Docker image
specification 1.0. These ids are not digests of anything, so the image's own is made of its layers' content.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from inferno.base.errors import UsageError
from inferno.image import layout, manifest, oci_config
from inferno.image.parts import Archive

_ID = r"[0-9a-f]{64}"
# Of the description of an image, what does not go into its configuration: MakeConfigFromV1Config of Docker 1.10.
_NOT_OF_CONFIG = ("id", "parent", "parent_id", "layer_id", "throwaway", "Size")
_MAX_JSON_BYTES = 4 << 20  # of all descriptions that are read for one image
_PIECE_BYTES = 1 << 20


class V1Archive:
    """An archive of this kind. Each layer is read once, for its digest."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._digests: dict[int, str] = {}

    def images(self) -> dict[str, list[str]]:
        """The ids of images, each with its tags; none of what is not an archive of this kind.

        Without a tag it is what is not another's parent. Raises UsageError for a damaged archive.
        """
        tags: dict[str, list[str]] = {}
        names = self._object("repositories") if "repositories" in self._archive.parts else {}
        for name, found in names.items():
            for tag, identity in found.items() if isinstance(found, dict) else ():
                if _is_id(identity):
                    tags.setdefault(identity, []).append(f"{name}:{tag}")
        return tags or {identity: [] for identity in self._tips()}

    def read(self, image: str) -> tuple[list[str], bytes]:
        """The names of an image's layers, from the lowest up, and its configuration as Docker 1.10 made it.

        Raises UsageError when a part of the image is missing.
        """
        chain: list[str] = []
        described: list[dict[str, Any]] = []
        left = _MAX_JSON_BYTES
        identity: object = image
        while _is_id(identity):
            left -= self._archive.part(f"{identity}/json").size
            if len(chain) == manifest.MAX_LAYERS or left < 0:
                raise UsageError(f"{self._archive.ref.name}: an image has more than {manifest.MAX_LAYERS} layers")
            chain.append(f"{identity}/layer.tar")
            described.append(self._object(f"{identity}/json"))
            identity = described[-1].get("parent")
        layers = chain[::-1]
        config = {key: value for key, value in described[0].items() if key not in _NOT_OF_CONFIG}
        config["rootfs"] = {"type": "layers", "diff_ids": [self._digest(layer) for layer in layers]}
        return layers, layout.dump(config)

    def _tips(self) -> list[str]:
        """The ids of images that are not the parents of others."""
        found = [name.removesuffix("/json") for name in self._archive.parts if re.fullmatch(f"{_ID}/json", name)]
        if sum(self._archive.part(f"{identity}/json").size for identity in found) > _MAX_JSON_BYTES:
            raise UsageError(f"{self._archive.ref.name} describes its images in more than {_MAX_JSON_BYTES} bytes")
        parents = {self._object(f"{identity}/json").get("parent") for identity in found}
        return [identity for identity in found if identity not in parents]

    def _digest(self, layer: str) -> str:
        entry = self._archive.part(layer)
        if entry.offset not in self._digests:
            running = hashlib.sha256()
            at, end = entry.offset, entry.offset + entry.size
            while piece := os.pread(self._archive.descriptor, min(_PIECE_BYTES, end - at), at):
                running.update(piece)
                at += len(piece)
            self._digests[entry.offset] = f"sha256:{running.hexdigest()}"
        return self._digests[entry.offset]

    def _object(self, name: str) -> dict[str, Any]:
        try:
            found = oci_config.read_json(self._archive.read(name))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UsageError(f"{self._archive.ref.name}: {name} is not a JSON object", "save the image again")
        return found


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(_ID, value) is not None
