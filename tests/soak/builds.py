"""A build or a removal killed at some moment, here and without a VM: the next command converges, nothing is left over.

One of `create` (its image known or not), `destroy`, `images pull` and `images prune` gets SIGKILL, alone or with all
that it started, some time after it began or once it has named a step. Then another command is typed, and a whole life:
create, a look at the images' digests, destroy, prune. All of it ends well, and afterwards the folder is as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import images

NEEDS = "root"
LATEST = 1.1  # of the time that the command usually takes
DEADLINE_S = 120
INFERNOCTL = Path(sys.executable).parent / "infernoctl"

# What is typed behind `infernoctl`, and what has to be there before.
WORDS = {
    "create": "create web --image IMAGE -- true",
    "create of a known image": "create web --image IMAGE -- true",
    "destroy": "destroy web --yes",
    "pull": "images pull IMAGE",
    "prune": "images prune",
}
BEFORE = {
    "create": (),
    "create of a known image": ("pull",),
    "destroy": ("create",),
    "pull": (),
    "prune": ("pull",),
}
FOLLOWING = ("list --json", "images --json", "create other --image IMAGE -- true", "images prune", "db tables")
# Without these the commands of the next life would load nothing anew; they hold no build's result.
LEFT_OUT = ("inferno.db", "tasks.db", "locks")


@dataclass(frozen=True)
class Folder:
    """An INFERNO_ROOT, an image beside it, what lies in it at rest, and the seconds that each verb usually takes."""

    path: Path
    at_rest: set[str]
    usual_s: dict[str, float]

    def type(self, line: str, *, may_fail: bool = False) -> str:
        """`infernoctl LINE`; what it printed. Raises AssertionError where it fails, and may not."""
        done = subprocess.run(
            self.words(line),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert may_fail or done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def words(self, line: str) -> list[str]:
        image = f"oci:{self.path / 'layout'}"
        return [str(INFERNOCTL), *(image if word == "IMAGE" else word for word in line.split())]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "INFERNO_ROOT": str(self.path / "root"), "INFERNO_STORAGE": "file"}

    def begin(self, verb: str) -> None:
        for earlier in BEFORE[verb]:
            self.type(WORDS[earlier])

    def kill(self, verb: str, chance: random.Random) -> str:
        """Type the verb's line and kill it. Returns in words when that was, and whether with what it had started."""
        group, at_a_step = chance.random() < 0.5, chance.random() < 0.5
        after_s = chance.uniform(0, LATEST if not at_a_step else 0.1) * self.usual_s[verb]
        steps = chance.randint(1, 8) if at_a_step else 0
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(
            self.words(WORDS[verb]),
            env=self.environment(),
            stdin=nothing,
            stdout=nothing,
            stderr=pipe,
            text=True,
            start_new_session=True,
        ) as command:
            assert command.stderr is not None
            said = [line.strip() for line, _ in zip(command.stderr, range(steps), strict=False)]
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(after_s)
            ended = command.poll() is not None
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(command.pid, signal.SIGKILL)
        where = f"{after_s:.3f} s after {said[-1]!r}" if said else f"after {after_s:.3f} s"
        return f"{verb} {'had ended' if ended else 'killed'} {where}{', with what it started' if group else ''}"

    def lives(self) -> None:
        """A whole life ends well, and leaves the folder as it is at rest."""
        self.type(WORDS["create"])
        assert [row["name"] for row in json.loads(self.type("list --json")) if row["name"] == "web"] == ["web"]
        self.type("images check --all")
        for name in ("web", "other"):
            self.type(f"destroy {name} --yes", may_fail=name == "other")
        self.type(WORDS["prune"])
        now = self.lies_there()
        changed = [*(f"+ {line}" for line in now - self.at_rest), *(f"- {line}" for line in self.at_rest - now)]
        assert not changed, "\n".join(sorted(changed))

    def lies_there(self) -> set[str]:
        """Each file and folder of INFERNO_ROOT, with its mode and its owner; and the VMs that are known."""
        root = self.path / "root"
        found = {f"known: {row['name']}" for row in json.loads(self.type("list --json"))}
        for path in root.rglob("*"):
            name = path.relative_to(root)
            if not str(name).startswith(LEFT_OUT):
                info = path.lstat()
                found.add(f"{name} {info.st_mode:o} {info.st_uid}:{info.st_gid}")
        return found


@contextlib.contextmanager
def place() -> Iterator[Folder]:
    """A folder in which a whole life has been, and each verb was timed."""
    folder = Path(tempfile.mkdtemp(prefix="soak-builds."))
    try:
        images.busybox(folder / "layout")
        made = Folder(folder, set(), {})
        for verb, line in WORDS.items():
            made.begin(verb)
            began = time.monotonic()
            made.type(line)
            made.usual_s[verb] = time.monotonic() - began
            made.type("destroy web --yes", may_fail=True)
            made.type(WORDS["prune"])
        made.at_rest.update(made.lies_there())
        yield made
    finally:
        shutil.rmtree(folder)


def trial(seed: int, place: Folder) -> str:
    """Kill one command, type another, and look at what is there after a whole life."""
    chance = random.Random(seed)
    verb = chance.choice(list(WORDS))
    following = chance.choice([WORDS[verb], *FOLLOWING])
    place.begin(verb)
    killed = place.kill(verb, chance)
    place.type(following, may_fail=following == WORDS["destroy"])
    place.lives()
    return f"{killed}, then {following}"
