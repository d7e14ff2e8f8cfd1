"""What the rig's tests share: one rig per file, the images in it, and commands typed there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import prepared
from tests.rig.machine import Rig
from tests.rig.typed import Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.rig)


@pytest.fixture(scope="session")
def layouts() -> Path:
    return prepared.layouts()


@pytest.fixture(scope="session")
def built() -> None:
    prepared.build_artifacts()


@pytest.fixture(scope="session")
def extra(built: None) -> Path:
    return prepared.extra()


@pytest.fixture(scope="module")
def rig(extra: Path) -> Iterator[Rig]:
    with prepared.rig(extra) as rig:
        yield rig


@pytest.fixture(scope="module")
def host(rig: Rig) -> Host:
    return Host(rig)
