"""Create, for real: an OCI layout to a version, what runs again after which change, kills, races, a full disk.

Needs root (the image worker drops to an unprivileged user, and stored files belong to root), but neither KVM nor
a network.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).resolve().parents[3]


class Host:
    """An INFERNO_ROOT and the commands typed against it; doit is typed in a checkout."""

    def __init__(self, root: Path, cwd: Path, checkout: Path = CHECKOUT, **env: str) -> None:
        self.root, self.cwd, self.checkout = root, cwd, checkout
        self.env = {**os.environ, "INFERNO_ROOT": str(root), **env}

    def popen(self, *words: str, program: str = "infernoctl") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / program, *words],
            env=self.env,
            cwd=self.checkout if program == "doit" else self.cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def type(self, *words: str, program: str = "infernoctl", status: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.popen(*words, program=program)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return subprocess.CompletedProcess(words, status, out, err)

    def ran(self, *words: str, program: str = "doit") -> set[str]:
        """The tasks that a command really ran."""
        err = self.type(*words, program=program).stderr
        return set(re.findall(r"^\.  (\S+)$", err, re.MULTILINE))

    def version(self, name: str = "web1") -> Path:
        return (self.root / "vms" / name / "current").resolve(strict=True)

    def leftovers(self) -> list[Path]:
        return list(self.root.rglob("*.tmp")) + list(self.root.rglob("*.tmp/**"))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"oci:{images.busybox(tmp_path_factory.mktemp('image') / 'layout')}"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "root", tmp_path)


def test_create_makes_a_version_that_says_what_it_is_made_of(host: Host, layout: str) -> None:
    made = json.loads(host.type("create", "web1", "--image", layout, "--vcpus", "2", "--memory", "256").stdout)
    assert made["name"] == "web1"
    assert made["network"]["guest_ip"] == "172.16.0.2"
    record = json.loads((host.version() / "version.json").read_text())
    assert record["ulid"] == made["version"] == host.version().name
    assert record["spec"]["memory"] == 256
    assert {"kiln", "firecracker", "jailer", "vmlinux", "init", "image"} <= set(record["inputs"])
    for name in record["files"]:
        assert (host.version() / name).stat().st_uid == 0
        assert not (host.version() / name).stat().st_mode & 0o222, name
    machine = json.loads((host.version() / "firecracker.json").read_text())["machine-config"]
    assert machine == {"vcpu_count": 2, "mem_size_mib": 256, "smt": False, "track_dirty_pages": False}
    assert json.loads((host.version() / "kiln.json").read_text())["id"] == made["version"]


def test_what_runs_again(host: Host, layout: str) -> None:
    first = host.ran("create:web1", "--image", layout)
    assert {f"image:{layout}", f"rootfs:{layout}", "initrd:web1", "config:web1", "create:web1"} <= first
    version = host.version()
    assert host.ran("create:web1") == set()
    assert host.version() == version
    assert host.ran("create:web1", "--memory", "192") == {"config:web1", "create:web1"}
    assert host.version() != version
    assert not version.exists(), "the version before is nobody's now"
    assert host.ran("create:web1", "--memory", "192") == set()
    assert host.ran("create:web1", "--env=A=b=c") == {"initrd:web1", "create:web1"}
    assert "A=b=c" in (host.version() / "initramfs/inferno/run.json").read_text()
    assert host.ran("create:web2", "--image", layout) == {"initrd:web2", "config:web2", "create:web2"}
    bases = {(host.version(name) / "rootfs.img").stat().st_ino for name in ("web1", "web2")}
    assert len(bases) == 1, "the base is one file"


def test_both_fronts_run_the_same_tasks(host: Host, layout: str) -> None:
    host.type("create", "web1", "--image", layout, "--env", "A=1", "--", "/bin/echo", "--env", "B=2")
    process = json.loads((host.version() / "initramfs/inferno/run.json").read_text())["process"]
    assert process["args"][-3:] == ["/bin/echo", "--env", "B=2"]
    assert "A=1" in process["env"]
    assert host.ran("create:web1") == set()


def test_why_says_what_changed(host: Host, layout: str) -> None:
    host.type("create", "web1", "--image", layout)
    assert "first version" in host.type("why", "web1").stdout
    host.type("create", "web1", "--memory", "200")
    assert "memory: 128 -> 200" in host.type("why", "web1").stdout
    host.env["ROOTFS_SIZE_MB"] = "64"
    assert "out of date    ROOTFS_SIZE_MB: 5120 -> 64\n" in host.type("why", "web1").stdout
    assert "hunter2" not in host.type("create", "web1", "-e", "TOKEN=hunter2").stderr
    assert json.loads(host.type("why", "web1", "--json").stdout)["built_because"][0] == "env: TOKEN"


def test_doit_info_names_the_inputs_that_changed(host: Host, layout: str) -> None:
    made = host.type("create", "web2", "web1", "--image", layout).stdout.splitlines()
    assert [json.loads(line)["name"] for line in made] == ["web2", "web1"], "in the order asked for"
    assert "status: up-to-date" in host.type("info", "config:web1", program="doit").stdout
    host.env["LOG_LEVEL"] = "debug"
    said = host.type("info", "config:web1", program="doit", status=1).stdout
    assert "status: run\n  changed: LOG_LEVEL\n" in said
    (host.root / "vms/web1/build/kiln.json").unlink()
    said = host.type("info", "config:web1", program="doit", status=1).stdout
    assert "build/kiln.json is not there" in said
    assert "it runs whenever" in host.type("info", "stop:web1", program="doit", status=1).stdout


@pytest.mark.parametrize(
    "victim", ["vms/kiln", "vms/web1", "vms/web1/spec.json", "images", "store", "tasks.db", "vms/web1/build"]
)
def test_what_is_deleted_by_hand_is_repaired(host: Host, layout: str, victim: str) -> None:
    host.type("create", "web1", "--image", layout)
    path = host.root / victim
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    host.type("create", "web1")
    record = json.loads((host.version() / "version.json").read_text())
    assert all((host.version() / name).exists() for name in record["files"])
    assert (host.root / "vms/web1/spec.json").exists()
    assert host.ran("create:web1") == set()


def test_a_new_version_keeps_how_the_one_before_ended(host: Host, layout: str) -> None:
    host.type("create", "web1", "--image", layout)
    ended = host.version()
    jail = ended / "root"
    (jail / "a").mkdir(parents=True)
    for _ in range(3000):  # the jail was the VM's own: deeper than Python recurses
        (jail / "b").mkdir()
        (jail / "a").rename(jail / "b/a")
        (jail / "b").rename(jail / "a")
    status = json.loads((CHECKOUT / "tests/contract/exit_status.json").read_text())
    (jail / "exit_status.json").write_text(json.dumps({**status, "exit_code": 7, "signal": None}))
    (host.root / "vms/web1/started").symlink_to(f"../kiln/{ended.name}")
    host.type("create", "web1", "--memory", "200")
    assert not ended.exists()
    shown = json.loads(host.type("status", "web1", "--json").stdout)
    assert (shown["state"], shown["exit_code"]) == ("stopped", 7)


def test_a_failed_create_of_a_new_vm_leaves_nothing(host: Host, layout: str, tmp_path: Path) -> None:
    host.type("create", "web1", "--image", f"oci:{tmp_path}/nowhere", status=2)
    assert json.loads(host.type("list", "--json").stdout) == []
    assert not (host.root / "vms/web1").exists()
    host.type("create", "web1", "--image", layout)


def test_a_failed_change_leaves_the_old_version_current(host: Host, layout: str, tmp_path: Path) -> None:
    host.type("create", "web1", "--image", layout)
    version = host.version()
    host.type("create", "web1", "--image", f"oci:{tmp_path}/nowhere", status=2)
    assert host.version() == version
    assert host.ran("create:web1") == set()


def test_killed_in_any_of_its_steps_the_next_run_converges(host: Host, layout: str) -> None:
    host.type("create", "warm", "--image", layout)
    ended = []
    for number in range(12):
        process = host.popen("create", "web1", "--image", layout, "--memory", str(128 + number))
        assert process.stderr is not None
        for _ in range(number):  # each step says that it begins
            process.stderr.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        ended.append(process.returncode)
        if number % 2:
            shutil.rmtree(host.root / "images", ignore_errors=True)  # so that every other kill hits the image's steps
    assert -signal.SIGKILL in ended
    host.type("create", "web1", "--image", layout, "--memory", "300")
    assert host.leftovers() == []
    assert len(list((host.root / "vms/kiln").iterdir())) == 2
    assert host.ran("create:web1") == set()


def test_a_first_create_that_was_killed_leaves_no_slot_and_no_build(host: Host, layout: str) -> None:
    process = host.popen("create", "web1", "--image", layout)
    assert process.stderr is not None
    for line in process.stderr:
        if "rootfs" in line:
            break
    process.kill()
    process.communicate()
    assert (host.root / "vms/web1/build").exists()
    made = json.loads(host.type("create", "web2", "--image", layout).stdout)
    assert not (host.root / "vms/web1").exists()
    assert made["network"]["guest_ip"] == "172.16.0.6", "it was there when the slot was taken"
    made = json.loads(host.type("create", "web3", "--image", layout).stdout)
    assert made["network"]["guest_ip"] == "172.16.0.2"


def test_two_at_once_make_one_version(host: Host, layout: str) -> None:
    both = [host.popen("create", "web1", "--image", layout) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len({json.loads(out)["version"] for out, _ in said}) == 1
    assert len(list((host.root / "vms/kiln").iterdir())) == 1


def test_eight_at_once_take_eight_slots_and_make_one_base(host: Host, layout: str) -> None:
    each = [host.popen("create", f"web{n}", "--image", layout) for n in range(8)]
    said = [process.communicate(timeout=240) for process in each]
    assert [process.returncode for process in each] == [0] * 8, said
    assert len({json.loads(out)["network"]["guest_ip"] for out, _ in said}) == 8
    assert len({(host.version(f"web{n}") / "rootfs.img").stat().st_ino for n in range(8)}) == 1
    assert host.leftovers() == []


def test_same_inputs_same_bytes(host: Host, layout: str, tmp_path: Path) -> None:
    other = Host(tmp_path / "other", tmp_path)
    for each in (host, other):
        each.type("create", "web1", "--image", layout)
    for name in ("initrd.cpio", "rootfs.img", "firecracker.json"):
        assert (host.version() / name).read_bytes() == (other.version() / name).read_bytes(), name


def test_a_vms_versions_are_found_without_a_look_at_others(host: Host, layout: str) -> None:
    for name in ("web1", "web2"):
        host.type("create", name, "--image", layout)
    others = host.version("web2") / "version.json"
    others.unlink()
    os.mkfifo(others)  # what opens it waits for ever
    host.type("create", "web1", "--memory", "200")
    assert os.listdir(host.root / "versions/web1") == [host.version("web1").name]
    (host.root / "inferno.db").unlink()
    host.type("destroy", "web1", "--yes")
    assert os.listdir(host.root / "versions") == ["web2"]
    assert os.listdir(host.root / "vms/kiln") == [host.version("web2").name]


def test_what_a_killed_create_had_made_goes_with_its_vm(host: Host, layout: str) -> None:
    host.type("create", "web1", "--image", layout)
    unfinished = host.root / "vms/kiln/01JD8ZK3V5N9Q2R7T4W6X8Y0AB.web1.tmp"
    whole = host.root / "vms/kiln/01JD8ZK3V5N9Q2R7T4W6X8Y0AC"  # and not current yet
    for made in (unfinished, whole):
        made.mkdir()
        (host.root / "versions/web1" / made.name.partition(".")[0]).symlink_to("../../vms/kiln/gone")
    host.type("destroy", "web1", "--yes")
    assert os.listdir(host.root / "vms/kiln") == os.listdir(host.root / "versions") == []


@contextlib.contextmanager
def disk(folder: Path, size_kib: int) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


# Not even a database fits; no note of what was done; no config; no base; not the kernel.
@pytest.mark.parametrize("free_kib", [16, 48, 96, 600, 6000])
def test_a_full_disk_is_one_clear_line_and_changes_nothing(layout: str, tmp_path: Path, free_kib: int) -> None:
    with disk(tmp_path / "small", free_kib) as folder:
        host = Host(folder / "root", tmp_path)
        said = host.type("create", "web1", "--image", layout, status=2).stderr
        assert re.search(rf"^error: .*no space left on the disk of {folder}\S* \(\d+ MiB free", said, re.MULTILINE)
        assert said.count("error: ") == 1
        assert host.leftovers() == []
        assert not (host.root / "vms/web1").exists()
        assert list(host.root.glob("versions/*")) == []


@pytest.mark.parametrize("free_kib", [0, 32, 128])
def test_a_disk_that_fills_up_leaves_the_old_version_current(layout: str, tmp_path: Path, free_kib: int) -> None:
    with disk(tmp_path / "small", 65_536) as folder:
        host = Host(folder / "root", tmp_path)
        host.type("create", "web1", "--image", layout)
        before, listed = host.version(), host.type("list", "--json").stdout
        free = os.statvfs(folder)
        with (folder / "fill").open("wb") as fill:
            fill.write(bytes(free.f_bavail * free.f_bsize - (free_kib << 10)))
        host.type("create", "web1", "--env", "A=B", status=2)
        assert host.version() == before
        assert len(list((host.root / "vms/kiln").iterdir())) == len(list((host.root / "versions/web1").iterdir())) == 1
        (folder / "fill").unlink()
        assert host.type("list", "--json").stdout == listed
        host.type("create", "web1", "--env", "A=B")
        assert host.version() != before


def test_what_frees_a_full_disk_needs_no_room_on_it(layout: str, tmp_path: Path) -> None:
    with disk(tmp_path / "small", 65_536) as folder:
        host = Host(folder / "root", tmp_path)
        host.type("create", "web1", "web2", "--image", layout)
        host.type("stop", "web1", "web2")  # so that there is a note of it, which the next one would change
        ended = host.version()  # web1 ran to its end: its jail, its scratch
        (ended / "root").mkdir()
        (ended / "scratch.img").write_bytes(bytes(1 << 20))
        os.link(ended / "scratch.img", ended / "root/scratch.img")
        (host.root / "vms/web1/started").symlink_to(f"../kiln/{ended.name}")
        listed = host.type("list", "--json").stdout
        with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as fill:
            while fill.write(bytes(4096)):
                pass
        assert os.statvfs(folder).f_bavail == 0
        assert host.type("list", "--json").stdout == listed
        host.type("images", "prune")
        host.type("stop", "web1")
        assert not (ended / "root").exists()
        assert json.loads((host.root / "vms/web1/exit_status.json").read_text())["vm_error"]
        with contextlib.suppress(OSError), (folder / "fill").open("ab", buffering=0) as fill:
            while fill.write(bytes(4096)):
                pass
        host.type("destroy", "web1", "--yes")
        assert [each["name"] for each in json.loads(host.type("list", "--json").stdout)] == ["web2"]


def test_creating_without_root_is_refused(host: Host, layout: str, tmp_path: Path) -> None:
    """Loaded as root, since nobody else may look into root's home; the command itself is somebody else's."""
    become = "import os, sys, inferno.cli.main, inferno.cli.task_verbs, inferno.console.image_options\n"
    become += (
        "import inferno.task_modules as e; e.load('create'); e.load('engine.main'); os.setgid(65534); os.setuid(65534);"
    )
    command = [sys.executable, "-c", become + "sys.exit(inferno.cli.main.main())", "create", "web1", "--image", layout]
    done = subprocess.run(command, env=host.env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "needs root" in done.stderr
    assert "Traceback" not in done.stderr
    assert not host.root.exists()


class Checkout:
    """A copy of the checkout, to edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True).stdout
        for name in listed.decode().split("\0"):
            if name and (CHECKOUT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, target)
        shutil.copytree(CHECKOUT / "artifacts", folder / "artifacts", symlinks=True)


