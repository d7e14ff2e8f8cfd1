"""What the rig's tests share: one rig per file, the images in it, and commands typed there."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from rig.machine import Rig
from tests.rig import evidence, prepared
from tests.rig.typed import Host

_HOST = pytest.StashKey[Host]()
# Only a test that hangs waits for it: the longest takes three minutes on a quiet machine, and ten on a busy one.
HANGS_S = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.rig)
            item.add_marker(pytest.mark.timeout(HANGS_S))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.geteuid() != 0:
        pytest.fail(
            "the rig is made and started as root: sudo make test, or leave it out with -m 'not rig'", pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The rig is gone when somebody reads the report of a failure: what it knew goes along."""
    report = yield
    module = item.getparent(pytest.Module)
    host = module.stash.get(_HOST, None) if module else None
    if host is not None and report.failed:
        report.sections += evidence.sections(host)
    if host is not None and report.when == "teardown":
        host.journal.clear()
    return report


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
def host(rig: Rig, request: pytest.FixtureRequest) -> Host:
    request.node.stash[_HOST] = host = Host(rig)
    return host
