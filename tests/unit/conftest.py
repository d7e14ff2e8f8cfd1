"""What unit tests share beyond one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loghost import LogHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    """The host of tests about logs; a file about something else has another."""
    host = LogHost(tmp_path)
    yield host
    host.close()
