"""A VM's whole life, as one would type it: create, start, curl, logs, stop, destroy. Run by tools/demo, as root.

Prints each command before what it says, and ends with one line of times.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

NAME = "demo"
INFERNOCTL = Path(sys.executable).with_name("infernoctl")
ANSWER_WITHIN_S = 60


def shown(*argv: str) -> tuple[str, float]:
    """Run a command in sight, its standard error too; return what it printed and the seconds it took."""
    print(f"\n$ {shlex.join(argv)}", flush=True)
    program = [str(INFERNOCTL), *argv[1:]] if argv[0] == "infernoctl" else list(argv)
    began = time.monotonic()
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=False)
    spent = time.monotonic() - began
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise SystemExit(f"demo: {shlex.join(argv)} ended with {done.returncode}")
    return done.stdout, spent


def first_byte(address: str, port: int) -> None:
    """Return when HTTP on the guest's port gives its first byte. The guest refuses until its program listens."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while True:
        try:
            with socket.create_connection((address, port), timeout=ANSWER_WITHIN_S) as connection:
                connection.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
                if connection.recv(1):
                    return
        except OSError as problem:
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: {address}:{port} did not answer: {problem}") from None
        time.sleep(0.005)


def web_port(image: str) -> int | None:
    """The first TCP port that the image says it listens on; the demo can talk HTTP to it. None: it says none."""
    from inferno.image import local_images
    from inferno.settings import load_settings

    settings = load_settings()
    stamp = local_images.stamp(image, settings)
    exposed = local_images.config(stamp.digest, settings).exposed_ports if stamp else []
    ports = sorted(int(port.partition("/")[0]) for port in exposed if not port.endswith("/udp"))
    return ports[0] if ports else None


def main(image: str) -> None:
    said, create_s = shown("infernoctl", "create", NAME, "--image", image, "--vcpus", "1", "--memory", "256")
    address = json.loads(said.splitlines()[-1])["network"]["guest_ip"]
    port = web_port(image)
    try:
        began = time.monotonic()
        shown("infernoctl", "start", NAME, "--detach")
        what, start_s = "start", time.monotonic() - began
        if port:
            first_byte(address, port)
            what, start_s = "start to first HTTP byte", time.monotonic() - began
            shown("curl", "--silent", "--show-error", "--include", "--max-time", "20", f"http://{address}:{port}/")
        shown("infernoctl", "logs", "tail", "--vm", NAME, "-n", "20")
        _, stop_s = shown("infernoctl", "stop", NAME)
    finally:
        shown("infernoctl", "destroy", NAME, "--force")
    place = "in the rig, emulated" if os.environ.get("DEMO_IN_RIG") else "on this host"
    print(f"\ndemo ({place}): create {create_s:.2f} s, {what} {start_s:.2f} s, stop {stop_s:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1])
