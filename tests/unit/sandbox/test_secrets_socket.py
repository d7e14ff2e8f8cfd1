"""Secrets on their way into a jail: to the process that was launched, once, and never into a file."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.sandbox import secrets_socket
from inferno.sandbox.secrets_socket import Offer

DEADLINE_S = 20
MESSAGE = b"x" * 1_000_000 + b"\n"
# Fetches it as kiln does; says how much came.
FETCH = """
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect("secrets.sock")
n = 0
while data := s.recv(65536):
    n += len(data)
print(n)
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def fetching(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-ISc", FETCH], cwd=folder, stdout=subprocess.PIPE)


def served(offer: Offer) -> bool:
    """Once somebody is there."""
    assert select.select([offer], [], [], DEADLINE_S)[0]
    return offer.serve(DEADLINE_S)


def test_it_goes_to_what_was_launched_and_to_nobody_else(root: int, tmp_path: Path) -> None:
    with secrets_socket.offered(root, os.getuid(), MESSAGE) as offer:
        assert offer is not None
        other = fetching(tmp_path)
        assert not served(offer)
        assert other.communicate(timeout=DEADLINE_S)[0] == b"0\n"
        kiln = fetching(tmp_path)
        offer.launched = kiln.pid
        assert served(offer)
        assert kiln.communicate(timeout=DEADLINE_S)[0] == b"1000001\n"
        assert os.listdir(tmp_path) == [], "the name is gone with the message"
        assert MESSAGE not in vars(offer).values()


def test_only_the_vms_user_gets_in(root: int, tmp_path: Path) -> None:
    with secrets_socket.offered(root, os.getuid(), MESSAGE):
        info = (tmp_path / "secrets.sock").stat()
        assert (info.st_uid, info.st_mode & 0o777) == (os.getuid(), 0o600)
    assert os.listdir(tmp_path) == [], "and the name is gone with the wait"


def test_without_a_message_there_is_no_socket(root: int, tmp_path: Path) -> None:
    with secrets_socket.offered(root, os.getuid(), None) as offer:
        assert offer is None
        assert os.listdir(tmp_path) == []


def test_one_that_goes_away_while_it_is_served_is_not_waited_for(root: int, tmp_path: Path) -> None:
    with secrets_socket.offered(root, os.getuid(), MESSAGE) as offer, socket.socket(socket.AF_UNIX) as gone:
        assert offer is not None
        offer.launched = os.getpid()
        gone.connect(f"/proc/self/fd/{root}/secrets.sock")
        gone.close()
        assert served(offer)


def test_a_starter_that_is_killed_leaves_nothing_but_a_name_behind_which_nobody_is(tmp_path: Path) -> None:
    program = (
        "import os, signal; from inferno.sandbox import secrets_socket;"
        "root = os.open(os.environ['ROOT'], os.O_RDONLY);"
        "held = secrets_socket.offered(root, os.getuid(), b'hunter2'); held.__enter__();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], env={"ROOT": str(tmp_path), "PYTHONPATH": "."}, check=False)
    assert [path.is_socket() for path in tmp_path.iterdir()] == [True]
    with socket.socket(socket.AF_UNIX) as kiln, pytest.raises(ConnectionRefusedError):
        kiln.connect(str(tmp_path / "secrets.sock"))
