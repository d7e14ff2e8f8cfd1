"""What is said of a thin pool before a VM gets a disk of it. LVM itself needs device-mapper, which the rig has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.disk import scratch
from inferno.disk.backend import lvm_pool
from inferno.settings import Settings, load_settings

WHOLE = {"zero": "zero", "data_percent": "12.50", "metadata_percent": "3.00", "lv_health_status": "", "lv_tags": ""}


def settings(**values: str) -> Settings:
    return load_settings({"INFERNO_STORAGE": "lvm", "VG_NAME": "vg", **values}, env_file=Path("/nonexistent"))


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins for LVM's commands are found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def says(bin_dir: Path, script: str, name: str = "lvs") -> None:
    (bin_dir / name).write_text(f"#!/bin/sh\n{script}\n")
    (bin_dir / name).chmod(0o755)


def holds(bin_dir: Path, **volumes: dict[str, str]) -> None:
    """A group with these volumes, as lvs 2.03.31 reports it."""
    report = {"report": [{"lv": [{"lv_name": name, **WHOLE, **facts} for name, facts in volumes.items()]}], "log": []}
    (bin_dir / "report").write_text(json.dumps(report))
    says(bin_dir, f"cat {bin_dir}/report")


def test_a_pool_and_what_is_in_it(bin_dir: Path) -> None:
    holds(bin_dir, rootfs_pool={}, inferno_run_1={"lv_tags": "inferno:abc,x", "zero": ""})
    found = lvm_pool.read("vg")
    assert (found.path, found.data, found.metadata) == ("vg/rootfs_pool", 12.5, 3.0)
    assert found.volumes["inferno_run_1"] == {"inferno:abc", "x"}
    lvm_pool.check(settings())


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"data_percent": "90.00"}, r"vg/rootfs_pool is 90.0 % full; from 90 % on"),
        ({"metadata_percent": "95.50"}, r"metadata is 95.5 % full"),
        ({"zero": ""}, "does not zero"),
        ({"lv_health_status": "out_of_data"}, "in trouble: out_of_data"),
    ],
)
def test_a_pool_that_no_vm_should_get_a_disk_of(bin_dir: Path, facts: dict[str, str], text: str) -> None:
    holds(bin_dir, rootfs_pool=facts)
    with pytest.raises(InfernoError, match=text) as caught:
        lvm_pool.check(settings())
    assert caught.value.hint
    assert (caught.value.status, caught.value.text.count("\n")) == (1, 0)


def test_the_limit_is_a_setting(bin_dir: Path) -> None:
    holds(bin_dir, rootfs_pool={"data_percent": "90.00"})
    lvm_pool.check(settings(INFERNO_POOL_MAX_PERCENT="95"))


def test_a_pool_that_is_not_there(bin_dir: Path) -> None:
    holds(bin_dir, another={"data_percent": "1.00"})
    with pytest.raises(UsageError, match="no thin pool vg/rootfs_pool"):
        lvm_pool.check(settings())
    says(bin_dir, 'echo "  Volume group \\"vg\\" not found" >&2; exit 5')
    with pytest.raises(UsageError, match="no thin pool vg/rootfs_pool"):
        lvm_pool.check(settings())
    says(bin_dir, "echo '  Permission denied' >&2; exit 5")
    with pytest.raises(InfernoError, match="lvs ended with status 5: Permission denied"):
        lvm_pool.check(settings())
    with pytest.raises(UsageError, match="not a name of a volume group"):
        lvm_pool.check(settings(VG_NAME="-x"))


def test_a_host_is_asked_for_what_its_storage_needs() -> None:
    assert scratch.tools(settings(INFERNO_STORAGE="file")) == scratch.checks(settings(INFERNO_STORAGE="file")) == ()
    assert [check.what for check in scratch.tools(settings())] == ["lvcreate"]
    assert [check.what for check in scratch.checks(settings())] == ["lvcreate", "the thin pool"]
    with pytest.raises(UsageError, match="INFERNO_STORAGE='zfs' is not file or lvm"):
        settings(INFERNO_STORAGE="zfs")
