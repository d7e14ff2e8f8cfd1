"""The log collector and the reading of logs, on this machine as root: real peers on the real socket, no VM needed.

What a line costs the collector is told by its processor time, which other processes change little. How long a line is
on its way is told by the clock, and the longest of all is the value: on a machine that has other work, that work is in
it. Logs are written to the disk of the cache, as they are in use.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.logs import collector_client, vm_logs
from tests.bench.measure import LEAST, BenchError, Measured, command, environment, several
from tests.bench.row import Lab, row, work_folder
from tests.loghost import CONNECT, LogHost, Vm, memory_kib

CTL = Path(sys.executable).parent / "infernoctl"
LINES, PEERS = 100_000, 4  # of each peer, in each sample
FLOOD_S, FLOODED_LINES = 8, 80
SMALL, LARGE = 100, 2_000_000
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def host() -> Iterator[LogHost]:
    """Its collector ends with it. Raises BenchError without root: peers become the users of their VMs."""
    if os.geteuid() != 0:
        raise BenchError("peers take the users of VMs, which needs root: sudo make bench")
    with work_folder() as folder:
        made = LogHost(folder, INFERNO_LOG_MAX_SIZE_MB="10")
        try:
            yield made
        finally:
            made.close()


class Rate(NamedTuple):
    """What a number of lines took: the collector's processor seconds, the clock's, and its most memory in MiB."""

    cpu_s: float
    wall_s: float
    memory_mib: float


def rates(lab: Lab) -> list[Rate]:
    """Lines of 200 bytes, as fast as they are taken, from several VMs at once; rotation and compression included."""
    found = []
    for _ in range(LEAST):
        with host() as on:
            vms = [on.vm(f"web{number}") for number in range(PEERS)]
            lab.watch.settle()
            began, used = lab.watch.now(), _cpu_s(on.pid())
            send = f"for _ in range({LINES // 100}): s.sendall({{!r}} * 100)"
            peers = [vm.peer(f"{CONNECT}\n{send.format(_line(vm))}") for vm in vms]
            for peer in peers:
                peer.communicate()
            collector_client.sync(on.settings)
            spent, used = lab.watch.now() - began, _cpu_s(on.pid()) - used
            found.append(Rate(used, spent, memory_kib(on.pid(), "VmHWM") / 1024))
    return found


@row("log-cpu", "CPU time of the collector for 50,000 lines", bar=1, unit="s")
def log_cpu(lab: Lab) -> Measured:
    found, count = lab.shared(rates), LINES * PEERS
    by_clock = statistics.median(count / each.wall_s for each in found)
    detail = f"{by_clock:,.0f} lines/s by the clock, 200 bytes each, {PEERS} VMs"
    return several([each.cpu_s / count * 50_000 for each in found], detail)


@row("log-memory", "the collector's most memory meanwhile", bar=64, unit="MiB", value=max)
def log_memory(lab: Lab) -> Measured:
    return several([each.memory_mib for each in lab.shared(rates)])


class Flood(NamedTuple):
    """The longest way of a line of another VM, in seconds, and the disk that all logs took, in MiB."""

    longest_s: float
    disk_mib: float


def floods(lab: Lab) -> list[Flood]:
    """One VM floods; another says 10 lines a second, each of which is timed from its sending to its reading."""
    found = []
    for _ in range(LEAST):
        with host() as on:
            lab.watch.settle()
            longest = max(_ways(lab, on))
            found.append(Flood(longest, sum(path.stat().st_size for path in on.paths.logs.iterdir()) / 2**20))
    return found


def _ways(lab: Lab, on: LogHost) -> list[float]:
    """How long each line was on its way, in seconds."""
    flooder, web = on.vm("flooder"), on.vm("web")
    ways = []
    with (
        flooder.peer(f"{CONNECT}\nwhile True: s.sendall({_line(flooder)!r} * 100)") as flooding,
        web.peer() as peer,
        vm_logs.follow(on.paths, "web") as follower,
    ):
        for number in range(FLOODED_LINES):
            time.sleep(FLOOD_S / FLOODED_LINES)  # the rate of what is measured
            began = lab.watch.now()
            web.tell(peer, web.line(str(number)))
            if next(follower).data != str(number).encode():
                raise BenchError(f"line {number} was lost")
            ways.append(lab.watch.now() - began)
        assert peer.stdin is not None
        peer.stdin.close()
        flooding.kill()
    return ways


@row("log-way", "longest way of a line to its reader while another VM floods", bar=1, unit="s", value=max)
def log_way(lab: Lab) -> Measured:
    detail = f"{FLOODED_LINES} lines in each of {LEAST} floods"
    return several([each.longest_s for each in lab.shared(floods)], detail)


@row("log-disk", "disk for a flooder's log and the combined one", bar=2 * 5 * 10 + 1, unit="MiB", value=max)
def log_disk(lab: Lab) -> Measured:
    return several([each.disk_mib for each in lab.shared(floods)], "5 files of 10 MiB each")


def written(lab: Lab) -> dict[str, str]:
    """The environment of a root with a small and a large log."""
    on = lab.enter(host())
    on.paths.logs.mkdir()
    for name, count in (("small", SMALL), ("large", LARGE)):
        vm = on.vm(name, link=False)
        vm.log.write_bytes(_line(vm) * count)
    return environment(INFERNO_ROOT=on.paths.root)


@row("log-tail", f"logs tail of {LARGE:,} lines / of {SMALL}", bar=1.2)
def log_tail(lab: Lab) -> Measured:
    env = lab.shared(written)
    large, small = (command([CTL, "logs", "tail", "--vm", name], env) for name in ("large", "small"))
    return lab.watch.pairs(large, small, 9).measured()


@row("log-show", f"logs show of {SMALL} lines", bar=0.3, unit="s")
def log_show(lab: Lab) -> Measured:
    taken = lab.watch.samples(command([CTL, "logs", "show", "--vm", "small"], lab.shared(written)), 9)
    return several([each.wall for each in taken])


def _line(vm: Vm) -> bytes:
    return vm.line("x" * 66)


def _cpu_s(pid: int) -> float:
    """A process's processor time so far, in seconds: proc(5), fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
