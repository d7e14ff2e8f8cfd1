"""The golden files are what the host's models write, and only that: an extra, missing or mistyped field is refused."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from inferno.base import records
from inferno.life.exit_status import ExitStatus
from inferno.wire import models

HERE = Path(__file__).parent
MODELS = {"run": models.Run, "kiln": models.Kiln, "firecracker": models.Firecracker}


@pytest.mark.parametrize("name", MODELS)
def test_written_back_byte_for_byte(name: str) -> None:
    text = (HERE / f"{name}.json").read_text()
    model = MODELS[name].model_validate_json(text)
    assert models.dump(model) == text


@pytest.mark.parametrize("name", MODELS)
def test_unknown_field_is_refused(name: str) -> None:
    value = json.loads((HERE / f"{name}.json").read_text()) | {"surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        MODELS[name].model_validate_json(json.dumps(value))


def test_an_exit_status_is_what_kiln_writes() -> None:
    text = (HERE / "exit_status.json").read_text()
    found = records.plain(records.parse(ExitStatus, text, "it"))
    assert found.pop("run") is None, "the host says which run it was"
    assert records.text(found) == text
    value = json.loads(text)
    for changed in (value | {"surprise": 1}, {key: each for key, each in value.items() if key != "exit_code"}):
        with pytest.raises(records.BadRecordError, match=r"surprise|exit_code"):
            records.of(ExitStatus, changed, "it")


def test_out_of_range_vcpus_are_refused() -> None:
    value = json.loads((HERE / "firecracker.json").read_text())
    value["machine-config"]["vcpu_count"] = 33
    with pytest.raises(ValidationError, match="vcpu_count"):
        models.Firecracker.model_validate_json(json.dumps(value))
