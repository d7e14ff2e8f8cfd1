"""The log collector and the reading of logs, on this machine as root: real peers on the real socket, no VM needed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inferno import collector, logs
from tests.bench.row import Row, median_pair_s
from tests.loghost import CONNECT, LogHost, Vm

CTL = str(Path(sys.executable).parent / "infernoctl")
LINES, PEERS = 500_000, 4
FLOOD_S = 10
_TICKS = os.sysconf("SC_CLK_TCK")


def rows() -> list[Row]:
    found = []
    for measure in (_rate, _flood, _tail):
        with tempfile.TemporaryDirectory(prefix="inferno-bench.") as folder:
            host = LogHost(Path(folder), INFERNO_LOG_MAX_SIZE_MB="10")
            found += measure(host)
            host.close()
    return found


def _rate(host: LogHost) -> list[Row]:
    """Lines of 200 bytes, as fast as they are taken, from several VMs at once; rotation and compression included."""
    vms = [host.vm(f"web{number}") for number in range(PEERS)]
    began, used = time.perf_counter(), _cpu_s(host.pid())
    peers = [vm.peer(f"{CONNECT}\nfor _ in range({LINES // 100}): s.sendall({_line(vm)!r} * 100)") for vm in vms]
    for peer in peers:
        peer.communicate()
    collector.sync(host.settings)
    spent, used = time.perf_counter() - began, _cpu_s(host.pid()) - used
    count = LINES * PEERS
    detail = f"{count / spent:,.0f} lines/s by the clock, {len(_line(vms[0]))} bytes each, {PEERS} VMs"
    return [
        Row("CPU time of the collector for 50,000 lines", used / count * 50_000, 1, "s", detail),
        Row("its most memory meanwhile", _memory_mib(host.pid(), "VmHWM"), 64, "MiB"),
    ]


def _flood(host: LogHost) -> list[Row]:
    """One VM floods; another says 10 lines a second, each of which is timed from its sending to its reading."""
    flooder, web = host.vm("flooder"), host.vm("web")
    delays = []
    with (
        flooder.peer(f"{CONNECT}\nwhile True: s.sendall({_line(flooder)!r} * 100)") as flooding,
        web.peer() as peer,
        logs.follow(host.paths, "web") as follower,
    ):
        assert peer.stdin is not None
        for number in range(FLOOD_S * 10):
            time.sleep(0.1)  # the rate that is measured
            began = time.perf_counter()
            peer.stdin.write(web.line(str(number)))
            peer.stdin.flush()
            if next(follower).data != str(number).encode():
                raise SystemExit(f"line {number} was lost")
            delays.append(time.perf_counter() - began)
        peer.stdin.close()
        flooding.kill()
    kept = sum(path.stat().st_size for path in host.paths.logs.iterdir()) >> 20
    return [
        Row("longest way of a line to its reader while another VM floods", max(delays), 1, "s", f"{len(delays)} lines"),
        Row("disk for the flooder's and the combined log, 5 files of 10 MiB each", kept, 2 * 5 * 10 + 1, "MiB"),
    ]


def _tail(host: LogHost) -> list[Row]:
    host.paths.logs.mkdir()
    for name, count in (("small", 100), ("large", 2_000_000)):
        vm = host.vm(name, link=False)
        vm.log.write_bytes(_line(vm) * count)
    env = {**os.environ, "INFERNO_ROOT": str(host.paths.root)}
    large, small = median_pair_s(
        [CTL, "logs", "tail", "--vm", "large"], [CTL, "logs", "tail", "--vm", "small"], env, runs=7
    )
    shown = time.perf_counter()
    subprocess.run([CTL, "logs", "show", "--vm", "small"], env=env, check=True, capture_output=True)
    return [
        Row(
            "logs tail of 2,000,000 lines / of 100", large / small, 1.2, detail=f"{large * 1000:.0f} ms",
        ),
        Row("logs show of 100 lines", time.perf_counter() - shown, 0.3, "s"),
    ]  # fmt: skip


def _line(vm: Vm) -> bytes:
    return vm.line("x" * 66)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
