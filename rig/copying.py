"""Files and folders in and out of the rig, as `cp -a` would: tar at one end, tar at the other."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from rig.command import Command
from rig.program import RigError
from rig.ssh import Ssh

# Into a folder that is there; else under the new name, whole or not at all.
_IN = """
set -e
if [ -d "$1" ]; then exec tar -x -C "$1"; fi
mkdir -p "$(dirname "$1")"
stage=$(mktemp -d -p "$(dirname "$1")")
trap 'rm -rf "$stage"' EXIT
tar -x -C "$stage"
mv -T "$stage/$2" "$1"
"""


def put(ssh: Ssh, source: Path, target: str) -> None:
    """Copy a file or folder to the path `target` in the rig, owned by root there. Raises RigError."""
    source = source.absolute()
    argv = ["tar", "-c", "--owner=root:0", "--group=root:0", "-C", str(source.parent), source.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packing:
        words = ["sh", "-c", _IN, "sh", target, source.name]
        unpacking = Command(ssh, words, stdin=packing.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert packing.stdout
        assert packing.stderr
        packing.stdout.close()
        _, said = unpacking.communicate()
        said = packing.stderr.read() + said
    if packing.returncode or unpacking.returncode:
        raise RigError(f"copying {source} in: {said.decode(errors='replace').strip()}")


def get(ssh: Ssh, source: str, target: Path) -> None:
    """Copy a file or folder of the rig to the path `target`, owned by the caller. Raises RigError."""
    target = target.absolute()
    parent = target if target.is_dir() else target.parent
    parent.mkdir(parents=True, exist_ok=True)
    words = ["sh", "-c", 'exec tar -c -C "$(dirname "$1")" "$(basename "$1")"', "sh", source]
    stage = Path(tempfile.mkdtemp(dir=parent))
    try:
        with Command(ssh, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packing:
            argv = ["tar", "-x", "--no-same-owner", "-C", str(stage)]
            done = subprocess.run(argv, stdin=packing.stdout, capture_output=True, check=False)
            said = (packing.stderr.read() if packing.stderr else b"") + done.stderr
        if packing.returncode or done.returncode:
            raise RigError(f"copying {source} out: {said.decode(errors='replace').strip()}")
        copied = next(stage.iterdir())
        copied.replace(parent / copied.name if target.is_dir() else target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
