"""tools/as-root: what an ordinary user's `make` runs as root, by a stand-in for sudo; and what root gives back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

USER = 61236
# Debian's own of an ordinary user, without root's programs; wherever the tests' Python is, another user may run these.
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
ROOTS = "/usr/local/sbin:/usr/sbin:/sbin"
# As sudo would it keeps of the environment only what it is told of, and says what a command of root's then had.
SUDO = """#!/usr/bin/python3
import json, os, sys
from pathlib import Path
words, here = sys.argv[1:], Path(__file__).parent
with open(here / "asked", "a") as file:
    print(*words, file=file)
if words in (["-n", "true"], ["-k", "-n", "true"]):
    sys.exit(int((here / "status").read_text()))
kept = words[0].removeprefix("--preserve-env=").split(",")
assert words[1:3] == ["--", "env"], words
had = {"PATH": "/secure", **{name: os.environ[name] for name in kept}}
command = words[3:]
while "=" in command[0]:
    had.update([command.pop(0).split("=", 1)])
print(json.dumps([had, command]))
"""


class Place:
    """A user's home, with a checkout that holds nothing but the tool."""

    def __init__(self, home: Path) -> None:
        self.home, self.checkout = home, home / "check out"
        self.tool = self.checkout / "tools/as-root"
        self.tool.parent.mkdir(parents=True)
        shutil.copy(CHECKOUT / "tools/as-root", self.tool)
        self.bin = home / "bin"
        self.bin.mkdir()
        self.env = {"PATH": f"{self.bin}:{PATH}", "HOME": str(home)}

    def sudo(self, status: int) -> None:
        """Put sudo there; `status` is what it says when it is told not to ask."""
        (self.bin / "sudo").write_text(SUDO)
        (self.bin / "sudo").chmod(0o755)
        (self.bin / "status").write_text(str(status))

    def own(self) -> None:
        for path in [self.home, *self.home.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)

    def run(self, *words: str, user: int | None = USER, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tool, *words],
            cwd=self.checkout,
            env={**self.env, **env},
            user=user,
            group=user,
            extra_groups=[],
            start_new_session=True,  # without a terminal
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below what only root may enter
        os.chmod(folder, 0o755)
        yield Place(Path(folder, "home"))


pytestmark = pytest.mark.root


def test_root_gives_back_what_it_made_in_a_users_checkout_and_cache(place: Place) -> None:
    cache = place.home / ".cache/inferno"
    (cache / "rig").mkdir(parents=True)
    place.own()
    script = (
        f"mkdir -p made/deep && echo x > made/deep/file && ln made/deep/file twice && cd '{cache}' && touch own rig/s"
    )
    done = place.run("sh", "-c", f"{script}; exit 7", user=0)
    assert done.returncode == 7, done.stderr
    owners = {name: (place.checkout / name).stat().st_uid for name in ("made", "made/deep", "twice")}
    assert owners == {"made": USER, "made/deep": USER, "twice": 0}, "what has two names may be anything's"
    assert ((cache / "own").stat().st_uid, (cache / "rig/s").stat().st_uid) == (USER, 0)


def test_a_signal_reaches_the_command_and_what_it_made_is_given_back(place: Place) -> None:
    place.own()
    script = "trap 'touch late; exit 9' TERM; echo up; while :; do sleep 1000 & wait; done"
    argv = [place.tool, "sh", "-c", script]
    with subprocess.Popen(argv, cwd=place.checkout, env=place.env, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 9
    assert (place.checkout / "late").stat().st_uid == USER


def test_sudo_is_told_where_the_users_things_are_and_no_more(place: Place) -> None:
    place.sudo(0)
    (place.home / ".cargo").mkdir()
    place.own()
    done = place.run(
        "some", "words", PIP_INDEX_URL="https://me:secret@index", https_proxy="p", EDITOR="ed", XDG_DATA_HOME="/d"
    )
    assert done.returncode == 0, done.stderr
    had, command = json.loads(done.stdout)
    assert command == ["/usr/bin/python3", str(place.tool), "some", "words"]
    assert had == {
        "PATH": f"{place.env['PATH']}:{ROOTS}",
        "HOME": "/root",
        "XDG_CACHE_HOME": f"{place.home}/.cache",
        "CARGO_HOME": f"{place.home}/.cargo",
        "PIP_INDEX_URL": "https://me:secret@index",
        "https_proxy": "p",
    }
    assert "secret" not in (place.bin / "asked").read_text(), "sudo writes its command lines into a log"
    assert (place.home / ".cache/inferno").stat().st_uid == USER


@pytest.mark.parametrize("asked", ["true", "--ahead"])
def test_without_a_way_to_root_there_is_one_line(place: Place, asked: str) -> None:
    (place.bin / "python3").symlink_to("/usr/bin/python3")
    place.own()
    done = place.run(asked, PATH=str(place.bin))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "there is no sudo" in done.stderr
    place.sudo(1)
    done = place.run(asked)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "sudo cannot ask for a password without a terminal" in done.stderr
