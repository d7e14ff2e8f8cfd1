"""Times boots on a host that can: run in the rig (or on any Inferno host, as root) by bench_boot. Prints JSON.

    python -m tests.bench.boot_in_rig IMAGE RUNS

Three ways to the same nginx's first HTTP byte, in turn: firecracker alone, with the same kernel, initrd and disks;
from the jailer's launch; from the start of `infernoctl start --detach`. Then how long a stop takes beyond the
process's end, beside an empty Python. What was written before is on the disk before each of them begins.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "bench"
ANSWER_WITHIN_S = 120
PORTS = (10000, 10001)
Times = dict[str, list[float]]


def main(image: str, runs: int) -> None:
    ctl("create", NAME, "--image", image, "--memory", "256")
    status = json.loads(ctl("status", NAME, "--json"))
    version = Path(status["chroot_dir"]).parent
    found: Times = {"raw": [], "launch": [], "start": [], "stop": [], "python": [], "kiln_rss_kib": []}
    try:
        for number in range(runs + 1):
            once = measure(status["ip"], version)
            for key, value in once.items():
                found[key] += [value] if number else []  # the first warms the caches
    finally:
        ctl("destroy", NAME, "--force")
    json.dump(found, sys.stdout)


def measure(address: str, version: Path) -> dict[str, float]:
    os.sync()
    began = time.monotonic()
    ctl("start", NAME, "--detach")
    answered = first_byte(address)
    status = json.loads(ctl("status", NAME, "--json"))
    found = {"start": answered - began, "launch": answered - process_start(status["pid"])}
    found["kiln_rss_kib"] = rss_kib(status["pid"])
    os.sync()
    ctl("stop", NAME)
    ended = time.time()
    exited = datetime.datetime.fromisoformat(json.loads(ctl("status", NAME, "--json"))["exited_at"])
    found["stop"] = ended - exited.timestamp()
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    found["python"] = time.monotonic() - began
    found["raw"] = raw(address, version)
    return found


def ctl(*words: str) -> str:
    return subprocess.run(["infernoctl", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def process_start(pid: int) -> float:
    """When a process was forked, by the monotonic clock, to a hundredth: proc(5), field 22, since boot."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return since_boot - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())


def rss_kib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def first_byte(address: str) -> float:
    """When HTTP gives its first byte. The guest refuses until its program listens."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address, 80), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if connection.recv(1):
                return time.monotonic()
        time.sleep(0.002)
    raise SystemExit(f"{address} gave no answer")


def raw(address: str, version: Path) -> float:
    """Firecracker alone, as root, without jailer, cgroup or kiln."""
    subprocess.run(["infernoctl", "task", f"network:{NAME}"], check=True, capture_output=True)
    with tempfile.TemporaryDirectory(dir=version.parent.parent) as folder:
        work = Path(folder)
        record = json.loads((version / "version.json").read_text())
        root = version.parent.parent.parent
        argv = ["cp", "--sparse=always", root / record["scratch_template"], work / "scratch.img"]
        subprocess.run(argv, check=True)
        (work / "config.json").write_text(json.dumps(config(version, work)))
        with listening(work):
            os.sync()
            began = time.monotonic()
            vmm = subprocess.Popen(
                [version / "firecracker", "--no-api", "--config-file", work / "config.json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            try:
                return first_byte(address) - began
            finally:
                vmm.kill()
                vmm.wait()


def config(version: Path, work: Path) -> dict[str, Any]:
    """firecracker.json of the version, its paths those of this host."""
    value: dict[str, Any] = json.loads((version / "firecracker.json").read_text())
    boot = value["boot-source"]
    boot["kernel_image_path"], boot["initrd_path"] = str(version / "vmlinux"), str(version / "initrd.cpio")
    places = {"/rootfs.img": version / "rootfs.img", "/scratch.img": work / "scratch.img"}
    for drive in value["drives"]:
        drive["path_on_host"] = str(places[drive["path_on_host"]])
    value["vsock"]["uds_path"] = str(work / "vsock")
    return value


@contextlib.contextmanager
def listening(work: Path) -> Iterator[None]:
    """What init wants to talk to: sockets that take all and answer nothing."""
    sockets = []
    for port in PORTS:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(work / f"vsock_{port}"))
        listener.listen()
        sockets.append(listener)
        threading.Thread(target=drain, args=(listener,), daemon=True).start()
    try:
        yield
    finally:
        for listener in sockets:
            listener.close()


def drain(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        while connection.recv(1 << 16):
            pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
