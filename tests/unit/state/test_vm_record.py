"""spec.json: it says what the database does, is read strictly, and one that is damaged or newer is said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferno.base.records import BadRecordError, NewerRecordError
from inferno.spec.create_options import Spec
from inferno.state import vm_record
from inferno.state.database import VmRow
from inferno.state.paths import Paths

SPEC = Spec("nginx:latest", memory=256, env=["KEY=s3cret", "NAME=é"], cmd=["nginx", "-g", "daemon off;"], tty=True)
ROW = VmRow("web1", 7, SPEC.to_json(), "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "2026-11-24T14:17:02.123Z")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    vm_record.write(made, ROW)
    return made


def test_it_holds_all_that_the_database_knows(paths: Paths) -> None:
    found = vm_record.read(paths.vm_record("web1"))
    assert found == vm_record.VmRecord(vm_record.FORMAT, "web1", 7, str(ROW.version), ROW.created_at, SPEC)
    assert set(VmRow._fields) < set(found._fields), "a column that is not in the file would be lost"
    assert paths.vm_record("web1").stat().st_mode & 0o777 == 0o600, "the environment may hold secrets"
    assert vm_record.is_written(paths, ROW)


@pytest.mark.parametrize(
    "row",
    [ROW._replace(slot=8), ROW._replace(version="01JD8ZK3V5N9Q2R7T4W6X8Y0AC"), ROW._replace(spec={"image": "x"})],
)
def test_one_that_is_out_of_date_is_seen(paths: Paths, row: VmRow) -> None:
    assert not vm_record.is_written(paths, row)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"\xff"), lambda p: p.write_text("")])
def test_one_that_is_damaged_is_seen(paths: Paths, damage: Any) -> None:
    damage(paths.vm_record("web1"))
    assert not vm_record.is_written(paths, ROW)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"slot": 16384}, "slot is out of range: 0 to 16383"),
        ({"spec": {"memory": 1}}, "spec.image is missing"),
        ({"spec": {"image": "x", "memory": "1"}}, "spec.memory is a string, not an integer"),
        ({"spec": {"image": "x", "disk": 1}}, "spec.disk is not a field that this Inferno knows"),
        ({"policy": "always"}, "policy is not a field that this Inferno knows"),
        ({"format": 0}, "format is out of range"),
    ],
)
def test_an_error_names_the_file_and_the_field(paths: Paths, change: dict[str, Any], says: str) -> None:
    path = paths.vm_record("web1")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadRecordError, match=says) as caught:
        vm_record.read(path)
    assert caught.value.text.startswith(f"{path}: ")


def test_one_of_a_newer_inferno_is_refused_and_not_half_read(paths: Paths) -> None:
    path = paths.vm_record("web1")
    path.write_text(json.dumps({"format": vm_record.FORMAT + 1, "all": "else may differ"}))
    with pytest.raises(NewerRecordError, match="newer Inferno"):
        vm_record.read(path)


def test_all_of_them_are_found_by_name(paths: Paths) -> None:
    vm_record.write(paths, ROW._replace(name="app"))
    (paths.vms / "kiln").mkdir()
    assert [path.parent.name for path in vm_record.files(paths)] == ["app", "web1"]
    assert list(vm_record.files(Paths(paths.root / "nowhere"))) == []
