"""Every parser of the host's that reads what somebody else wrote: an image, a guest, a jail, a user, another program.

Each has seeds, and a function that takes bytes. It may end in one of Inferno's own errors, and asserts what has to hold
of all that is taken.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from inferno.base import records, settings_file
from inferno.base.text import printable
from inferno.image import reference
from inferno.life.exit_status import ExitStatus
from inferno.logs import log_record, query
from inferno.logs.collector.handshake import Hello
from inferno.logs.collector.lines import Sieve
from inferno.net import resolvers
from inferno.reach import detach_keys, frame, guest, unpack, vsock
from inferno.reach.bounds import Bounds
from inferno.sandbox.readiness import Outcome
from inferno.settings import load_settings
from inferno.spec import create_options, environment, ssh_key
from inferno.wire.shared import MAX_LOG_LINE_BYTES, VSOCK_SOCKET
from tests import image_parsers, images
from tests.asked import given
from tests.image_parsers import Parser, expected

CONTRACT = Path(__file__).parent / "contract"
VM_ID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
_MAX_BYTES = 1 << 20
_BLOCK = 512


def _json(name: str) -> list[bytes]:
    """A golden file, whole and by its members."""
    text = (CONTRACT / name).read_bytes()
    return [text, *(json.dumps(each).encode() for each in json.loads(text).values())]


def _frames(data: bytes) -> None:
    """The same however they come."""

    def read(step: int) -> list[tuple[int, bytes]]:
        reader, found = frame.Reader(), []
        with expected():
            for start in range(0, len(data), step):
                for each in reader.feed(data[start : start + step]):
                    found.append(each)  # one by one: it may end in an error
        return found

    assert read(max(len(data) // 9, 1)) == read(len(data) or 1)
    with expected():
        for kind, payload in frame.Reader().feed(data):
            if kind == frame.WINDOW:
                assert frame.window(payload) < 1 << 32
            elif kind == frame.EXIT:
                assert frame.exit_of(payload).status in range(256)


@contextlib.contextmanager
def _answers() -> Iterator[Parser]:
    """What init says, behind what Firecracker does."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/{VSOCK_SOCKET}")
        listener.listen()
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        told: list[bytes] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as host, contextlib.suppress(OSError):
                        host.sendall(told[-1])
                        host.shutdown(socket.SHUT_WR)
                        while host.recv(1 << 16):
                            pass

        def take(data: bytes) -> None:
            told.append(data)
            with expected():
                guest.status(guest.Guest("web1", VM_ID, root), 60)
            with expected():
                vsock.upgrade(root, "POST", "/v1/exec", {}, "inferno-stream/1", timeout_s=60)[0].close()

        server = threading.Thread(target=serve)
        server.start()
        greeting = b"OK 1073741824\n"
        bodies = _json("guest_api.json")
        seeds = [greeting + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies]
        switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: inferno-stream/1\r\n\r\n"
        yield Parser([*seeds, greeting + switched], take)
        listener.shutdown(socket.SHUT_RDWR)
        server.join()
        os.close(root)


