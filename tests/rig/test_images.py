"""Bases beside what an independent unpacker (umoci) makes of the same images, and images that lack what others have."""

from __future__ import annotations

import random
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.machine import Rig
from tests import images
from tests.images import Member, directory, file, hard_link, symlink, whiteout
from tests.rig import umoci
from tests.rig.typed import Host

CAPABILITY = "\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # struct vfs_cap_data, revision 2: cap_net_raw, effective
SMALL = """
#include <unistd.h>
int main(void) { write(1, "from scratch\\n", 13); return 7; }
"""


# What the process of an image with volumes finds of them.
DECLARED = """
stat -c '%n %a %u' /data /made/deep /link/. /srv/to/nothing; cat /data/seed
touch /data/x /made/deep/x /link/x /dev/shm/x && echo wrote
touch /x 2> /dev/null || echo read-only
"""


def hard() -> list[list[Member]]:
    """Layers with all that the format can hold and unpackers stumble over."""
    pax = {"SCHILY.xattr.security.capability": CAPABILITY, "SCHILY.xattr.user.note": "a=b\nc"}
    one = [
        directory("./", mtime=1_600_000_000), directory("usr/bin", 0o755), symlink("bin", "usr/bin"),
        file("usr/bin/ping", b"ping", 0o755, pax=pax), file("usr/bin/su", b"su", 0o4755, gid=5),
        directory("tmp", 0o1777), directory("shared", 0o2775, gid=50), file("a name", b"x"), file("new\nline", b"y"),
        file("bytes-\udcff\udcfe", b"z"), file("n" * 255, b"long"), file("/".join(["deep" * 10] * 40), b"deep"),
        file("time", b"t", mtime=1_234_567_890.987654321), file("owner", b"o", uid=3_000_000_000, gid=70_000),
        Member("fifo", tarfile.FIFOTYPE), Member("null", tarfile.CHRTYPE, mode=0o666, device=(1, 3)),
        Member("disk", tarfile.BLKTYPE, mode=0o660, device=(254, 3)),
        file("first", b"linked"), hard_link("second", "first"), hard_link("usr/third", "first"),
        directory("gone"), file("gone/x"), directory("emptied"), file("emptied/old"), directory("to-file"),
        file("to-file/x"), file("to-dir", b"file"), file("to-link", b"file"), directory("kept"), file("kept/old", b"k"),
        symlink("dangling", "/nowhere"), symlink("absolute", "/usr"), *(file(f"many/{n:05}") for n in range(300)),
    ]  # fmt: skip
    two = [
        whiteout("gone"), Member("emptied/.wh..wh..opq"), directory("emptied", 0o700), file("emptied/new"),
        file("to-file", b"now a file"), directory("to-dir"), file("to-dir/x", b"in it"), symlink("to-link", "time"),
        directory("kept", 0o711, uid=9), file("bin/tool", b"through the link", 0o755), whiteout("many/00007"),
        file("absolute/local/x", b"through the other"), file("sparse", bytes(300_000) + b"end"),
    ]  # fmt: skip
    three = [file("second", b"no longer linked"), hard_link("fourth", "first"), file("kept/new", b"n")]
    return [one, two, three]


