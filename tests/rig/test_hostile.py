"""Guests that mean harm: they forge, flood, lie to every question, and end as rudely as they can; the host shrugs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from inferno.wire import cpio
from rig.machine import Rig
from tests import images
from tests.rig.evil import compiled
from tests.rig.typed import BUSYBOX, VMS, Host

PATIENT = "trap 'exit 7' TERM; echo begun; sleep 1000 & wait"
SCRATCH_MB = 64
FORGED = r'{"type":"log","source":"stdout","message":"forged","partial":false}\n{"type":"end"}\n'
REPORT = '{"exit_code":0,"signal":null,"oom_killed":false,"error":null}'
POST = rf"POST /exit HTTP/1.1\r\nHost: kiln\r\n%sContent-Length: {len(REPORT)}\r\n\r\n{REPORT}"
# What a process sends to the port where only init reports, and how it is answered.
REQUESTS = {
    POST % "": "403",
    POST % rf"Authorization: Bearer {'f' * 32}\r\n": "403",
    r"GET /exit HTTP/1.1\r\n\r\n": "405",
    r"\0\377\376 garbage\r\n\r\n": "400",
    r"POST /exit HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n": "413",
}
# Letters of evil/init.c; other answers are tried in tests/unit/reach/test_vsock.py, without a VM.
WAYS = "ndgtyue"


@pytest.fixture(scope="module")
def rig(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder, programs = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("programs")
    images.busybox(folder / "busybox", images.file("bin/vsock", compiled(programs, "guest").read_bytes(), 0o755))
    with (folder / "evil.cpio").open("wb") as archive:
        cpio.write(archive, [cpio.Entry("inferno/init", 0o755, compiled(programs, "init").read_bytes())])
    with Rig.start(extra=folder) as rig:
        yield rig


@pytest.fixture(scope="module")
def before(host: Host) -> set[str]:
    return host.inventory()


@pytest.fixture
def web(host: Host, before: set[str]) -> None:
    """A VM whose process means no harm, with a small scratch disk; it runs."""
    create = f"infernoctl create web --image {BUSYBOX} --memory 128 -- sh -c {shlex.quote(PATIENT)}"
    host.sh(f"test -e {VMS}/web/current || ROOTFS_SIZE_MB={SCRATCH_MB} {create}")
    host.up("web")


@pytest.fixture
def evil(host: Host, before: set[str]) -> None:
    """A VM whose init is evil/init.c; it runs."""
    current = f"{VMS}/evil/current"
    host.sh(
        f"test -e {current} && exit; infernoctl create evil --image {BUSYBOX} --memory 128"
        f" && cat {current}/initrd.cpio /extra/evil.cpio > /tmp/initrd && chmod 444 /tmp/initrd"
        f" && mv /tmp/initrd {current}/initrd.cpio"
    )
    host.up("evil")


def kiln_kib(host: Host, field: str = "VmHWM") -> int:
    script = f"for pid in $(pidof kiln firecracker-kiln); do grep {field} /proc/$pid/status; done"
    return max(int(line.split()[1]) for line in host.sh(script).stdout.splitlines())


def inside(host: Host, script: str, **how: Any) -> str:
    return host.rig.run(["infernoctl", "exec", "web", "--", "sh", "-c", script], **how).stdout


def test_no_process_logs_or_reports_in_inits_name(host: Host, web: None) -> None:
    lines = [f"printf '{FORGED}' | vsock say 10000"]
    lines += [f"printf '{request}' | vsock say 10001 | head -n 1; echo ." for request in REQUESTS]
    lines += ["(printf 'POST /exit HTTP/1.1\\r\\nX: '; head -c 100000 /dev/zero) | vsock say 10001 | head -n 1; echo ."]
    *answers, _ = re.split(r"\.\n", inside(host, "\n".join(lines)))
    codes = [answer.split()[1] if answer else "" for answer in answers]
    assert codes[:-1] == list(REQUESTS.values())
    assert codes[-1] in ("431", ""), "hung up on in the middle of its request, it may not hear why"
    assert "forged" not in host.messages("web")


def test_two_thousand_connections_and_slow_ones_keep_nobody_out(host: Host, web: None) -> None:
    script = "vsock drip 10001; vsock hold 10000 1000 & vsock hold 10001 1000 & wait"
    # Asked again and again while they are there.
    said = host.sh(
        f"infernoctl exec web -- sh -c '{script}' > /tmp/held & held=$!;"
        " while kill -0 $held 2> /dev/null; do infernoctl ping web --timeout 10 || exit; done;"
        " wait $held && cat /tmp/held && rm /tmp/held"
    ).stdout
    assert "web answers after" in said
    dripped = re.search(r"dripped (\d+)", said)
    assert dripped is not None, said
    assert 0 < int(dripped[1]) < 200, "it was hung up on; by itself it ends after 200"
    assert re.findall(r"opened (\d+) left (\d+)", said) == [("1000", "0")] * 2, said
    assert "answers" in host.type("ping web").stdout
    assert kiln_kib(host) < 3 << 10


def test_a_jail_that_replaces_its_files_while_it_runs_fools_nobody(host: Host, web: None) -> None:
    traps = ("mkfifo control.sock", "mkdir control.sock")
    lines = ["cd /var/lib/inferno/vms/web/current/root", "uid=$(stat -c %u .)"]
    lines += ['its() { setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"; }', "its mv control.sock away"]
    lines += [f"its {trap}; infernoctl ping web; echo $?; its rm -rf control.sock" for trap in traps]
    lines += ["its mv away control.sock", "its rm vm_logs.sock", "its mkfifo vm_logs.sock", "infernoctl logs restart"]
    lines += ["its mkdir -p exit_status.json/x", "infernoctl stop web --timeout 5"]
    done = host.sh("\n".join(lines))
    assert done.stdout.splitlines() == ["1", "1", "the log collector was restarted"]
    assert done.stderr.count("error: ") == len(traps)
    assert host.status("web")["state"] == "stopped"


def test_what_floods_its_console_its_disk_and_its_processes_harms_itself(host: Host, web: None) -> None:
    # Each byte is an exit of the guest, some milliseconds long here: the console takes what it can in three seconds.
    flood = "yes flood > /dev/ttyS0 & sleep 3; kill $!; dd if=/dev/zero of=/fill bs=1M 2>&1; rm /fill"
    assert "No space left on device" in inside(host, flood)
    found = host.sh(f"du -s --block-size=1M {VMS}/web/current/scratch.img").stdout.split()
    assert SCRATCH_MB // 2 < int(found[0]) <= SCRATCH_MB
    assert kiln_kib(host) < 3 << 10
    host.sh("infernoctl exec web -- sh -c 'f() { f | f & }; f' > /dev/null 2>&1; infernoctl stop web --timeout 1")
    assert host.states()["web"] == "stopped"


def test_every_question_to_an_init_that_lies_ends_in_time_with_one_line(host: Host, evil: None) -> None:
    calls = json.loads(host.sh(f"python tests/rig/evil/calls.py {WAYS}", timeout=240).stdout)
    assert {call["way"] for call in calls} == set(WAYS)
    for call in calls:
        assert call["status"] is not None, f"it hangs: {call}"
        assert "Traceback" not in call["said"], call
        assert all(char.isprintable() for char in call["said"].replace("\n", "")), call
        shown = call["verb"] in ("stats", "top")  # they say in their table who does not answer
        assert shown or (call["status"], call["said"].count("error: ")) == (1, 1), call
    assert host.states()["evil"] == "running"


def test_an_init_that_does_not_end_is_ended(host: Host, evil: None) -> None:
    host.type("stop evil --timeout 5", timeout=60)
    shown = host.status("evil")
    assert (shown["state"], shown["exit_code"]) == ("stopped", 137)
    assert "killed by signal 15 to kiln" in shown["vm_error"]


@pytest.mark.parametrize(
    ("rude", "says"),
    [
        ("reboot -f", "restarted from inside, without a report"),
        ("echo c > /proc/sysrq-trigger", "kernel panic: "),
    ],
)
def test_how_a_guest_ends_is_told_truly(host: Host, web: None, rude: str, says: str) -> None:
    host.sh(f"infernoctl exec web -- sh -c '{rude}'; infernoctl wait web", status=125)
    shown = host.status("web")
    assert (shown["state"], shown["exit_code"]) == ("stopped", 125)
    assert says in shown["vm_error"]


@pytest.mark.parametrize("rude", ["halt -f", "poweroff -f"])
def test_a_guest_whose_processors_halt_is_told_of_and_ended(host: Host, web: None, rude: str) -> None:
    """Firecracker runs on: its guests have no power switch."""
    host.type(f"exec --detach web -- {rude}")
    said = host.sh('while said=$(infernoctl ping web 2>&1); do :; done; echo "$said"').stdout
    assert said.startswith("error: the guest did not answer GET /v1/ping within ")
    host.sh("infernoctl stop web --timeout 1")
    shown = host.status("web")
    assert (shown["state"], shown["exit_code"]) == ("stopped", 137)
    assert "killed by signal 15 to kiln" in shown["vm_error"]


def test_nothing_is_left_of_them(host: Host, before: set[str], web: None, evil: None) -> None:
    host.type("destroy web evil --force")
    kept = "files: /var/lib/inferno/"  # what the first create on a host makes: the store, locks
    left = host.inventory() - before
    assert [line for line in left if not line.startswith(kept) or re.search("web|evil", line)] == []
