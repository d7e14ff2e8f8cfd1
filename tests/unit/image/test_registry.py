"""Registries, for real, on loopback: what is fetched and when, as whom, and what is said when it cannot be had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, local_images, prune
from inferno.image.source import PUBLIC, Access
from inferno.settings import Settings, load_settings
from inferno.state.paths import Paths
from tests import images
from tests.loghost import eventually
from tests.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.slow]
BIN = Path(sys.executable).parent
LAYER = [images.file("a", os.urandom(100_000))]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path)


def load(tmp_path: Path, **more: str) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path), **more}, tmp_path / "none")


def layout(tmp_path: Path, *layers: list[images.Member], word: str = "one", level: int = 1) -> Path:
    return images.build(tmp_path / f"layout-{word}", layers or [LAYER], level=level, Cmd=[f"/{word}"])


def cmd(settings: Settings, digest: str) -> list[str]:
    return local_images.config(digest, settings).cmd


def test_an_image_keeps_its_digest_and_becomes_the_base_of_its_layout(
    registry: Registry, tmp_path: Path, settings: Settings
) -> None:
    folder = layout(tmp_path)
    digest = registry.push(folder, "digest:v1")
    ref = f"docker://{registry.host}/digest:v1"
    assert local_images.ensure(ref, settings).digest == digest
    other = load(tmp_path / "other")
    local_images.ensure(f"oci:{folder}", other)
    assert base.ensure(ref, settings).read_bytes() == base.ensure(f"oci:{folder}", other).read_bytes()


def test_dockers_own_manifests_keep_their_digest_too(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    digest = registry.push(layout(tmp_path), "v2s2:v1", "--format", "v2s2")
    stamp = local_images.ensure(f"{registry.host}/v2s2:v1", settings)
    known = local_images.image(digest, settings)
    assert (stamp.digest, stamp.place) == (digest, "registry")
    assert known is not None and b"docker.distribution.manifest.v2" in known[0]
    base.ensure(f"{registry.host}/v2s2:v1", settings)


def test_a_zstd_layer(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    registry.push(layout(tmp_path), "zstd:v1", "--dest-compress-format", "zstd", "--dest-compress")
    local_images.ensure(f"{registry.host}/zstd:v1", settings)
    assert base.ensure(f"{registry.host}/zstd:v1", settings).stat().st_size > 100_000


def test_a_tag_is_asked_for_again_only_when_wanted(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    ref = f"{registry.host}/moving:latest"
    registry.push(layout(tmp_path, word="old"), "moving:latest")
    old = local_images.ensure(ref, settings).digest
    registry.push(layout(tmp_path, word="new"), "moving:latest")
    assert local_images.unchanged(ref, settings)
    assert local_images.unchanged(ref, settings, PUBLIC, local_images.NEVER)
    assert not local_images.unchanged(ref, settings, PUBLIC, local_images.ALWAYS)
    aged = load(tmp_path, INFERNO_IMAGE_MAX_AGE="0")
    assert not local_images.unchanged(ref, aged)
    assert cmd(settings, local_images.ensure(ref, aged).digest) == ["/new"]
    daily, stamp = load(tmp_path, INFERNO_IMAGE_MAX_AGE="86400"), Paths(settings.root).ref(ref)
    assert local_images.unchanged(ref, daily)
    os.utime(stamp, (time.time() + 1e6, time.time() + 1e6))
    assert not local_images.unchanged(ref, daily), "the clock was set back"
    pinned = f"{registry.host}/moving@{old}"
    assert local_images.ensure(pinned, settings).digest == old
    assert local_images.unchanged(pinned, aged, PUBLIC, local_images.ALWAYS), "a digest never moves"


def test_never_means_never(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    registry.push(layout(tmp_path), "never:v1")
    before = registry.log.read_text()
    with pytest.raises(UsageError, match="no registry may be asked"):
        local_images.ensure(f"{registry.host}/never:v1", settings, PUBLIC, local_images.NEVER)
    assert registry.log.read_text() == before


def test_without_a_registry_what_is_here_goes_on(tmp_path: Path) -> None:
    settings = load(tmp_path, INFERNO_IMAGE_MAX_AGE="0")
    with Registry(tmp_path / "registry") as registry:
        registry.push(layout(tmp_path), "app:v1")
        ref = f"{registry.host}/app:v1"
        made = local_images.ensure(ref, settings)
    said: list[str] = []
    assert (
        local_images.ensure(ref, settings, progress=lambda what, done=None, total=None, detail="": said.append(what))
        == made
    )
    assert "does not answer" in said[-1]
    base.ensure(ref, settings)
    with pytest.raises(UsageError, match="does not answer"):
        local_images.ensure(ref, settings, PUBLIC, local_images.ALWAYS)


def test_layers_are_fetched_once_for_all_images(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    registry.push(layout(tmp_path, LAYER, [images.file("b", b"1" * 5000)], word="one"), "shared:one")
    registry.push(layout(tmp_path, LAYER, [images.file("b", b"2" * 5000)], word="two"), "shared:two")
    local_images.ensure(f"{registry.host}/shared:one", settings)
    blobs = {path: path.stat().st_ino for path in (settings.root / "images/blobs/sha256").iterdir()}
    before = registry.blob_requests()
    local_images.ensure(f"{registry.host}/shared:two", settings)
    assert registry.blob_requests() - before <= 3  # the layer that is new, and the configuration, once for each program
    assert all(path.stat().st_ino == inode for path, inode in blobs.items())


def test_two_tags_of_one_image_share_a_base(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    for tag in ("x", "y"):
        registry.push(layout(tmp_path), f"tags:{tag}")
        local_images.ensure(f"{registry.host}/tags:{tag}", settings)
    bases = {base.ensure(f"{registry.host}/tags:{tag}", settings) for tag in ("x", "y")}
    assert len(bases) == 1


def test_an_index_is_followed_to_the_platform(registry: Registry, tmp_path: Path, settings: Settings) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    entries = []
    for machine in ("s390x", "amd64"):
        digest = registry.push(layout(tmp_path, word=machine), f"index:{machine}")
        raw = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/index:{machine}"]
        size = len(subprocess.run(raw, check=True, capture_output=True).stdout)
        platform = {"os": "linux", "architecture": machine}
        media = "application/vnd.oci.image.manifest.v1+json"
        entries.append({"mediaType": media, "digest": digest, "size": size, "platform": platform})
    text = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    registry.put_manifest("index", "all", text, kind)
    ref = f"{registry.host}/index:all"
    assert cmd(settings, local_images.ensure(ref, settings).digest) == ["/amd64"]
    assert cmd(settings, local_images.ensure(ref, settings, Access(platform="linux/s390x")).digest) == ["/s390x"]
    assert cmd(settings, local_images.ensure(ref, settings).digest) == ["/amd64"]
    with pytest.raises(UsageError, match="not made for linux/riscv64"):
        local_images.ensure(ref, settings, Access(platform="linux/riscv64"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("nothing:v1", r"has no image \S*nothing:v1"), ("app@sha256:" + "0" * 64, "has no image")],
)
def test_what_is_not_there_is_said_in_one_line(registry: Registry, settings: Settings, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        local_images.ensure(f"docker://{registry.host}/{name}", settings)
    assert "\n" not in caught.value.text
    assert not settings.root.exists()


def test_foreign_layers_are_not_fetched_from_where_an_image_says(
    registry: Registry, tmp_path: Path, settings: Settings
) -> None:
    """Their `urls` are the image's word: its maker would choose what this host asks. Without any, they are plain
    layers."""
    registry.push(layout(tmp_path), "foreign:v1")
    raw = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/foreign:v1"]
    manifest = json.loads(subprocess.run(raw, check=True, capture_output=True).stdout)
    [layer] = manifest["layers"]
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer["urls"] = [f"http://{registry.host}/v2/foreign/blobs/{layer['digest']}"]
    registry.put_manifest("foreign", "urls", json.dumps(manifest).encode(), manifest["mediaType"])
    before = registry.blob_requests()
    with pytest.raises(UsageError, match="has a foreign layer") as caught:
        local_images.ensure(f"{registry.host}/foreign:urls", settings)
    assert "docker pull" in str(caught.value.hint)
    assert registry.blob_requests() - before <= 2, "its configuration, by inspect and copy"
    assert not list(settings.root.rglob("manifest.json"))
    del layer["urls"]
    registry.put_manifest("foreign", "plain", json.dumps(manifest).encode(), manifest["mediaType"])
    local_images.ensure(f"{registry.host}/foreign:plain", settings)
    base.ensure(f"{registry.host}/foreign:plain", settings)


def alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A registries.conf(5) of the test's own."""
    (tmp_path / "registries.conf").write_text(text)
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))


