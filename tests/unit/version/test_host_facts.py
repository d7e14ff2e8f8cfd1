"""Facts of this host that guests are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferno.version import host_facts


def test_each_vm_has_a_machine_id_of_its_own_on_each_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_text("a" * 32 + "\n")
    (tmp_path / "two").write_text("b" * 32 + "\n")
    ids = set()
    for host in ("one", "two", "none"):
        monkeypatch.setattr(host_facts, "MACHINE_ID", tmp_path / host)
        ids |= {host_facts.machine_id(name) for name in ("web1", "web2")}
    assert len(ids) == 6
    assert {len(each) for each in ids} == {32}
