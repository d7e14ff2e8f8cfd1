"""Stacks of layers by chance: the base that a host makes of them holds what umoci unpacks.

More of what test_images.py shows with one stack that has everything, and tests/unit/image/layers/test_tree.py
without mkfs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.machine import Rig
from tests import images, stacks
from tests.rig import umoci
from tests.rig.typed import Host

pytestmark = pytest.mark.full
SEEDS = range(1000, 1024)


def layers(seed: int) -> list[list[images.Member]]:
    return stacks.random_layers(random.Random(seed))


@pytest.fixture(scope="module")
def rig(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("stacks", numbered=True)
    for seed in SEEDS:
        images.build(folder / f"stack{seed}", layers(seed), Cmd=["/x"])
    with Rig.start(extra=folder) as rig:
        yield rig


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stack_by_chance_becomes_the_tree_that_umoci_unpacks(host: Host, seed: int, tmp_path: Path) -> None:
    lost_times = stacks.unpack(tmp_path, layers(seed))
    assert umoci.compare(host, f"stack{seed}", lost_times) >= 1