@contextlib.contextmanager
def _copies() -> Iterator[Parser]:
    """An archive that a guest sends, unpacked here; nothing comes to lie beside its folder."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)

        def take(data: bytes) -> None:
            (top / "in").mkdir()
            (top / "beside").write_bytes(b"ours")
            descriptor, left = os.open(top / "in", os.O_RDONLY), io.BytesIO(data)
            try:
                with expected():
                    unpack.unpack(
                        left.read, unpack.Place(descriptor, b"top", b"new"), unpack.How(), Bounds(_MAX_BYTES, 100)
                    )
            finally:
                os.close(descriptor)
                assert sorted(os.listdir(top)) == ["beside", "in"]
                assert set(os.listdir(top / "in")) <= {"new"}
                assert (top / "beside").read_bytes() == b"ours"
                shutil.rmtree(top / "in")

        members = [
            images.directory("top/"), images.file("top/a", b"x" * 600, uid=7), images.symlink("top/l", "../.."),
            images.hard_link("top/h", "top/a"), images.file("top/" + "d" * 120, b""), images.file("top/l/x", b"y"),
        ]  # fmt: skip
        yield Parser(
            [images.tar(members), images.tar([images.file("top", b"z", pax={"size": "1", "mtime": "-7"})])],
            take,
            image_parsers.checked,
        )


def _log_lines(data: bytes) -> None:
    """What a kiln sends: the same lines, however they come; each a record of its VM."""

    def sieved(step: int) -> bytes:
        hello, sieve, out = Hello(), Sieve("web1", VM_ID), b""
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            piece = piece if hello.over else hello.feed(piece)
            if hello.stranger is not None:  # its connection is ended
                break
            out += sieve.feed(piece) if piece else b""
            assert sieve.held <= MAX_LOG_LINE_BYTES
        return out

    out = sieved(len(data) or 1)
    assert out == sieved(max(len(data) // 5, 1))
    for line in out.splitlines(keepends=True):
        fields_ = json.loads(line)
        assert line.endswith(b"\n")
        assert (fields_["vm_name"], fields_["vm_id"]) == ("web1", VM_ID)


def _log_file(data: bytes) -> None:
    for line in data.split(b"\n"):
        found = log_record.parse(line)
        f"{found.timestamp} {found.vm_name} {found.text()} {found.json()}".encode(errors="replace")
        found.output()
        query.Query().wants(found)


def _exit_status(data: bytes) -> None:
    with expected():
        found = records.parse(ExitStatus, data, "its exit status")
        assert all(printable(value).isprintable() for value in found if isinstance(value, str))


def _outcome(data: bytes) -> None:
    assert Outcome(output=bytearray(data), ended=1).reason(1).isprintable()


@contextlib.contextmanager
def _of_file(seeds: list[bytes], read: Callable[[Path], object]) -> Iterator[Parser]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")

        def take(data: bytes) -> None:
            path.write_bytes(data)
            with expected():
                read(path)

        yield Parser(seeds, take)


def _resolv(path: Path) -> object:
    settings = load_settings({"HOME": "/nowhere"}, Path("/nowhere"))
    return json.dumps(resolvers.of_start(create_options.Spec("box"), settings, path, ()))


def _options(data: bytes) -> None:
    """Each option of create, and the small languages of other commands, with the same word."""
    word = data.decode(errors="surrogateescape")
    for row in create_options.ROWS:
        if row.kind not in (None, bool):
            with expected():
                create_options.merge({"image": "box"}, create_options.asked(given(f"--{row.long}={word}")), "web1")
    for read in (reference.parse, detach_keys.parse):
        with expected():
            read(word)
    for option in ("since", "until", "grep", "level", "source"):
        with expected():
            query.query({option: word})


@contextlib.contextmanager
def _plain(
    seeds: Callable[[], list[bytes]], take: Callable[[bytes], object], repair: Callable[[bytes], bytes] = bytes
) -> Iterator[Parser]:
    yield Parser(seeds(), take, repair)


def _words() -> list[bytes]:
    times = ["1h30m", "2026-11-24T14:17:02+01:00", "1795529822.5", "a{2,3}|(b)"]
    return [row.example.encode() for row in create_options.ROWS if row.example] + [word.encode() for word in times]


def _golden(*names: str) -> list[bytes]:
    return [(CONTRACT / name).read_bytes() for name in names]


def _guests_frames() -> list[bytes]:
    known = json.loads((CONTRACT / "stream_frames.json").read_text())
    return [bytes.fromhex(each["bytes"]) for each in known if each["from"] == "guest"]


def _host_log() -> list[bytes]:
    lines = (CONTRACT / "host_log.ndjson").read_bytes()
    hello = json.loads((CONTRACT / "log_protocol.json").read_text())["hello"].encode()
    head = b'{"level": "info", "timestamp": "2026-11-24T14:17:02.123456Z", "source": "stdout", "vm_id": '
    other = head + b'"%b", "message": "x", "new": [1]}'
    return [lines, hello + lines, (other % VM_ID.encode()) + b"\n"]


_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me\n"

PARSERS: dict[str, Callable[[], AbstractContextManager[Parser]]] = {
    "layer": lambda: _plain(image_parsers.layers, image_parsers.layer, image_parsers.checked),
    "packed_layer": lambda: _plain(image_parsers.packed, image_parsers.packed_layer),
    "docker_archive": lambda: _plain(
        image_parsers.archives, image_parsers.of_archive("docker-archive"), image_parsers.checked
    ),
    "oci_archive": lambda: _plain(
        image_parsers.layouts, image_parsers.of_archive("oci-archive"), image_parsers.checked
    ),
    "manifest": lambda: _plain(image_parsers.manifests, image_parsers.a_manifest),
    "image_config": lambda: _plain(image_parsers.configs, image_parsers.config),
    "frames": lambda: _plain(_guests_frames, _frames),
    "answers": _answers,
    "copies": _copies,
    "log_lines": lambda: _plain(_host_log, _log_lines),
    "log_file": lambda: _plain(_host_log, _log_file),
    "exit_status": lambda: _plain(lambda: _golden("exit_status.json"), _exit_status),
    "outcome": lambda: _plain(lambda: [b"kiln: x\n", b"thread 'main' panicked at a:1:\nJailer error: x\n"], _outcome),
    "options": lambda: _plain(_words, _options),
    "env_file": lambda: _of_file([b"A=b\r\n# c\nHOME\n"], lambda path: environment.environment((), [str(path)])),
    "ssh_keys": lambda: _of_file([_KEY * 2], lambda path: ssh_key.lines([str(path)])),
    "settings_file": lambda: _of_file([b"# c\nexport A='b'\nINFERNO_ROOT=/x\n"], settings_file.read),
    "resolv_conf": lambda: _of_file([b"nameserver 9.9.9.9\nsearch a b\noptions ndots:1\n"], _resolv),
}
