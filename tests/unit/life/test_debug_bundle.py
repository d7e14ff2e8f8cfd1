"""What is known of a VM, to be handed on: all that helps, none of the secrets; kept by itself when a run ends badly."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from inferno.base import records
from inferno.cli.main import main
from inferno.life import debug_bundle, exit_status, run_history
from inferno.life.exit_status import ExitStatus
from inferno.life.instance import Instance
from inferno.life.reconcile import clear, reconcile
from inferno.life.redaction import Redaction
from inferno.settings import load_settings
from inferno.spec.create_options import Spec
from inferno.state.database import State
from inferno.state.paths import VersionDir
from inferno.version.version_json import FORMAT, VersionRecord
from inferno.wire.shared import EXIT_STATUS

pytestmark = pytest.mark.root
ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
ENDED = ExitStatus(0, None, None, 3, None, False, None, "2026-11-30T12:00:00.000001Z", "2026-11-30T12:00:05.000001Z")
FAILED = ENDED._replace(exit_code=None, vm_signal=9, vm_error="firecracker was killed by signal 9")
# One of each kind of secret that there is; each has PLANTED in it.
ENV, IMAGES_ENV, ARGUMENT, KEY = "PLANTED-env", 'PLANTED "image"', "PLANTED-arg", "PLANTEDkey"


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("INFERNO_SSH_KEYS", f"ssh-ed25519 {KEY}")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    settings.root.mkdir()
    spec = Spec(
        image="oci:x", env=[f"PASSWORD={ENV}"], cmd=["serve", f"--token={ARGUMENT}"], ssh_key=[f"ssh-rsa {KEY}"]
    )
    with contextlib.closing(State(settings.db_path)) as state:
        state.reserve("web1")
        state.save("web1", spec.to_json(), ULID)
        row = state.vm("web1")
    assert row is not None
    made = Instance.of(settings, row)
    record = VersionRecord(
        FORMAT, ULID, "web1", 0, "sha256:ab", spec, 15, {"secret": ARGUMENT}, ("kiln.json",), "firecracker", (1, 1),
        "x", "2026-11-30T12:00:00.000001Z", ("it is the first version",),
    )  # fmt: skip
    version = made.paths.version(ULID)
    records.write(version.record, record)
    version.run_json.parent.mkdir(parents=True)
    version.run_json.write_text(json.dumps({"process": {"env": [f"IMAGE={IMAGES_ENV}", "PATH=/usr/bin"]}}))
    version.file("kiln.json").write_text(json.dumps({"path": "/usr/bin"}))
    write_log(made)
    return made


def write_log(vm: Instance) -> None:
    said = (
        ("kernel", f"exec with {ENV} and {IMAGES_ENV}"),
        ("kernel", "Kernel panic - not syncing"),
        ("stdout", f"PLANTED by the process, {ENV}"),
        ("firecracker", "Running Firecracker"),
    )
    vm.paths.logs.mkdir()
    lines = [{"timestamp": "2026-11-30T12:00:00.000000Z", "level": "info", "source": s, "message": m} for s, m in said]
    vm.paths.log("web1").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(vm: Instance, status: ExitStatus) -> VersionDir:
    """A start of the VM, as far as it is noted, and the end of its VMM."""
    version = vm.paths.version(ULID)
    version.jail.mkdir()
    exit_status.forget(vm.paths, vm.name)
    vm.mark(version)
    number = run_history.new_id()
    run_history.begin(vm, version, number)
    version.start.write_text(json.dumps({"format": 1, "run": number}))
    records.write(version.jail / EXIT_STATUS, status)
    return version


def unpacked(data: bytes) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        for entry in packed:
            file = packed.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read().decode()
    return found


def test_it_has_what_helps_and_no_secret(vm: Instance, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(vm, FAILED)
    assert main(["debug", "web1", "-o", "out.tar"]) == 0
    assert capfd.readouterr().out == "out.tar\n"
    packed = (tmp_path / "out.tar").read_bytes()
    assert stat.S_IMODE((tmp_path / "out.tar").stat().st_mode) == 0o600
    found = unpacked(packed)
    assert b"PLANTED" not in packed, [name for name, text in found.items() if "PLANTED" in text]
    assert "firecracker was killed by signal 9" in found["web1/about.txt"]
    log = found["web1/log.txt"].splitlines()
    assert log[0].endswith("exec with [value of PASSWORD] and [value of IMAGE]")
    assert [line.split()[1] for line in log] == ["kernel", "kernel", "firecracker"]
    assert json.loads(found["web1/version.json"])["variables"] == ["IMAGE", "PASSWORD", "PATH"]
    assert json.loads(found["web1/version.json"])["spec"]["memory"] == Spec(image="x").memory
    assert json.loads(found["web1/kiln.json"]) == {"path": "/usr/bin"}
    assert "INFERNO_SSH_KEYS=[not shown]" in found["web1/settings.txt"]
    assert "Linux" in found["web1/host.txt"]
    assert found["web1/rules.txt"]


def test_it_goes_to_a_folder_and_to_a_pipe(
    vm: Instance, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["debug", "web1", "-o", "folder/"]) == 0
    assert (tmp_path / "folder/log.txt").read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "folder").iterdir() if path.is_file()} == {0o600}
    capfdbinary.readouterr()
    assert main(["debug", "web1", "-o", "-"]) == 0
    assert "web1/log.txt" in unpacked(capfdbinary.readouterr().out)
    assert main(["debug", "web1"]) == 0
    assert (tmp_path / "web1-debug.tar").exists()
    assert main(["debug", "web2", "-o", "x"]) == 2
    assert main(["debug", "web1", "-o", "/proc/x"]) == 1


def test_one_is_kept_of_each_bad_end_and_three_at_most(vm: Instance) -> None:
    run(vm, ENDED)
    assert not reconcile(vm, "start", network=False)
    assert not vm.paths.debug("web1").exists(), "its process ended: that is not the VM's failure"
    clear(vm, run(vm, FAILED), ran=True, wanted=True)
    assert not vm.paths.debug("web1").exists(), "somebody stopped it"
    for _ in range(5):
        run(vm, FAILED)
        assert not reconcile(vm, "start", network=False)
    newest = [seen.run for seen in run_history.history(vm)][:3]
    kept = debug_bundle.kept(vm)
    assert [path.stem for path in kept] == newest
    assert stat.S_IMODE(vm.paths.debug("web1").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert not any(b"PLANTED" in path.read_bytes() for path in kept)
    assert "killed by signal 9" in unpacked(kept[0].read_bytes())["web1/about.txt"]


def test_what_cannot_be_kept_does_not_keep_the_run(vm: Instance) -> None:
    vm.paths.debug("web1").parent.mkdir(parents=True, exist_ok=True)
    vm.paths.debug("web1").write_text("in the way")
    run(vm, FAILED)
    assert not reconcile(vm, "start", network=False)
    assert vm.started() is None


def test_values_are_taken_out_the_longest_first() -> None:
    redaction = Redaction(["A=secret", "B=secret-two", "C=one\nlines", "D=abc", "E", "F="])
    assert redaction.text("secret secret-two lines abc https://me:pw@host/x") == (
        "[value of A] [value of B] [value of C] abc https://[login]@host/x"
    )
    assert Redaction([]).text("anything") == "anything"
    assert Redaction(["K=tw\x1bo"]).text("tw\\x1bo") == "[value of K]", "as a log's line is shown"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:p@ss@host/x@y", "https://[login]@host/x@y"),
        ("https://token@host", "https://[login]@host"),
        ("https://host/x?user=me&token=abc#end", "https://host/x?user=me&token=[not shown]#end"),
        ("https://host/x?X-Amz-Signature=abc&y=1", "https://host/x?X-Amz-Signature=[not shown]&y=1"),
        ('"https://host/x?apikey=abc"', '"https://host/x?apikey=[not shown]"'),
        ("https://host/x?page=2 and me@host", "https://host/x?page=2 and me@host"),
    ],
)
def test_what_opens_a_url_is_taken_out(url: str, shown: str) -> None:
    assert Redaction([]).text(url) == shown


def test_a_secret_across_the_end_of_a_cut_line_is_taken_out_whole(vm: Instance) -> None:
    said = {"timestamp": "2026-11-30T12:00:00.000000Z", "level": "info", "source": "kernel"}
    lines = [json.dumps({**said, "message": "x" * length + ENV}) for length in (1990, 1995, 1999)]
    vm.paths.log("web1").write_text("".join(f"{line}\n" for line in lines))
    log = debug_bundle.gather(vm, vm.paths.version(ULID), None)["log.txt"]
    assert len(log.splitlines()) == 3
    assert "x" * 1990 in log
    assert "PLANT" not in log
