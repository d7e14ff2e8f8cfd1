"""A pipeline to copy: docker build -> VM -> boot test -> artifact. Run `doit` beside a Dockerfile, as root.

Each step runs only when what it is made from changed: the image when a source did, the VM when the image's digest did.
"""

import json
import socket
import subprocess
from pathlib import Path

APP, TAG, PORT = "app", "app:dev", 8080
SOURCES = [
    str(path) for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts and path.suffix != ".db"
]
ARTIFACT = f"{APP}.version.json"
DOIT_CONFIG = {"default_tasks": ["test", "artifact"], "verbosity": 2}


def infernoctl(*words):
    """Run infernoctl; its one line of JSON, if it prints one."""
    said = subprocess.run(["infernoctl", *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(said.splitlines()[-1]) if said.startswith("{") else None


def task_image():
    """docker build"""
    return {"actions": [["docker", "build", "--quiet", "--tag", TAG, "."]], "file_dep": SOURCES, "uptodate": [True]}


def task_vm():
    """a version of the VM; a no-op while the image's digest is the same"""

    def create():
        infernoctl("create", APP, "--image", f"docker-daemon:{TAG}", "--memory", "256")

    return {"actions": [create], "task_dep": ["image"]}


def task_test():
    """boots it, and asks it for an answer"""

    def boot():
        infernoctl("start", APP, "--detach")
        try:
            status = json.loads(subprocess.check_output(["infernoctl", "status", APP, "--json"]))
            with socket.create_connection((status["ip"], PORT), timeout=30) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert b"200" in connection.recv(64)
        finally:
            infernoctl("stop", APP)

    return {"actions": [boot], "task_dep": ["vm"]}


def task_artifact():
    """keeps what says which bytes were tested"""

    def keep():
        status = json.loads(subprocess.check_output(["infernoctl", "status", APP, "--json"]))
        record = Path(status["chroot_dir"]).parent / "version.json"
        Path(ARTIFACT).write_text(record.read_text())

    return {"actions": [keep], "task_dep": ["test"], "targets": [ARTIFACT]}
