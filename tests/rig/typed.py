"""Commands as one types them in the rig, and what they did to that host."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections import deque
from typing import Any

from rig.command import Command
from rig.machine import Rig

BUSYBOX, NGINX = "oci:/extra/busybox", "oci:/extra/nginx"
Done = subprocess.CompletedProcess[str]
VMS = "/var/lib/inferno/vms"
# Looks at the cgroup alone: infernoctl takes a second in an emulated rig, and puts away what it finds of a run.
_RUNS = f"""
runs() {{
    [ -L {VMS}/$1/started ] || return
    grep -qs 'populated 1' "/sys/fs/cgroup/inferno.slice/$(basename "$(readlink {VMS}/$1/started)")/cgroup.events"
}}
"""
# The log collector ends by itself when no VM is left; nothing else of ours may take time to go. (Not `i`: this line.)
_INVENTORY = "python -I -S tests/rig/inventory.py"
_SETTLED = f"timeout 10 pidwait -f '[i]nferno/logs/collector'; exec {_INVENTORY}"
_KEPT = 500  # characters of a command, and of each of its streams
# A person at a terminal, who types a name when asked for one.
TERMINAL = """
import sys, pexpect
child = pexpect.spawn("infernoctl", sys.argv[1:], timeout=110)
child.delaybeforesend = None
child.logfile_read = sys.stdout.buffer
if child.expect_exact(["name?", pexpect.EOF]) == 0:
    child.send("me\\r")
    child.expect(pexpect.EOF)
child.wait()
sys.exit(child.exitstatus)
"""


class Host:
    """The rig as an Inferno host."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.journal: deque[str] = deque(maxlen=10)  # what was typed last, for the report of a failure

    def sh(self, script: str, *, status: int | None = 0, timeout: float = 120) -> Done:
        """A shell script; several commands in one cost one round trip. `status` None: whatever it is."""
        began = time.monotonic()
        done = self.rig.run(["sh", "-c", script], timeout=timeout, check=False)
        self._keep(script, done, time.monotonic() - began)
        assert status is None or done.returncode == status, f"{script}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def _keep(self, script: str, done: Done, took_s: float) -> None:
        said = f"{done.stdout[-_KEPT:]}{done.stderr[-_KEPT:]}".rstrip()
        self.journal.append(f"$ {script[:_KEPT]}\n[{done.returncode} after {took_s:.1f} s] {said}")

    def type(self, line: str, *, status: int = 0, timeout: float = 120) -> Done:
        """`infernoctl LINE`."""
        return self.sh(f"exec infernoctl {line}", status=status, timeout=timeout)

    def popen(self, *words: str) -> Command:
        """`infernoctl WORDS`, which goes on while the test does."""
        pipe = subprocess.PIPE
        self.journal.append(f"$ infernoctl {shlex.join(words)} &")
        return self.rig.popen(["infernoctl", *words], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)

    def at_a_terminal(self, *words: str) -> Done:
        """`infernoctl WORDS` at a terminal, where "me" is typed once `name?` stands there."""
        began = time.monotonic()
        done = self.rig.run(["python3", "-c", TERMINAL, *words], check=False)
        self._keep(f"infernoctl {shlex.join(words)} # at a terminal", done, time.monotonic() - began)
        return done

    def create(
        self, name: str, script: str | None = None, *, image: str = BUSYBOX, options: str = ""
    ) -> dict[str, Any]:
        """A VM of the busybox image that runs a shell script; of another image, with that image's own command."""
        command = f"-- sh -c {shlex.quote(script)}" if script is not None else ""
        made: dict[str, Any] = json.loads(self.type(f"create {name} --image {image} {options} {command}").stdout)
        return made

    def need(self, name: str, script: str | None = None, *, image: str = BUSYBOX, options: str = "") -> None:
        """As `create`, unless the VM is there: for one that tests share."""
        if self.sh(f"test -e {VMS}/{name}/current", status=None).returncode:
            self.create(name, script, image=image, options=options)

    def up(self, *names: str) -> None:
        """Start those of the VMs that do not run."""
        idle = f'for vm in {" ".join(names)}; do runs $vm || idle="$idle $vm"; done'
        self.sh(f'{_RUNS}{idle}; [ -z "$idle" ] || exec infernoctl start $idle --detach')

    def down(self, *names: str) -> None:
        """End those of the VMs that run."""
        busy = f'for vm in {" ".join(names)}; do ! runs $vm || busy="$busy $vm"; done'
        self.sh(f'{_RUNS}{busy}; [ -z "$busy" ] || exec infernoctl stop $busy --kill')

    def until_it_ended(self, name: str, timeout: float = 60) -> None:
        """Wait until nothing of the VM runs, and leave all else of its run as it is."""
        self.sh(f"{_RUNS}while runs {name}; do sleep 0.1; done", timeout=timeout)

    def until_it_said(self, name: str, text: str, timeout: float = 60) -> None:
        """Wait until the text stands in the VM's log."""
        log = f"/var/lib/inferno/logs/{name}.log"
        self.sh(f"until grep -qsF -- {shlex.quote(text)} {log}; do sleep 0.1; done", timeout=timeout)

    def create_all(self, scripts: dict[str, str]) -> None:
        """VMs of the busybox image, as many at a time as the rig has processors: most of a create is Python's start."""
        lines = [f"infernoctl create {name} --image {BUSYBOX} -- sh -c {shlex.quote(s)}" for name, s in scripts.items()]
        self.rig.run(["xargs", "-0", "-P", "2", "-n", "1", "sh", "-c"], input="\0".join(lines), timeout=240)

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.type(f"status {name} --json").stdout)
        return found

    def states(self) -> dict[str, str]:
        """VM -> state, as `list` has it."""
        return {row["name"]: row["state"] for row in json.loads(self.type("list --json").stdout)}

    def messages(self, name: str) -> list[str]:
        """What the VM's process said."""
        lines = self.type(f"logs show --vm {name} --source stdout --json").stdout.splitlines()
        return [json.loads(line)["message"] for line in lines]

    def inventory(self, *, running: bool = False) -> set[str]:
        """All that a VM's life may leave behind on this host; while VMs are `running`, all that it has there."""
        return set(self.sh(_INVENTORY if running else _SETTLED).stdout.splitlines())

    def check_inventory(self, before: set[str]) -> None:
        """Nothing is there now that was not, and all that was."""
        now = self.inventory()
        changed = [*(f"+ {line}" for line in now - before), *(f"- {line}" for line in before - now)]
        assert not changed, "\n".join(sorted(changed))
