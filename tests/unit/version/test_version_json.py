"""version.json: read whatever release wrote it; one that is damaged is named, file and field, and counts as broken."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from inferno.base import records
from inferno.base.errors import InfernoError
from inferno.base.records import BadRecordError, NewerRecordError
from inferno.image import catalog
from inferno.life import start, stop
from inferno.life.instance import Instance
from inferno.settings import load_settings
from inferno.spec.create_options import Spec
from inferno.state.paths import Paths, VersionDir
from inferno.state.slot import Slot
from inferno.version import versions, why
from inferno.version.version_json import FORMAT, VersionRecord

ULID, DIGEST = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", f"sha256:{'5' * 64}"
RECORD = VersionRecord(
    format=FORMAT,
    ulid=ULID,
    name="web1",
    slot=7,
    image=DIGEST,
    spec=Spec("nginx:latest", memory=256, tty=True),
    stop_signal=3,
    inputs={"image": DIGEST, "spec": {"image": "nginx:latest"}},
    files=("firecracker.json", "version.json"),
    exec_name="kiln",
    base=(4096, 1764512222123456789),
    scratch_template="store/scratch-5120-0/scratch.img",
    created_at="2026-11-24T14:17:02.123Z",
    why=("it is the first version",),
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def version(paths: Paths) -> VersionDir:
    made = paths.version(ULID)
    records.write(made.record, RECORD)
    paths.vm("web1").mkdir()
    paths.current("web1").symlink_to(f"../kiln/{ULID}")
    return made


def change(version: VersionDir, **changes: Any) -> None:
    version.record.write_text(json.dumps({**json.loads(version.record.read_text()), **changes}))


def test_what_is_written_is_read_again(version: VersionDir) -> None:
    assert versions.read(version) == versions.usable(version) == RECORD


def test_one_of_the_next_release_is_read(version: VersionDir) -> None:
    spec = {**records.plain(RECORD.spec), "balloon": 64}
    change(version, run_format=3, spec=spec)
    assert versions.read(version) == RECORD


def test_a_spec_with_fewer_fields_is_read(version: VersionDir) -> None:
    change(version, spec={"image": "nginx:latest"})
    assert versions.read(version) == RECORD._replace(spec=Spec("nginx:latest"))


def test_one_of_the_release_before_is_read(version: VersionDir, paths: Paths) -> None:
    """As 0.1.0 wrote it: without a number, the stop signal in the spec, the image among the inputs alone."""
    before = json.loads(version.record.read_text())
    for name in ("format", "image", "stop_signal"):
        del before[name]
    before["spec"] = {"image": "nginx:latest", "vcpus": 1, "memory": 256, "tty": True, "stop_signal": 3}
    before["artifacts"] = {"kiln": "5" * 64}
    version.record.write_text(json.dumps(before))
    assert versions.read(version) == RECORD
    assert stop._stop_signal(version) == 3
    assert catalog.users(load_settings({"INFERNO_ROOT": str(paths.root)}, Path("/nowhere"))) == {DIGEST: {"web1"}}
    del before["inputs"]["image"]
    version.record.write_text(json.dumps(before))
    with pytest.raises(BadRecordError, match=r"version\.json: inputs: image is missing"):
        versions.read(version)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exec_name": None}, "exec_name is null, not a string"),
        ({"stop_signal": 0}, "stop_signal is out of range: 1 to 64"),
        ({"base": [4096]}, "base has 1 entries, not 2"),
        ({"spec": {"image": "x", "vcpus": "2"}}, "spec.vcpus is a string, not an integer"),
        ({"spec": {}}, "spec.image is missing"),
        ({"files": ["a", 1]}, "files.[1] is an integer, not a string"),
    ],
)
def test_a_damaged_one_is_named_by_start_and_counts_as_broken_elsewhere(
    version: VersionDir, paths: Paths, changes: dict[str, Any], says: str
) -> None:
    change(version, **changes)
    with pytest.raises(BadRecordError) as caught:
        versions.read(version)
    assert caught.value.text == f"{version.record}: {says}"
    settings = load_settings({"INFERNO_ROOT": str(paths.root)}, Path("/nowhere"))
    with contextlib.ExitStack() as undo, pytest.raises(InfernoError) as told:
        start.prepare(Instance(settings, "web1", Slot(7), ULID), undo)
    assert (told.value.text, told.value.hint) == (caught.value.text, "doit create:web1 makes it again")
    assert versions.usable(version) is None
    assert not versions.intact(paths, "web1", ULID)
    assert why.told(paths, ULID) == []


def test_one_of_a_format_to_come_is_not_half_read(version: VersionDir) -> None:
    change(version, format=FORMAT + 1)
    with pytest.raises(NewerRecordError, match="newer Inferno"):
        versions.read(version)
    assert versions.usable(version) is None


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_stop_takes_sigterm_where_the_record_cannot_be_read(version: VersionDir, text: bytes) -> None:
    assert stop._stop_signal(version) == 3
    version.record.write_bytes(text)
    assert stop._stop_signal(version) == 15


def test_the_use_of_an_image_is_seen_in_it(version: VersionDir, paths: Paths) -> None:
    settings = load_settings({"INFERNO_ROOT": str(paths.root)}, Path("/nowhere"))
    assert catalog.users(settings) == {DIGEST: {"web1"}}
    change(version, spec="damaged")
    assert catalog.users(settings) == {DIGEST: {"web1"}}, "as long as it says whose it is"
    version.record.write_text("{}")
    assert catalog.users(settings) == {}