def test_mirrors_are_asked_first(
    registry: Registry, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = f'[[registry]]\nlocation = "mirrored.invalid"\n[[registry.mirror]]\nlocation = "{registry.host}"\n'
    alias(tmp_path, monkeypatch, f"{mirror}insecure = true\n")
    digest = registry.push(layout(tmp_path), "team/mirrored:v1")
    assert local_images.ensure("docker://mirrored.invalid/team/mirrored:v1", settings).digest == digest


def test_plain_http_only_where_it_is_asked_for(
    registry: Registry, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias(tmp_path, monkeypatch, f'[[registry]]\nprefix = "plain.invalid"\nlocation = "{registry.host}"\n')
    digest = registry.push(layout(tmp_path), "plain:v1")
    with pytest.raises(UsageError) as caught:
        local_images.ensure("docker://plain.invalid/plain:v1", settings)
    assert "INFERNO_INSECURE_REGISTRIES" in str(caught.value.hint)
    allowed = load(tmp_path, INFERNO_INSECURE_REGISTRIES="other.invalid, plain.invalid")
    assert local_images.ensure("docker://plain.invalid/plain:v1", allowed).digest == digest


def test_a_ca_of_ones_own(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    names = ["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv, *names], check=True, capture_output=True)
    with Registry(tmp_path / "registry", tls=(certificate, key)) as registry:
        digest = registry.push(layout(tmp_path), "tls:v1")
        alias(tmp_path, monkeypatch, f'[[registry]]\nprefix = "tls.invalid"\nlocation = "{registry.host}"\n')
        with pytest.raises(UsageError) as caught:
            local_images.ensure("docker://tls.invalid/tls:v1", settings)
        assert "ca.crt" in str(caught.value.hint)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert local_images.ensure("docker://tls.invalid/tls:v1", settings).digest == digest


def test_sixteen_creates_at_once_pull_once_and_make_one_base(registry: Registry, tmp_path: Path) -> None:
    registry.push(layout(tmp_path, [images.file("sixteen", os.urandom(3 << 20))]), "sixteen:v1")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    before = registry.blob_requests()

    def create(number: int) -> subprocess.CompletedProcess[str]:
        argv = [BIN / "infernoctl", "create", f"vm{number}", "--image", f"docker://{registry.host}/sixteen:v1"]
        return subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(create, range(16)))
    assert [each.returncode for each in done] == [0] * 16, [each.stderr for each in done if each.returncode]
    assert sum("fetch " in each.stderr for each in done) == 1
    assert sum("make the base" in each.stderr for each in done) == 1
    assert registry.blob_requests() - before <= 3
    inodes = {path.stat().st_ino for path in (tmp_path / "root/vms/kiln").glob("*/rootfs.img")}
    assert len(inodes) == 1


def test_a_killed_pull_leaves_nothing_that_counts(registry: Registry, tmp_path: Path) -> None:
    layers = [[images.file(f"big{n}", os.urandom(6 << 20))] for n in range(4)]
    registry.push(layout(tmp_path, *layers), "killed:v1")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    argv = [BIN / "infernoctl", "task", "image", f"docker://{registry.host}/killed:v1"]
    killed = 0
    for _ in range(4):  # each with one more of its four layers
        before = registry.blob_requests()
        with subprocess.Popen(argv, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
            eventually(lambda now=before, it=process: registry.blob_requests() > now or it.poll() is not None)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
    assert killed
    subprocess.run(argv, env=env, cwd=tmp_path, check=True, capture_output=True)
    left = [path for path in (tmp_path / "root").rglob("*") if ".tmp" in path.name or "put-blob" in path.name]
    assert left == []
    base.ensure(f"docker://{registry.host}/killed:v1", load(tmp_path))


def test_prune_takes_what_nothing_uses_and_says_so_first(registry: Registry, tmp_path: Path) -> None:
    settings = load(tmp_path)
    for name in ("used", "unused"):
        registry.push(layout(tmp_path, LAYER, [images.file(name, os.urandom(50_000))], word=name), f"{name}:v1")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    used, unused = (f"docker://{registry.host}/{name}:v1" for name in ("used", "unused"))
    argv = [BIN / "infernoctl", "create", "web1", "--image", used]
    subprocess.run(argv, env=env, cwd=tmp_path, check=True, capture_output=True)
    digest = local_images.ensure(unused, settings).digest
    base.ensure(unused, settings)
    would = prune.prune(settings, dry_run=True)
    assert (would.images, would.refs, would.blobs) == ([digest], [unused], 1)
    assert base.is_intact(digest, settings)
    assert prune.prune(settings) == would
    assert prune.prune(settings).images == []
    assert local_images.stamp(unused, settings) is None
    assert local_images.unchanged(used, settings)
    done = subprocess.run(
        [BIN / "infernoctl", "create", "web1"], env=env, cwd=tmp_path, check=True, capture_output=True
    )
    assert b".  " not in done.stderr, "the VM that uses the other image has nothing to do"


def test_prunes_and_creates_at_once_never_break_a_create(registry: Registry, tmp_path: Path) -> None:
    registry.push(layout(tmp_path), "race:v1")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}
    settings = load(tmp_path)
    for number in range(4):
        argv = [BIN / "infernoctl", "create", f"vm{number}", "--image", f"docker://{registry.host}/race:v1"]
        create = subprocess.Popen(argv, env=env, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        pruned = 0
        while create.poll() is None:
            prune.prune(settings)
            pruned += 1
        assert pruned > 1
        assert create.stderr is not None
        assert create.returncode == 0, create.stderr.read()
        create.stderr.close()
        subprocess.run(
            [BIN / "infernoctl", "destroy", f"vm{number}", "--yes"], env=env, check=True, capture_output=True
        )
