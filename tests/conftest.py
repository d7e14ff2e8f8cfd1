"""What all tests share: an environment without the caller's settings, a plain word where root is missing."""

import os
import signal
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


def pytest_configure(config: pytest.Config) -> None:
    """A shell starts what it puts into the background with SIGINT and SIGQUIT ignored, nohup with SIGHUP, and children
    inherit that: tests of Ctrl-C would wait for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before xdist looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs in one process, where there are several: a file. Those that boot a rig come first: they are the
    longest, and while nothing else runs two of them at a time are what two processors bear."""
    items.sort(key=_in_rig, reverse=True)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _in_rig(item: pytest.Item) -> bool:
    return item.path.parent.name == "rig"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.fail("this test needs root: sudo make test, or leave it out with -m 'not root'", pytrace=False)