@pytest.fixture(scope="module")
def rig(layouts: Path, built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("images", numbered=True)
    images.build(folder / "hard", hard(), Cmd=["/x"])
    chance = random.Random(127)
    many = [
        [file(f"layer{n}", str(n).encode()), file(f"all/{chance.randrange(40)}", str(n).encode())] for n in range(126)
    ]
    images.build(
        folder / "many", [images.busybox_layer(), *many], Cmd=["/bin/sh", "-c", "cat /layer125; ls /all | wc -l"]
    )
    small = _compile(folder)
    images.build(folder / "scratch", [[file("only", small, 0o755)]], Cmd=["/only"])
    merged = [
        directory("usr/bin"), symlink("bin", "usr/bin"), file("usr/bin/busybox", images.busybox_program(), 0o755),
        symlink("usr/bin/sh", "busybox"), symlink("usr/bin/id", "busybox"),
    ]  # fmt: skip
    images.build(folder / "merged", [merged], Cmd=["sh", "-c", "id -u; touch /tmp/x && echo wrote"], User="1234:56")
    kept = [directory("data", 0o1770, uid=1000), file("data/seed", b"kept\n"), symlink("link", "srv/to/nothing")]
    declared = {path: {} for path in ("/data", "/made/deep", "/link", "/etc/passwd", "/dev/shm", "relative")}
    images.busybox(
        folder / "declared", *kept, Cmd=["sh", "-c", DECLARED], Volumes=declared, Env=["PATH=/bin", "nothing"],
        StopSignal="SIGNONE", Healthcheck={"Test": ["CMD", "true"]}, Shell=["/none"], OnBuild=["RUN none"],
    )  # fmt: skip
    shutil.copytree(layouts / "nginx", folder / "nginx")
    with Rig.start(extra=folder) as rig:
        yield rig


def _compile(folder: Path) -> bytes:
    (folder / "only.c").write_text(SMALL)
    argv = ["gcc", "-static", "-Os", "-s", "-o", folder / "only.bin", folder / "only.c"]
    subprocess.run(argv, check=True, capture_output=True)
    program = (folder / "only.bin").read_bytes()
    (folder / "only.c").unlink()
    (folder / "only.bin").unlink()
    return program


@pytest.mark.parametrize(
    ("name", "least"), [("hard", 300), pytest.param("nginx", 1000, marks=pytest.mark.full), ("many", 250)]
)
def test_a_base_holds_what_umoci_unpacks(host: Host, name: str, least: int) -> None:
    assert umoci.compare(host, name) > least


def test_one_static_program_and_nothing_else_boots(host: Host) -> None:
    host.create("only", image="oci:/extra/scratch")
    assert host.type("start only", status=7).stdout == "from scratch\n"


def test_what_an_image_declares_is_there_or_named(host: Host) -> None:
    """Its volumes can be written to also where the root cannot, as Docker has it."""
    said = host.type("create declared --image oci:/extra/declared --read-only").stderr
    for note in (
        "the image's health check is not run yet",
        "the image's stop signal is not a signal, and SIGTERM stands in for it: 'SIGNONE'",
        "the image's volumes that are not absolute paths below / are passed over: 'relative'",
        "the image's variables without a name or a value are passed over: 'nothing'",
    ):
        assert f"   {note}\n" in said
    folders = ["/data 1770 1000", "/made/deep 755 0", "/link/. 755 0", "/srv/to/nothing 755 0"]
    started = host.type("start declared")
    assert started.stdout.splitlines() == [*folders, "kept", "wrote", "read-only"]
    assert "volume /etc/passwd" in host.type("logs declared --source all").stdout


DAMAGED = """
base=$(readlink -f /var/lib/inferno/vms/only/current)/rootfs.img
state() { find /var/lib/inferno /sys/fs/cgroup -path '*inferno*'; ip -o link | cut -d: -f2; }
{ HARM; } || exit 9
state > /tmp/before
infernoctl start only
status=$?
state | diff /tmp/before - | grep '^>' && exit 8
exit $status
"""


@pytest.mark.parametrize(
    "harm",
    ['truncate -s -1 "$base"', 'printf x | dd of="$base" bs=1 seek=5000 conv=notrunc status=none; '
     "infernoctl images check oci:/extra/scratch > /dev/null; [ $? -eq 1 ]"],
    ids=["cut", "checked"],
)  # fmt: skip
def test_a_damaged_base_is_never_booted(harm: str, host: Host) -> None:
    """`start` refuses it and makes nothing; the next create makes it again."""
    host.create("only", image="oci:/extra/scratch")
    refused = host.sh(DAMAGED.replace("HARM", harm), status=1).stderr
    assert "the base of only is damaged\n" in refused
    assert "create:only" in refused
    host.type("create only")
    assert host.type("start only", status=7).stdout == "from scratch\n"


def test_bin_may_be_a_link_and_tmp_and_passwd_missing(host: Host) -> None:
    host.create("merged", image="oci:/extra/merged")
    assert host.type("start merged").stdout.split() == ["1234", "wrote"]


def test_127_layers_boot(host: Host) -> None:
    chance = random.Random(127)
    names = len({chance.randrange(40) for _ in range(126)})
    host.create("many", image="oci:/extra/many")
    assert host.type("start many").stdout.splitlines() == ["125" + str(names)]