def edit(main: Path) -> None:
    """Have a program do something more."""
    text, count = re.subn(r"(fn main\([^)]*\)[^{]*\{)", r'\1\n    std::hint::black_box("edited");', main.read_text())
    assert count == 1
    main.write_text(text)


@pytest.mark.slow
def test_editing_a_source_rebuilds_what_is_made_of_it_and_nothing_else(layout: str, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout")
    host = Host(tmp_path / "root", checkout.folder, checkout.folder, PYTHONPATH=str(checkout.folder))
    host.type("create", "web1", "--image", layout)
    kiln, guest = checkout.folder / "kiln/src/main.rs", checkout.folder / "guest/src/main.rs"
    kiln.touch()
    guest.touch()
    assert host.ran("create:web1") == set()
    version = host.version()
    edit(kiln)
    assert host.ran("create:web1") == {"kiln", "create:web1"}
    assert host.version() != version
    edit(guest)
    assert host.ran("create:web1") == {"init", "initrd:web1", "create:web1"}
    wire = checkout.folder / "inferno/wire/models.py"
    wire.write_text(wire.read_text().replace(" quiet ", " ", 1))
    assert host.ran("create:web1") == {"initrd:web1", "config:web1", "create:web1"}
    assert "quiet" not in (host.version() / "firecracker.json").read_text()
