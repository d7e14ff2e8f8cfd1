"""Archives of images by several programs: links, names, several images in one; and hostile ones, read within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from inferno.base.errors import UsageError
from inferno.image import digests, local_images, manifest, reference, source
from inferno.settings import Settings, load_settings
from tests import images
from tests.images import Member, directory, file, hard_link, symlink

LAYERS = [images.tar([file("a", b"content")]), images.tar([file("b")])]
M = "manifest.json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


def configuration(*layers: bytes, **whole: Any) -> bytes:
    ids = [digests.of(layer) for layer in layers]
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ids}, **whole}).encode()


def saved(*images: tuple[str, list[str] | None, Sequence[str] | None]) -> Member:
    """manifest.json of images, each (configuration, tags, layers)."""
    entries = [{"Config": config, "RepoTags": tags, "Layers": layers} for config, tags, layers in images]
    return file(M, json.dumps(entries).encode())


def write(path: Path, *members: Member) -> str:
    path.write_bytes(images.tar(members))
    return f"docker-archive:{path}"


def read(ref: str, settings: Settings, platform: str | None = None) -> tuple[source.Image, list[bytes]]:
    ask = source.Ask(reference.parse(ref), source.Access(platform), settings)
    image = source.resolve(ask)
    with source.layers(ask, image) as layers:
        return image, [os.pread(layer.descriptor, layer.size, layer.offset) for layer in layers]


CONFIG = configuration(*LAYERS)
ONE, TWO = LAYERS
HEX = digests.of(CONFIG)[7:]
SHAPES: dict[str, list[Member]] = {
    "docker, old": [
        directory("aa"), file("aa/VERSION", b"1.0"), file("aa/json", b"{}"), file("aa/layer.tar", ONE), directory("bb"),
        file("bb/layer.tar", TWO), file(f"{HEX}.json", CONFIG), file("repositories", b"{}"),
        saved((f"{HEX}.json", ["app:v1"], ["aa/layer.tar", "bb/layer.tar"])),
    ],
    "docker, an equal layer is a link": [
        file("c.json", CONFIG), file("aa/layer.tar", ONE), symlink("cc/layer.tar", "../aa/layer.tar"),
        file("bb/layer.tar", TWO), saved(("c.json", None, ["cc/layer.tar", "bb/layer.tar"])),
    ],
    "docker, a layout inside": [
        directory("blobs"), directory("blobs/sha256"), file("blobs/sha256/cc", CONFIG), file("blobs/sha256/1", ONE),
        file("blobs/sha256/2", TWO), file("index.json", b'{"manifests": []}'), file("oci-layout", b"{}"),
        saved(("blobs/sha256/cc", ["app:v1"], ["blobs/sha256/1", "blobs/sha256/2"])),
    ],
    "podman": [
        file("1.tar", ONE), symlink("v1/layer.tar", "../1.tar"), file("2.tar", TWO), file(f"{HEX}.json", CONFIG),
        saved((f"{HEX}.json", ["docker.io/library/app:v1"], ["1.tar", "2.tar"])),
    ],
    "kaniko": [
        file(f"sha256:{HEX}", CONFIG), file("1.tar.gz", gzip.compress(ONE)), file("2.tar.gz", gzip.compress(TWO)),
        saved((f"sha256:{HEX}", ["app:v1"], ["1.tar.gz", "2.tar.gz"])),
    ],
    "jib": [
        file("config.json", CONFIG), file("1.tar.gz", gzip.compress(ONE)), file("2.tar.gz", gzip.compress(TWO)),
        saved(("config.json", ["app"], ["1.tar.gz", "2.tar.gz"])),
    ],
    "bazel, with ./ and hard links": [
        file("./one/layer.tar", ONE), hard_link("./two/layer.tar", "./one/layer.tar"), file("./three/layer.tar", TWO),
        file("./c.json", CONFIG), saved(("c.json", ["bazel/app:v1"], ["two/layer.tar", "three/layer.tar"])),
    ],
    "absolute names": [
        file("/c.json", CONFIG), file("/1/layer.tar", ONE), file("/2/layer.tar", TWO),
        Member("/" + M, data=saved(("c.json", [], ["1/layer.tar", "/2/layer.tar"])).data),
    ],
    "parts out of order": [
        saved(("c.json", [], ["./1", "x/../2"])), symlink("1", "one"), hard_link("2", "two"), file("two", TWO),
        file("one", ONE), file("c.json", CONFIG),
    ],
    "names that come twice": [
        file("c.json", b"{}"), file("1", b"old"), file("2", TWO), file("1", ONE), file("c.json", CONFIG),
        saved(("c.json", [], [])), saved(("c.json", [], ["1", "2"])),
    ],
    "a hard link keeps what it linked": [
        file("1", ONE), hard_link("first", "1"), file("1", TWO), file("c.json", CONFIG),
        saved(("c.json", [], ["first", "1"])),
    ],
    "links from the wrong folder": [
        file("1.tar", ONE), symlink("aaaa/layer.tar", "1.tar"), file("bb/2.tar", TWO),
        hard_link("bb/layer.tar", "2.tar"), file("c.json", CONFIG),
        saved(("c.json", ["app:v1"], ["aaaa/layer.tar", "bb/layer.tar"])),
    ],
    "links to links and folders": [
        file("data/real/1", ONE), symlink("data/real/2", "/data/two"), file("data/two", TWO),
        symlink("all", "data/here"), symlink("data/here", "real"), file("c.json", CONFIG),
        saved(("c.json", [], ["all/1", "all/2"])),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str, tmp_path: Path, settings: Settings) -> None:
    image, layers = read(write(tmp_path / "image.tar", *SHAPES[shape]), settings)
    assert (image.digest, image.config) == (manifest.digest_of(CONFIG), CONFIG)
    assert [gzip.decompress(layer) if layer.startswith(b"\x1f") else layer for layer in layers] == LAYERS


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_forms_of_tar(form: int, tmp_path: Path, settings: Settings) -> None:
    deep = "/".join(["directory"] * 12)
    members = [file(f"{deep}/1", ONE), file("2", TWO), file("c", CONFIG), saved(("c", [], [f"{deep}/1", "2"]))]
    (tmp_path / "image.tar").write_bytes(images.tar(members, form))
    assert read(f"docker-archive:{tmp_path / 'image.tar'}", settings)[1] == LAYERS


def test_an_image_without_layers(tmp_path: Path, settings: Settings) -> None:
    text = configuration()
    for entry in ({"Config": "c", "Layers": None}, {"Config": "c"}, {"Config": "c", "Layers": [], "RepoTags": None}):
        ref = write(tmp_path / "image.tar", file("c", text), file(M, json.dumps([entry]).encode()))
        assert read(ref, settings)[1] == []


OTHER = configuration(TWO)
SEVERAL = [
    file("c", CONFIG), file("d", OTHER), file("1", ONE), file("2", TWO),
    saved(("c", ["app:v1", "registry.example:5000/app:v3"], ["1", "2"]), ("d", ["docker.io/library/app:v2"], ["2"]),
          ("d", None, ["2"])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "config"),
    [("app:v1", CONFIG), ("v1", CONFIG), ("docker.io/library/app:v1", CONFIG), ("registry.example:5000/app:v3", CONFIG),
     ("app:v2", OTHER), ("v2", OTHER), ("library/app:v2", OTHER), ("@0", CONFIG), ("@2", OTHER)],
)  # fmt: skip
def test_one_of_several_images(word: str, config: bytes, tmp_path: Path, settings: Settings) -> None:
    ref = write(tmp_path / "image.tar", *SEVERAL)
    assert read(f"{ref}:{word}", settings)[0].config == config


@pytest.mark.parametrize("word", ["", ":v4", ":app:v3", ":other/app:v1", ":@3", ":@", ":@-1", ":@²", ":@99999999999"])
def test_none_of_several_images(word: str, tmp_path: Path, settings: Settings) -> None:
    ref = write(tmp_path / "image.tar", *SEVERAL)
    with pytest.raises(UsageError, match=r"holds (several images|no image)") as caught:
        read(f"{ref}{word}", settings)
    assert caught.value.hint == "name one of app:v1, docker.io/library/app:v2, @2"


def test_of_one_name_the_last_and_the_one_for_this_platform(tmp_path: Path, settings: Settings) -> None:
    arm = configuration(TWO, architecture="arm64")
    parts = [file("c", CONFIG), file("d", OTHER), file("arm", arm), file("1", ONE), file("2", TWO)]
    named = [("c", ["app:v1"], ["1", "2"]), ("d", ["app:v1"], ["2"])]
    ref = f"{write(tmp_path / 'image.tar', *parts, saved(*named, ('arm', ['app:v1'], ['2'])))}:app:v1"
    assert read(ref, settings, "linux/amd64")[0].config == OTHER
    assert read(ref, settings, "linux/arm64")[0].config == arm
    assert read(ref, settings, "linux/arm64/v8")[0].config == arm


@pytest.mark.root
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lzma.compress, bz2.compress])
def test_compressed_as_a_whole(pack: Callable[[bytes], bytes], tmp_path: Path, settings: Settings) -> None:
    ref = write(tmp_path / "image.tar.packed", *SHAPES["docker, old"])
    whole = (tmp_path / "image.tar.packed").read_bytes()
    (tmp_path / "image.tar.packed").write_bytes(pack(whole))
    assert read(ref, settings)[1] == LAYERS


def links(count: int) -> list[Member]:
    return [symlink(f"link{n}", f"link{n + 1}") for n in range(count)]


BAD: dict[str, tuple[list[Member], str]] = {
    "a link to itself": ([symlink("1", "1")], "leads in a circle"),
    "a circle": ([symlink("1", "x"), symlink("x", "y/1"), symlink("y", ".")], "leads in a circle"),
    "hard links in a circle": ([hard_link("1", "x"), hard_link("x", "1")], "leads in a circle"),
    "a long way": ([symlink("1", "link0"), *links(100)], "too many links"),
    "out of the archive": ([symlink("1", "../../etc/passwd")], "leads out of the archive"),
    "to the host": ([symlink("1", "/etc/passwd")], "1 is missing"),
    "to nothing": ([symlink("1", "x")], "1 is missing"),
    "a folder": ([directory("1")], "1 is missing"),
    "a device": ([Member("1", tarfile.CHRTYPE, device=(1, 3))], "1 is missing"),
    "a fifo": ([Member("1", tarfile.FIFOTYPE)], "1 is missing"),
    "too deep": ([symlink("1", "a/" * 1000)], "too many parts"),
    "a file with holes": ([file("1", b"0\n" + bytes(510), pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9", "GNU.sparse.name": "1"})],
        "holes"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_a_part_that_is_not_one(bad: str, tmp_path: Path, settings: Settings) -> None:
    members, says = BAD[bad]
    text = configuration(ONE)
    ref = write(tmp_path / "image.tar", *members, file("c", text), saved(("c", [], ["1"])))
    with pytest.raises(UsageError, match=says) as caught:
        read(ref, settings)
    assert "\n" not in str(caught.value)


def test_a_configuration_may_be_a_link_and_not_out_of_the_archive(tmp_path: Path, settings: Settings) -> None:
    ref = write(tmp_path / "i.tar", symlink("c", "d"), file("d", CONFIG), file("1", ONE), saved(("c", [], ["1", "1"])))
    assert read(ref, settings)[0].config == CONFIG
    ref = write(tmp_path / "i.tar", symlink("c", "../d"), file("d", CONFIG), saved(("c", [], [])))
    with pytest.raises(UsageError, match="leads out"):
        read(ref, settings)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"[1]", b"null", b'[{"Config": 1}]', b'[{"Config": "c", "Layers": "x"}]', b"[" * 100_000,
     b'[{"Config": "c", "Layers": [1]}]', b'[{"Config": "c", "RepoTags": {"a": 1}}]'],
)  # fmt: skip
def test_a_manifest_that_is_not_one(text: bytes, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match="holds no image"):
        read(write(tmp_path / "image.tar", file(M, text), file("c", CONFIG)), settings)


def test_an_archive_of_very_many_names_is_refused(tmp_path: Path, settings: Settings) -> None:
    ref = write(tmp_path / "image.tar", file("c", CONFIG), saved(("c", ["a:b"] * 20_000, [])))
    with pytest.raises(UsageError, match="more than 20000 images and names"):
        read(f"{ref}:a:c", settings)


def test_an_archive_of_the_other_kind_is_named(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "image.tar"
    write(path, file("c", CONFIG), saved(("c", [], [])))
    with pytest.raises(UsageError, match=r"index\.json is missing") as caught:
        read(f"oci-archive:{path}", settings)
    assert caught.value.hint == f"by its parts it is docker-archive:{path}"
    write(path, file("index.json", b"{}"))
    with pytest.raises(UsageError, match=r"manifest\.json is missing") as caught:
        read(f"docker-archive:{path}", settings)
    assert caught.value.hint == f"by its parts it is oci-archive:{path}"


def test_blobs_of_an_oci_archive_may_be_links(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", LAYERS, Cmd=["/a"])
    images.rename_digests(folder)
    expected = read(f"oci:{folder}", settings)
    members = [symlink("./blobs", "elsewhere")]
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        name = str(path.relative_to(folder)).replace("blobs/", "elsewhere/")
        members += [file(f"./kept/{number}", path.read_bytes()), hard_link(f"./{name}", f"./kept/{number}")]
    (tmp_path / "i.tar").write_bytes(images.tar(members))
    image, layers = read(f"oci-archive:{tmp_path / 'i.tar'}", settings)
    assert (image.digest, layers) == (expected[0].digest, expected[1])


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


TINY = b"5 a=\n"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a pax header of tiny records": (header(b"x", 1 << 20) + (TINY * (1 << 18))[: 1 << 20], "malformed pax"),
    "many pax headers": ((header(b"x", 1000) + TINY * 200 + bytes(24) + header(b"0", 0)) * 10_000, "bytes of names"),
    "many long names": ((header(b"L", 4000) + b"y" * 4000 + bytes(96) + header(b"0", 0)) * 2_000, "bytes of names"),
    "many global headers": (header(b"g", 0) * 100_000, "60000 headers"),
    "many empty headers": (header(b"x", 0) * 100_000, "60000 headers"),
    "many parts": (header(b"0", 0) * 30_000, "20000 parts"),
    "a sparse map": (header(b"S", 0) * 10, "holes"),
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_archive_is_refused_within_seconds_of_processor_time(hostile: str, tmp_path: Path) -> None:
    """In a process that the kernel ends after five: what grew with the square of the size took ten and more."""
    data, says = HOSTILE[hostile]
    (tmp_path / "image.tar").write_bytes(data + bytes(1024))
    code = (
        "import sys; from pathlib import Path; from inferno.image import local_images;"
        "from inferno.settings import load_settings; from inferno.base.errors import UsageError\n"
        "settings = load_settings({'INFERNO_ROOT': sys.argv[2], 'HOME': '/'}, Path('/none'))\n"
        "try: local_images.ensure(sys.argv[1], settings)\n"
        "except UsageError as error: print(error); sys.exit(3)"
    )
    argv = [sys.executable, "-c", code, f"docker-archive:{tmp_path / 'image.tar'}", str(tmp_path / "root")]
    ended = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (5, 5)),
    )
    assert ended.returncode == 3, ended.stderr
    assert re.search(says, ended.stdout)
    assert len(ended.stdout.splitlines()) == 1


def test_what_is_not_a_file_is_not_opened(tmp_path: Path, settings: Settings) -> None:
    """A FIFO that has a writer waiting: it stays waiting, since nobody opens the FIFO to read."""
    for place in ("archive", "layout/index.json"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
        ref = f"docker-archive:{path}" if place == "archive" else f"oci:{path.parent}"
        with pytest.raises(UsageError, match="not a regular file"):
            local_images.ensure(ref, settings)
        with pytest.raises(OSError, match="No such device or address"):  # ENXIO: nobody reads
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(UsageError, match="not a regular file"):
        local_images.ensure("docker-archive:/dev/null", settings)


def test_a_device_is_looked_at_before_it_is_opened(tmp_path: Path) -> None:
    """By Python's own account of what it opens, and for what."""
    from inferno.base import files

    seen: list[tuple[str, int]] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[0] == "/dev/zero":
            seen.append((arguments[0], arguments[2]))

    sys.addaudithook(note)
    with pytest.raises(OSError, match="not a regular file"):
        files.open_regular(Path("/dev/zero"))
    assert [flags & os.O_PATH for _, flags in seen] == [os.O_PATH]


def test_io_of_a_cut_archive(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path / "image.tar", *SHAPES["docker, old"])
    whole = (tmp_path / "image.tar").read_bytes()
    for end in (len(whole) // 2, 700, 1):
        (tmp_path / "image.tar").write_bytes(io.BytesIO(whole).read(end))
        with pytest.raises(UsageError):
            read(f"docker-archive:{tmp_path / 'image.tar'}", settings)
