"""The files that tasks of images and versions have as their targets, what these name, `doit clean`; names of VMs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.image import local_images
from inferno.settings import load_settings
from tests import images
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.root
DOIT = Path(sys.executable).parent / "doit"
PLATFORM = "linux/amd64"


class Host:
    """An INFERNO_ROOT and an image in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.ref = f"oci:{images.busybox(folder / 'layout')}"

    def doit(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "INFERNO_ROOT": str(self.root)}
        done = subprocess.run([DOIT, *words], env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def made(self, task: str) -> list[Path]:
        """What `doit info` says that the task makes: its target first."""
        said = self.doit("info", task).stdout.partition("\nmakes:\n")[2]
        return [Path(line.strip()) for line in said.splitlines()]

    def change_image(self) -> None:
        images.busybox(self.folder / "layout", images.file("srv/changed"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_each_target_is_a_file_and_names_what_was_made(host: Host) -> None:
    host.doit("create:web1", "--image", host.ref)
    digest = host.doit(f"image:{host.ref}").stdout.strip()
    folder = host.root / "images" / digest.removeprefix("sha256:")
    stamp, named = host.made(f"image:{host.ref}")
    assert json.loads(stamp.read_text())["digest"] == digest
    assert named == folder
    note, base = host.made(f"rootfs:{host.ref}")
    assert host.root / json.loads(note.read_text())["base"] == base == folder / "rootfs.erofs"
    record, version, *parts = host.made("create:web1")
    assert record == host.root / "vms/web1/version.json"
    assert version.name == json.loads(record.read_text())["ulid"]
    assert [str(path.relative_to(version)) for path in parts] == [
        "rootfs.img",
        "initrd.cpio",
        "kiln.json",
        "firecracker.json",
        "initramfs/inferno/run.json",
    ]
    assert all(path.is_file() for path in parts)


@pytest.mark.parametrize("task", ["image", "rootfs", "create"])
def test_a_target_that_is_gone_or_of_something_else_is_made_again(host: Host, task: str) -> None:
    host.doit("create:web1", "--image", host.ref)
    name = f"{task}:{'web1' if task == 'create' else host.ref}"
    target = host.made(name)[0]
    before = target.read_text()
    target.unlink()
    assert f".  {name}\n" in host.doit(name).stderr
    assert target.read_text() == before
    target.unlink()  # first: that of a version is the version's own file
    target.write_text("{}")
    assert f".  {name}\n" in host.doit(name).stderr
    assert target.read_text() == before
    assert f"-- {name}\n" in host.doit(name).stderr


def test_the_record_of_a_version_follows_the_current_one(host: Host) -> None:
    host.doit("create:web1", "--image", host.ref)
    first = host.made("create:web1")
    host.doit("create:web1", "--memory", "200")
    second = host.made("create:web1")
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert json.loads(second[0].read_text())["spec"]["memory"] == 200
    assert sorted(path.name for path in (host.root / "vms/web1").glob(".*")) == []


def test_clean_takes_a_base_that_no_version_has(host: Host) -> None:
    host.doit("create:web1", "--image", host.ref)
    note, base = host.made(f"rootfs:{host.ref}")
    said = host.doit("clean", f"rootfs:{host.ref}", status=1).stderr
    assert f"error: rootfs:{host.ref}: the base of {host.ref} stays: it is part of web1\n" in said
    assert said.count("\n") == 2, "one line, and the hint"
    assert note.exists()
    assert base.exists()
    host.doit("destroy:web1", "--yes")
    host.doit("clean", "--dry-run", f"rootfs:{host.ref}")
    assert base.exists()
    host.doit("clean", f"rootfs:{host.ref}")
    assert not note.exists()
    assert sorted(path.name for path in base.parent.iterdir()) == ["config.json", "manifest.json"]
    assert f".  rootfs:{host.ref}\n" in host.doit(f"rootfs:{host.ref}").stderr
    assert base.exists()


def test_a_prune_takes_the_notes_of_bases_too(host: Host) -> None:
    host.doit(f"rootfs:{host.ref}")
    note, _ = host.made(f"rootfs:{host.ref}")
    env = {**os.environ, "INFERNO_ROOT": str(host.root)}
    subprocess.run([DOIT.with_name("infernoctl"), "images", "prune"], env=env, check=True, capture_output=True)
    assert not note.exists()


def test_a_platform_that_was_asked_for_is_a_task_and_a_stamp_of_its_own(host: Host) -> None:
    said = host.doit(f"rootfs:{host.ref}", "--platform", PLATFORM).stderr
    assert f".  rootfs:{host.ref}#{PLATFORM}\n" in said
    settings = load_settings({"INFERNO_ROOT": str(host.root)})
    assert local_images.stamp(host.ref, settings) is None
    assert f".  rootfs:{host.ref}\n" in host.doit(f"rootfs:{host.ref}").stderr
    assert f"-- rootfs:{host.ref}#{PLATFORM}\n" in host.doit(f"rootfs:{host.ref}#{PLATFORM}").stderr
    both = host.doit(f"image:{host.ref}", f"image:{host.ref}", "--platform", PLATFORM).stdout.split()
    assert len(both) == 2
    said = host.doit(f"image:{host.ref}#{PLATFORM}", "--platform", "linux/arm64", status=2).stderr
    assert said.startswith("error: --platform linux/arm64 is not that of")


def test_a_vm_of_a_platform_is_built_of_that_platforms_image_alone(host: Host) -> None:
    """`initrd` run alone looked for the image of this host, and `why` at another platform's stamp."""
    host.doit("create:web1", "--image", host.ref, "--platform", PLATFORM)
    assert f"-- image:{host.ref}#{PLATFORM}\n" in host.doit("initrd:web1").stderr
    host.change_image()
    host.doit(f"image:{host.ref}")
    assert "image: " not in why(host), "that is not the stamp of the VM's image"
    host.doit(f"image:{host.ref}", "--platform", PLATFORM)
    assert "image: " in why(host)


def why(host: Host) -> str:
    env = {**os.environ, "INFERNO_ROOT": str(host.root)}
    argv = [DOIT.with_name("infernoctl"), "why", "web1"]
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout


def test_a_name_with_an_underscore_is_a_name_and_not_a_pattern(host: Host) -> None:
    host.doit("create:web_1", "--image", host.ref)
    said = host.doit("create:web-1", "--image", host.ref, status=2).stderr
    assert "web-1 and the VM web_1 would have one host name, web-1" in said
    assert not (host.root / "vms/web-1").exists()
    host.doit("create:webx1", "--image", host.ref)
    host.doit("destroy:web_1", "--yes")
    assert "\n.  " not in host.doit("create:webx1").stderr, "what was noted of its tasks is still known"
    assert (host.root / "vms/webx1/version.json").exists()
