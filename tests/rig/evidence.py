"""What is known of a rig in which a test failed, for the report of the failure: the rig is gone afterwards."""

from __future__ import annotations

import secrets
import subprocess

from rig.machine import Rig
from rig.program import RigError
from tests.rig.typed import Host

WITHIN_S = 20
_CONSOLE_CHARS, _LOG_LINES = 3000, 40
# A guest that an emulated rig hung has a vCPU thread at 100 %: `fc_vcpu`.
_LOOK = f"""
echo '$ infernoctl list --json'; timeout 10 infernoctl list --json 2>&1
echo '$ the last lines of all VMs'; tail -n {_LOG_LINES} /var/lib/inferno/logs/vm_combined.log
echo '$ ps, top'; ps -eo pid,stat,etimes,args | grep -E 'inferno|jailer|kiln|firecracker' | grep -v grep
top -H -b -n 1 -w 120 | sed -n '1,3p;7,14p'
echo '$ dmesg'; dmesg | tail -n 15
"""

Section = tuple[str, str]


def sections(host: Host) -> list[Section]:
    """Titles and texts, of the rig as it is now, within some twenty seconds. Raises nothing that the rig may do."""
    return [
        ("the last commands of the test in the rig", "\n".join(host.journal)),
        ("the rig now", _look(host.rig)),
        ("the end of the rig's console", host.rig.console[-_CONSOLE_CHARS:]),
    ]


def _look(rig: Rig) -> str:
    if not rig.alive:
        log = rig.folder / "qemu.log"
        said = log.read_text(errors="replace") if log.exists() else ""
        return f"QEMU does not run any more; it said:\n{said[-_CONSOLE_CHARS:]}"
    try:
        done = rig.ssh.run(["rig-run", secrets.token_hex(4), "sh", "-c", _LOOK], timeout=WITHIN_S)
    except (RigError, OSError, subprocess.SubprocessError) as problem:
        return str(problem)
    return (done.stdout + done.stderr).decode(errors="replace")
