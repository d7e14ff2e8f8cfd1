"""A pipeline to copy: docker build -> VM -> boot test -> artifact. Run `doit` beside a Dockerfile, as root.

Each step runs only when what it is made from changed: the image when a source did, the VM when the image's digest did,
the test and the artifact when the VM did.
"""

import json
import subprocess
from pathlib import Path

from doit.tools import result_dep

from inferno.pipeline import *

APP, TAG, PORT = "app", "app:dev", 8080
ARTIFACT = f"{APP}.version.json"
OURS = (ARTIFACT, "dodo.py", ".git", "__pycache__")
SOURCES = [
    str(path) for path in Path().rglob("*")
    if path.is_file() and not path.name.startswith(".doit") and not set(path.parts) & set(OURS)
]  # fmt: skip
DOIT_CONFIG["default_tasks"] = ["test", "artifact"]

vm(APP, image=f"docker-daemon:{TAG}", memory=256, after="build")


def infernoctl(*words):
    """Run infernoctl; what it printed."""
    return subprocess.run(["infernoctl", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def status():
    return json.loads(infernoctl("status", APP, "--json"))


def task_build():
    """docker build"""
    return {"actions": [["docker", "build", "--quiet", "--tag", TAG, "."]], "file_dep": SOURCES, "uptodate": [True]}


def task_test():
    """boots it, and asks it for an answer"""

    def boot():
        infernoctl("start", APP, "--detach")
        try:
            # It runs from now on; when it listens is its own affair.
            curl = ["curl", "--silent", "--show-error", "--fail", "--retry", "30", "--retry-delay", "1"]
            answer = f"http://{status()['ip']}:{PORT}/"
            subprocess.run([*curl, "--retry-connrefused", answer], check=True, stdout=subprocess.DEVNULL)
        finally:
            infernoctl("stop", APP)

    return {"actions": [boot], "uptodate": [result_dep(f"create:{APP}")]}


def task_artifact():
    """keeps what says which bytes were tested"""

    def keep():
        record = Path(status()["chroot_dir"]).parent / "version.json"
        Path(ARTIFACT).write_text(record.read_text())

    return {
        "actions": [keep],
        "task_dep": ["test"],
        "targets": [ARTIFACT],
        "uptodate": [result_dep(f"create:{APP}")],
    }
