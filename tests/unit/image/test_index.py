"""Choosing in indexes: tags, digests, platforms, indexes in indexes; in layouts, and in archives of both kinds."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import catalog, check, index, local_images, reference, source
from inferno.image.source import Access
from inferno.settings import Settings, load_settings
from inferno.spec import platform
from tests import images

INDEX = "application/vnd.oci.image.index.v1+json"
HERE = platform.of_host().partition("/")[2]
OTHER = "s390x"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


class Layout:
    """A layout that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.blobs = folder, folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def image(self, word: str, machine: str | None, *, tag: str | None = None, **declared: str) -> dict[str, Any]:
        """An image that says `word`. `declared` is the platform of its entry, beside that of its configuration."""
        config = {"os": "linux", "config": {"Cmd": [word]}} | ({"architecture": machine} if machine else {})
        manifest = {
            "schemaVersion": 2,
            "config": images.put(self.blobs, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [],
        }
        kind = "application/vnd.oci.image.manifest.v1+json"
        entry = images.put(self.blobs, json.dumps(manifest).encode(), kind)
        return tagged(entry | ({"platform": {"os": "linux", **declared}} if declared else {}), tag)

    def index(self, *entries: dict[str, Any], tag: str | None = None) -> dict[str, Any]:
        text = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return tagged(images.put(self.blobs, json.dumps(text).encode(), INDEX), tag)

    def hold(self, *entries: dict[str, Any]) -> str:
        """Write index.json; return the layout's reference."""
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        return f"oci:{self.folder}"


def tagged(entry: dict[str, Any], tag: str | None) -> dict[str, Any]:
    return entry | ({"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def said(ref: str, settings: Settings, asked: str | None = None) -> str:
    """What the chosen image says."""
    found = source.resolve(source.Ask(reference.parse(ref), Access(asked), settings))
    return str(json.loads(found.config)["config"]["Cmd"][0])


@pytest.mark.parametrize("last", [HERE, OTHER])
@pytest.mark.parametrize("declared", [True, False])
def test_one_tag_at_the_images_of_two_machines(layout: Layout, settings: Settings, last: str, declared: bool) -> None:
    machines = [machine for machine in (HERE, OTHER) if machine != last] + [last]
    more = [{"architecture": machine} if declared else {} for machine in machines]
    entries = [layout.image(name, name, tag="v1", **also) for name, also in zip(machines, more, strict=True)]
    ref = layout.hold(*entries)
    for name in (f"{ref}:v1", ref):
        assert said(name, settings) == HERE
        assert said(name, settings, f"linux/{OTHER}") == OTHER
    with pytest.raises(UsageError, match="not made for linux/riscv64") as caught:
        said(f"{ref}:v1", settings, "linux/riscv64")
    assert f"linux/{HERE}, linux/{OTHER}" in str(caught.value.hint)


def test_one_tag_at_two_images_for_one_machine_needs_a_digest(layout: Layout, settings: Settings) -> None:
    entries = [layout.image(word, HERE, tag="v1") for word in ("one", "two")]
    ref = layout.hold(*entries, entries[0])
    with pytest.raises(UsageError, match="several images 'v1'") as caught:
        said(f"{ref}:v1", settings)
    for entry, word in zip(entries, ("one", "two"), strict=True):
        assert entry["digest"] in str(caught.value.hint)
        assert said(f"{ref}@{entry['digest']}", settings) == word
        assert said(f"{ref}:v1@{entry['digest']}", settings) == word


def test_several_tags_need_one_and_are_listed(layout: Layout, settings: Settings) -> None:
    one, two = layout.image("one", HERE, tag="one"), layout.image("two", HERE, tag="two")
    ref = layout.hold(one, two, layout.image("other", OTHER, tag="other"))
    with pytest.raises(UsageError, match="holds several images") as caught:
        said(ref, settings)
    assert "one, other, two" in str(caught.value.hint)
    assert (said(f"{ref}:one", settings), said(f"{ref}:two", settings)) == ("one", "two")
    with pytest.raises(UsageError, match="no image 'three'") as caught:
        said(f"{ref}:three", settings)
    assert "one, other, two" in str(caught.value.hint)
    with pytest.raises(UsageError, match=f"not made for linux/{HERE}"):
        said(f"{ref}:other", settings)


def test_tags_of_different_machines_are_not_chosen_among(layout: Layout, settings: Settings) -> None:
    ref = layout.hold(
        layout.image("here", HERE, tag="a", architecture=HERE),
        layout.image("other", OTHER, tag="b", architecture=OTHER),
    )
    with pytest.raises(UsageError, match="several images"):
        said(ref, settings)


def test_one_image_under_two_tags_is_one_image(layout: Layout, settings: Settings) -> None:
    assert said(layout.hold(layout.image("one", HERE, tag="a"), layout.image("one", HERE, tag="b")), settings) == "one"


def test_without_tags_the_digests_are_listed(layout: Layout, settings: Settings) -> None:
    entries = [layout.image(word, HERE) for word in ("one", "two")]
    ref = layout.hold(*entries)
    with pytest.raises(UsageError, match="several images") as caught:
        said(ref, settings)
    assert all(f"@{entry['digest']}" in str(caught.value.hint) for entry in entries)


def test_an_index_beside_its_own_parts_is_one_image(layout: Layout, settings: Settings) -> None:
    """As `skopeo copy --all` writes it: every part without a tag and a platform, the index of them with the tag."""
    parts = [layout.image(name, name) for name in (OTHER, HERE)]
    whole = [part | {"platform": {"os": "linux", "architecture": name}} for part, name in zip(parts, (OTHER, HERE))]  # noqa: B905
    ref = layout.hold(*parts, layout.index(*whole, tag="v1"))
    assert said(ref, settings) == said(f"{ref}:v1", settings) == HERE
    assert said(ref, settings, f"linux/{OTHER}") == OTHER
    assert said(f"{ref}@{parts[0]['digest']}", settings, f"linux/{OTHER}") == OTHER


def test_whole_names_are_tags_too(layout: Layout, settings: Settings) -> None:
    """podman writes the whole name as the tag; containerd writes it beside the tag, which two images then share."""
    ref = layout.hold(layout.image("podman", HERE, tag="docker.io/library/app:v1"))
    for tag in ("docker.io/library/app:v1", "app:v1", "v1"):
        assert said(f"{ref}:{tag}", settings) == "podman"
    entries = [layout.image(word, HERE, tag="v1") for word in ("web", "app")]
    for entry, word in zip(entries, ("web", "app"), strict=True):
        entry["annotations"]["io.containerd.image.name"] = f"docker.io/library/{word}:v1"
    ref = layout.hold(*entries)
    assert (said(f"{ref}:web:v1", settings), said(f"{ref}:app:v1", settings)) == ("web", "app")
    with pytest.raises(UsageError, match="several images 'v1'"):
        said(f"{ref}:v1", settings)


@pytest.mark.parametrize("declared", [True, False])
def test_another_machines_image_is_refused_unless_it_is_asked_for(
    layout: Layout, settings: Settings, declared: bool
) -> None:
    ref = layout.hold(layout.image("other", OTHER, **({"architecture": OTHER} if declared else {})))
    with pytest.raises(UsageError, match=f"image {ref} is not made for linux/{HERE}") as caught:
        local_images.ensure(ref, settings)
    assert f"--platform linux/{OTHER}" in str(caught.value.hint)
    assert not settings.root.exists()
    assert said(ref, settings, f"linux/{OTHER}") == "other"


def test_an_image_that_does_not_say_what_it_is_made_for_will_do(layout: Layout, settings: Settings) -> None:
    assert said(layout.hold(layout.image("any", None)), settings) == "any"


def test_what_stands_beside_images_is_passed_over(layout: Layout, settings: Settings) -> None:
    notes = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    beside = [
        layout.image("attested", None, architecture="unknown")
        | {"platform": {"os": "unknown", "architecture": "unknown"}},
        layout.image("noted", HERE) | notes,
        layout.image("signature", HERE) | {"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"},
    ]
    assert said(layout.hold(*beside, layout.image("image", HERE)), settings) == "image"
    with pytest.raises(UsageError, match="not made for"):
        said(layout.hold(*beside), settings)


def test_the_best_of_several_in_an_index_and_the_first_of_equals(layout: Layout, settings: Settings) -> None:
    entries = [
        layout.image("baseline", "amd64", architecture="amd64"),
        layout.image("v2", "amd64", architecture="amd64", variant="v2"),
        layout.image("v3", "amd64", architecture="amd64", variant="v3"),
        layout.image("again", "amd64", architecture="amd64", variant="v1"),
    ]
    for order in (entries, [*entries[1:3], entries[0], entries[3]]):
        ref = layout.hold(layout.index(*order))
        assert said(ref, settings, "linux/amd64") == "baseline"
        assert said(ref, settings, "linux/amd64/v2") == "v2"
        assert said(ref, settings, "linux/amd64/v4") == "v3"
        if HERE == "amd64":
            assert said(ref, settings) == "baseline"


def nested(layout: Layout, depth: int) -> dict[str, Any]:
    entry = layout.image("deep", HERE)
    for _ in range(depth):
        entry = layout.index(entry)
    return entry


def test_indexes_in_indexes_are_followed_but_not_for_ever(layout: Layout, settings: Settings) -> None:
    assert said(layout.hold(nested(layout, index.MAX_DEPTH)), settings) == "deep"
    with pytest.raises(UsageError, match="indexes in indexes"):
        said(layout.hold(nested(layout, index.MAX_DEPTH + 1)), settings)
    hidden = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "platform": {"os": "linux", "architecture": HERE},
    }
    entry = layout.image("deep", HERE)
    for _ in range(index.MAX_DEPTH + 2):
        entry = layout.index(entry | hidden)
    with pytest.raises(UsageError, match="indexes in indexes"):
        said(layout.hold(entry | hidden), settings)


def test_an_index_that_names_itself_is_refused(layout: Layout, settings: Settings) -> None:
    digest = hashlib.sha256(b"any").hexdigest()
    entry = {"mediaType": INDEX, "digest": f"sha256:{digest}", "size": 3}
    (layout.blobs / digest).write_text(json.dumps({"mediaType": INDEX, "manifests": [entry]}))
    with pytest.raises(UsageError, match="damaged"):
        said(layout.hold(entry), settings)


def test_an_index_that_branches_without_end_is_refused(layout: Layout, settings: Settings) -> None:
    entry = layout.image("deep", HERE)
    for _ in range(index.MAX_DEPTH):
        entry = layout.index(*[entry] * 40)
    with pytest.raises(UsageError, match="too many images"):
        said(layout.hold(entry), settings)


def test_only_what_is_wanted_is_read(layout: Layout, settings: Settings) -> None:
    """A layout may lack what it names for other machines: nothing but the image for this one was copied there."""
    gone = [layout.image("gone", OTHER, architecture=OTHER), layout.index(layout.image("x", OTHER))]
    gone[1] |= {"platform": {"os": "linux", "architecture": OTHER}}
    for entry in gone:
        (layout.blobs / entry["digest"][7:]).unlink()
    assert said(layout.hold(*gone, layout.image("here", HERE)), settings) == "here"


def test_a_digest_that_is_not_there_is_refused(layout: Layout, settings: Settings) -> None:
    with pytest.raises(UsageError, match="is missing"):
        said(f"{layout.hold(layout.image('one', HERE))}@sha256:{'0' * 64}", settings)


def docker_archive(out: Path, *entries: tuple[str, str, list[str]]) -> str:
    """What `docker save` writes of images, each a word, a machine and tags. Returns the reference."""
    parts, listed = {}, []
    for word, machine, tags in entries:
        config = {"os": "linux", "architecture": machine, "config": {"Cmd": [word]}, "rootfs": {"diff_ids": []}}
        parts[f"{word}.json"] = json.dumps(config).encode()
        listed.append({"Config": f"{word}.json", "RepoTags": tags, "Layers": []})
    parts["manifest.json"] = json.dumps(listed).encode()
    with tarfile.open(out, "w") as archive:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return f"docker-archive:{out}"


def test_files_of_docker_save_are_chosen_in_alike(tmp_path: Path, settings: Settings) -> None:
    ref = docker_archive(tmp_path / "a", ("other", OTHER, ["app:v1"]), ("here", HERE, ["app:v1"]))
    for name in (ref, f"{ref}:app:v1", f"{ref}:v1"):
        assert said(name, settings) == "here"
        assert said(name, settings, f"linux/{OTHER}") == "other"
    single = docker_archive(tmp_path / "b", ("other", OTHER, ["app:v1"]))
    with pytest.raises(UsageError, match=f"not made for linux/{HERE}"):
        said(single, settings)
    two = docker_archive(
        tmp_path / "c", ("one", HERE, ["app:v1", "app:v2"]), ("two", HERE, ["docker.io/library/web:v1"])
    )
    for tag, word in (("app:v2", "one"), ("web:v1", "two"), ("app:v1", "one")):
        assert said(f"{two}:{tag}", settings) == word
    with pytest.raises(UsageError, match="several images") as caught:
        said(two, settings)
    assert "app:v1, docker.io/library/web:v1" in str(caught.value.hint)
    config = {"os": "linux", "architecture": HERE, "config": {"Cmd": ["two"]}, "rootfs": {"diff_ids": []}}
    digest = hashlib.sha256(json.dumps(config).encode()).hexdigest()
    assert said(f"{two}@sha256:{digest}", settings) == "two"
    with pytest.raises(UsageError, match="holds no image sha256:000"):
        said(f"{two}@sha256:{'0' * 64}", settings)


IMAGE, STATEMENT = "application/vnd.oci.image.config.v1+json", "application/vnd.in-toto+json"
SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"


def other(layout: Layout, *layers: str, config: str = IMAGE, **more: Any) -> dict[str, Any]:
    """A manifest that has the configuration of an image, by its platform at least, and is not one."""
    known = json.dumps({"os": "linux", "architecture": HERE}).encode()
    parts = [images.put(layout.blobs, kind.encode(), kind) for kind in layers]
    text = {"schemaVersion": 2, "config": images.put(layout.blobs, known, config), "layers": parts, **more}
    return images.put(layout.blobs, json.dumps(text).encode(), "application/vnd.oci.image.manifest.v1+json")


@pytest.mark.parametrize(
    ("kind", "config", "layers", "said_kind"),
    [
        ("chart", "application/vnd.cncf.helm.config.v1+json", ["x"], "application/vnd.cncf.helm.config.v1+json"),
        ("plugin", "application/vnd.docker.plugin.v1+json", [], "application/vnd.docker.plugin.v1+json"),
        ("empty", "application/vnd.oci.empty.v1+json", [], "application/spdx+json"),
        ("signature", IMAGE, [SIGNATURE, SIGNATURE], SIGNATURE),
        ("attestation", IMAGE, [STATEMENT], STATEMENT),
    ],
)
def test_what_is_not_an_image_by_its_media_types_is_passed_over_and_named(
    kind: str, config: str, layers: list[str], said_kind: str, layout: Layout, settings: Settings
) -> None:
    more = {"artifactType": "application/spdx+json"} if kind == "empty" else {}
    beside = other(layout, *layers, config=config, **more)
    image = layout.image("image", HERE)
    for entries in ((beside, image), (image, beside)):
        assert said(layout.hold(*entries), settings) == "image"
    ref = layout.hold(beside)
    with pytest.raises(UsageError, match="holds no image") as caught:
        said(ref, settings)
    assert said_kind in str(caught.value.hint)
    with pytest.raises(UsageError, match="is not an image, by its media type"):
        said(layout.hold(beside | {"platform": {"os": "linux", "architecture": HERE}}), settings)


@pytest.mark.parametrize("kind", [IMAGE, "application/vnd.docker.container.image.v1+json", "", None])
def test_an_image_may_say_that_it_is_an_artifact_of_an_images_type(
    kind: str | None, layout: Layout, settings: Settings
) -> None:
    """OCI image-spec 1.1, descriptor.md: `artifactType` is the media type of the configuration of an image."""
    assert said(layout.hold(layout.image("image", HERE) | {"artifactType": kind}), settings) == "image"


@pytest.mark.parametrize("content", [b"<xml/>", b'{"mediaType": "x", "blobs": []}', b"", None])
@pytest.mark.parametrize("kind", ["application/xml", "application/vnd.oci.artifact.manifest.v1+json", "odd", 5])
def test_entries_of_unknown_media_types_are_passed_over(
    content: bytes | None, kind: Any, layout: Layout, settings: Settings
) -> None:
    """OCI image-spec, image-index.md: one of an unknown media type must not be an error. Its content may be missing."""
    entry = images.put(layout.blobs, content or b"gone", "") | {"mediaType": kind}
    if content is None:
        (layout.blobs / entry["digest"][7:]).unlink()
    image = layout.image("image", HERE, tag="v1")
    assert said(f"{layout.hold(entry, image)}:v1", settings) == "image"
    assert said(layout.hold(tagged(entry, "v1"), image), settings) == "image"
    with pytest.raises(UsageError, match=r"holds no image|not made for"):
        said(layout.hold(entry), settings)


def test_an_image_of_an_unknown_media_type_is_one_all_the_same(layout: Layout, settings: Settings) -> None:
    image, more = layout.image("image", HERE, architecture=OTHER), layout.image("other", OTHER)
    assert said(layout.hold(image | {"mediaType": "text/plain"}, more), settings) == "image"


def test_a_manifest_without_the_version_of_its_schema_is_one(layout: Layout, settings: Settings) -> None:
    entry = layout.image("image", HERE)
    text = json.loads((layout.blobs / entry["digest"][7:]).read_text())
    del text["schemaVersion"]
    without = images.put(layout.blobs, json.dumps(text).encode(), entry["mediaType"])
    assert said(layout.hold(without), settings) == "image"


def test_an_encrypted_layer_is_named(layout: Layout, settings: Settings) -> None:
    sealed = other(layout, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")
    with pytest.raises(UsageError, match="has a layer that is encrypted"):
        said(layout.hold(sealed), settings)


def test_texts_that_are_not_utf8_are_no_obstacle(layout: Layout, settings: Settings) -> None:
    entry = layout.image("image", HERE)
    text = (layout.blobs / entry["digest"][7:]).read_bytes().replace(b"{", b'{"annotations": {"by": "\xe9"}, ', 1)
    ref = layout.hold(images.put(layout.blobs, text, entry["mediaType"]))
    assert said(ref, settings) == "image"
    [digest] = {local_images.ensure(ref, settings).digest}
    [found] = [entry for entry in catalog.entries(settings) if entry.digest == digest]
    assert check.check(found, settings) == []
