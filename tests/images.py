"""Images for the tests, made here: OCI layouts written by hand, from nothing but the standard library and busybox.

    layout = images.build(folder, [[images.directory("etc"), images.file("etc/motd", b"hi")]], Cmd=["/bin/sh"])

A layer is a list of members, in the order given; what tarfile refuses to write is patched into the bytes afterwards.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAG = "latest"
_MEDIA = "application/vnd.oci.image"
APPLETS = """
    sh ash cat echo ls sleep true false kill env id pwd mkdir touch rm cp mv ln chmod chown dd seq head tail wc tr grep
    sed awk test stat find ps mount umount hostname ip ping nc httpd wget date sync df free yes printf cut sort uniq tee
    md5sum sha256sum dmesg poweroff reboot halt stty tty nproc uname which readlink od hexdump xargs trap setsid nohup
    killall pidof mknod mkfifo truncate usleep timeout tar gzip vi top watch du getty login su passwd adduser
""".split()  # noqa: SIM905  # names, read as such


@dataclass(frozen=True)
class Member:
    """One entry of a layer; `kind` as in tarfile, `pax` are records of its own (bytes as surrogate escapes)."""

    name: str
    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 1_700_000_000
    link: str = ""
    device: tuple[int, int] = (0, 0)
    pax: dict[str, str] = field(default_factory=dict)


def file(name: str, data: bytes = b"", mode: int = 0o644, **known: Any) -> Member:
    return Member(name, data=data, mode=mode, **known)


def directory(name: str, mode: int = 0o755, **known: Any) -> Member:
    return Member(name, tarfile.DIRTYPE, mode=mode, **known)


def symlink(name: str, link: str, **known: Any) -> Member:
    return Member(name, tarfile.SYMTYPE, link=link, mode=0o777, **known)


def hard_link(name: str, link: str, **known: Any) -> Member:
    return Member(name, tarfile.LNKTYPE, link=link, **known)


def whiteout(name: str) -> Member:
    head, slash, base = name.rpartition("/")
    return Member(f"{head}{slash}.wh.{base}")


def tar(members: Sequence[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The members as an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.mode, info.uid, info.gid = member.kind, member.mode, member.uid, member.gid
            info.mtime, info.linkname, info.size = member.mtime, member.link, len(member.data)
            info.devmajor, info.devminor = member.device
            info.pax_headers = dict(member.pax)
            archive.addfile(info, io.BytesIO(member.data))
    return out.getvalue()


def build(
    folder: Path, layers: Sequence[Sequence[Member] | bytes], *, tag: str = TAG, level: int = 1, **config: Any
) -> Path:
    """Write an OCI layout with one image; `config` is Docker's (Cmd, Env, …). Returns the folder.

    `level` is gzip's; 0 leaves the layers plain.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    plain = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in plain]}
    whole = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs}
    form = f"{_MEDIA}.layer.v1.tar+gzip" if level else f"{_MEDIA}.layer.v1.tar"
    packed = [gzip.compress(data, level, mtime=0) if level else data for data in plain]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": put(blobs, json.dumps(whole).encode(), f"{_MEDIA}.config.v1+json"),
        "layers": [put(blobs, data, form) for data in packed],
    }
    entry = put(blobs, json.dumps(manifest).encode(), f"{_MEDIA}.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def put(blobs: Path, data: bytes, media_type: str) -> dict[str, Any]:
    """Write a blob; return its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def busybox_program() -> bytes:
    """The static busybox of the package busybox-static."""
    for name in ("/bin/busybox", "/usr/bin/busybox"):
        path = Path(name)
        if path.is_file() and os.access(path, os.X_OK):
            return path.read_bytes()
    raise FileNotFoundError("busybox is not here: install busybox-static")


def busybox_layer(*more: Member) -> list[Member]:
    """A root file system of busybox alone, with users of its own; and what else is given."""
    passwd = (
        b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home/web:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    group = b"root:x:0:\nweb:x:1000:\nadm:x:4:web\naudio:x:29:web\nnogroup:x:65534:\n"
    return [
        *(directory(name) for name in ("bin", "etc", "home", "home/web", "srv", "usr", "usr/bin")),
        directory("root", 0o700),
        directory("tmp", 0o1777),
        file("bin/busybox", busybox_program(), 0o755),
        *(symlink(f"bin/{applet}", "busybox") for applet in APPLETS),
        file("etc/passwd", passwd),
        file("etc/group", group),
        file("etc/machine-id", b"uninitialized\n"),
        *more,
    ]


def busybox(folder: Path, *more: Member, tag: str = TAG, **config: Any) -> Path:
    """A small image that boots: busybox, running `sleep infinity` unless `config` says else."""
    wanted = {"Cmd": ["/bin/sleep", "infinity"], "Env": ["PATH=/usr/bin:/bin"], **config}
    return build(folder, [busybox_layer(*more)], tag=tag, **wanted)


PARTS = ("manifest", "config", "layers", "diff_ids")


def rename_digests(folder: Path, algorithm: str = "sha512", parts: Collection[str] = PARTS) -> str:
    """Name parts of the image of a layout, or the first `layer` alone, by another algorithm, as its maker could have.

    Returns the manifest's new digest.
    """
    kept: set[Path] = set()

    def moved(part: str, descriptor: dict[str, Any], data: bytes) -> dict[str, Any]:
        digest = _digest(data, algorithm if part in parts else "sha256")
        path = folder / "blobs" / digest.replace(":", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        kept.add(path)
        return descriptor | {"digest": digest, "size": len(data)}

    def content(descriptor: dict[str, Any]) -> bytes:
        return (folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

    index = json.loads((folder / "index.json").read_text())
    entry = index["manifests"][0]
    manifest = json.loads(content(entry))
    config = json.loads(content(manifest["config"]))
    layers = [content(layer) for layer in manifest["layers"]]
    plain = [gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data for data in layers]
    if "diff_ids" in parts:
        config["rootfs"]["diff_ids"] = [_digest(data, algorithm) for data in plain]
    manifest["config"] = moved("config", manifest["config"], json.dumps(config).encode())
    names = ["layer" if number == 0 and "layer" in parts else "layers" for number in range(len(layers))]
    manifest["layers"] = [moved(*known) for known in zip(names, manifest["layers"], layers, strict=True)]
    index["manifests"][0] = moved("manifest", entry, json.dumps(manifest).encode())
    for old in {*(folder / "blobs/sha256").iterdir()} - kept:
        old.unlink()
    (folder / "index.json").write_text(json.dumps(index))
    return str(index["manifests"][0]["digest"])


def _digest(data: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
