"""Cached images that were damaged: found, never booted, made again; and what `images` prints of those there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import images

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent


class Host:
    """An INFERNO_ROOT with one VM, web1."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.ref = f"oci:{images.busybox(folder / 'layout', ExposedPorts={'80/tcp': {}})}"
        self.type("create", "web1", "--image", self.ref)

    def type(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "INFERNO_ROOT": str(self.root)}
        argv = [BIN / "infernoctl", *words]
        done = subprocess.run(argv, env=env, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    @property
    def base(self) -> Path:
        [found] = self.root.glob("images/*/rootfs.erofs")
        return found

    def booted(self) -> Path:
        """The base that the next start would boot."""
        return (self.root / "vms/web1/current").resolve(strict=True) / "rootfs.img"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_whole_is_said_to_be(host: Host) -> None:
    digest = json.loads(host.type("images", "list", "--json").stdout)[0]["digest"]
    assert host.type("images", "check", digest).stdout == f"{digest}  ok\n"
    assert json.loads(host.type("images", "check", "--all", "--json").stdout) == {digest: []}


def flip(path: Path) -> None:
    """A bit goes bad on the disk: size and time stay."""
    info = path.stat()
    with path.open("r+b") as file:
        file.seek(info.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_a_silent_error_is_found_by_check_and_made_again(host: Host) -> None:
    whole = host.base.read_bytes()
    flip(host.base)
    said = host.type("images", "check", "--all", status=1)
    assert "damaged" in said.stdout
    assert "missing or damaged" in host.type("why", "web1").stdout
    host.type("create", "web1")
    assert host.booted().read_bytes() == whole
    assert host.base.samefile(host.booted())
    host.type("images", "check", "--all")


def test_one_that_was_cut_short_is_seen_at_once(host: Host) -> None:
    whole = host.base.read_bytes()
    os.truncate(host.base, 4096)
    assert "missing or damaged" in host.type("why", "web1").stdout
    host.type("create", "web1")
    assert host.booted().read_bytes() == whole


def test_a_damaged_configuration_is_read_again(host: Host) -> None:
    (host.base.parent / "config.json").write_text("{}")
    (host.base.parent / "manifest.json").write_text("{}")
    assert "manifest is damaged" in host.type("images", "check", "--all", status=1).stdout
    host.type("create", "web1")
    host.type("images", "check", "--all")


def test_programs_find_the_same_keys_whatever_is_left(host: Host) -> None:
    whole = json.loads(host.type("images", "show", host.ref, "--json").stdout)
    [listed] = json.loads(host.type("images", "list", "--json").stdout)
    assert listed.items() <= whole.items()
    assert whole["created_at"].endswith("Z")
    host.base.with_name("manifest.json").unlink()
    left = json.loads(host.type("images", "show", host.ref, "--json").stdout)
    assert (list(left), left["platform"], left["layers"]) == (list(whole), None, None)


def test_what_an_image_says_of_itself(host: Host) -> None:
    assert host.type("images", "exposed", host.ref).stdout == "80/tcp\n"
    assert json.loads(host.type("images", "process", host.ref, "--json").stdout)["cmd"] == ["/bin/sleep", "infinity"]
    shown = json.loads(host.type("images", "show", host.ref, "--json").stdout)
    assert (shown["used_by"], shown["platform"], shown["exposed_ports"]) == (["web1"], "linux/amd64", ["80/tcp"])
    table = host.type("images", "list").stdout
    assert shown["digest"].removeprefix("sha256:")[:12] in table
    assert "web1" in table


@pytest.mark.parametrize(
    "words",
    [["shwo"], ["show"], ["show", "nothing"], ["list", "x"], ["prune", "x"], ["check"], ["check", "--all", "x"],
     ["pull"], ["pull", "Bad Ref"], ["list", "--jsno"]],
)  # fmt: skip
def test_bad_usage_is_one_line(host: Host, words: list[str]) -> None:
    said = host.type("images", *words, status=2).stderr
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1


# How often a command opens or lists something in INFERNO_ROOT, or starts a program: on standard error.
COUNTED = """
import os, sys
count = 0
def hook(event, args):
    global count
    count += event == "subprocess.Popen" or (
        event in ("open", "os.listdir", "os.scandir") and str(args[0]).startswith(os.environ["INFERNO_ROOT"]))
sys.addaudithook(hook)
from inferno.cli.main import main
status = main(sys.argv[1:])
print(count, file=sys.stderr)
sys.exit(status)
"""


def test_a_thousand_images_are_listed_by_one_look_at_each(host: Host) -> None:
    for number in range(1000):
        digest = f"{number:064x}"
        folder = host.root / "images" / digest
        folder.mkdir()
        (folder / "rootfs.erofs").write_bytes(b"x")
        stamp = {"ref": f"app:{number}", "digest": f"sha256:{digest}", "place": "registry", "seen": digest}
        (host.root / f"images/refs/app{number}.json").write_text(json.dumps(stamp))
    env = {**os.environ, "INFERNO_ROOT": str(host.root)}
    argv = [sys.executable, "-c", COUNTED, "images", "list", "--json"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 1001
    assert int(done.stderr) < 2 * 1001, "one look at each image's reference; how long it takes is the benchmark's"
