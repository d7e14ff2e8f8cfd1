"""What all tests share: an environment without the caller's settings, a plain word where root is missing."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
_SETTINGS = ("INFERNO_", "DB_PATH", "VG_NAME", "ROOTFS_SIZE_MB", "LOG_LEVEL", "DOIT_", "XDG_")


@pytest.fixture
def checkout() -> Path:
    """The folder that holds pyproject.toml."""
    return CHECKOUT


@pytest.fixture(autouse=True)
def no_settings_from_outside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own. The rig's tests need theirs (INFERNO_ROOT)."""
    if request.node.get_closest_marker("rig"):
        return
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        monkeypatch.delenv(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.fail("this test needs root: sudo make test, or leave it out with -m 'not root'", pytrace=False)
