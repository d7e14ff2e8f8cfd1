"""Programs of this machine, as an ordinary user calls them."""

from __future__ import annotations

import os

import pytest

from rig import program


def test_programs_of_roots_are_found_by_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games")  # Debian's /etc/login.defs
    with pytest.raises(program.RigError, match="not installed"):
        program.command("sysctl", "--version")
    program.search_sbin()
    assert program.command("sysctl", "--version").startswith("sysctl")
    once = os.environ["PATH"]
    program.search_sbin()
    assert os.environ["PATH"] == once
