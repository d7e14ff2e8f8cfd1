"""Commands that are cut short, and what must hold then: the next command converges, and nothing is left over."""

from __future__ import annotations

import subprocess
import time

from tests.rig.typed import Host

SERVER = "mkdir /www; echo hello > /www/index.html; trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"
ANSWERS = "curl --silent --retry 20 --retry-connrefused --retry-delay 0 --fail http://172.16.0.2/"


def kill(host: Host, after_s: float, line: str = "start web --detach", settings: str = "") -> None:
    """`infernoctl LINE`, killed so many seconds after it began; it may have ended by then. `settings` go before it."""
    host.sh(
        f"{settings} setsid infernoctl {line} 2>/dev/null & pid=$!;"
        f" sleep {after_s:.2f}; kill -9 $pid 2>/dev/null; wait $pid",
        status=None,
    )


def cut_power(host: Host, after_s: float, line: str, settings: str = "") -> None:
    """`infernoctl LINE`, and so many seconds later the host loses power and boots again. Raises RigError."""
    nothing = subprocess.DEVNULL
    script = f"{settings} exec infernoctl {line}"
    with host.rig.popen(["sh", "-c", script], stdin=nothing, stdout=nothing, stderr=nothing) as command:
        time.sleep(after_s)
        host.rig.cut()
        command.kill()


def serves_again(host: Host, at_rest: set[str]) -> None:
    """The VM `web`, which runs SERVER, starts, answers and stops, and the host is as it was `at_rest`."""
    host.sh(f"infernoctl start web --detach && {ANSWERS} && infernoctl stop web")
    host.check_inventory(at_rest)
