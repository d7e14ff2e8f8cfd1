"""Reaching into VMs that run, as one types it: exec, shell, attach, wait, ping, stats, top; and doctor there."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import json_shape
from tests.rig.typed import VMS, Host

# What the commands print for programs (tests/contract/test_json_output.py).
SHAPES = json.loads(Path(__file__).parents[1].joinpath("contract/json_output.json").read_text())
PATIENT = "trap 'echo asked; exit 7' TERM; echo begun; sleep 1000 & wait"
# Says something again and again, until it is asked to end.
TALKS = "trap 'echo asked; exit 7' TERM; echo begun; n=0; while :; do sleep 0.2 & wait; n=$((n+1)); echo tick $n; done"
# A hundred streams of one process, which are all open before the first is read.
HUNDRED = """
import os
from inferno.settings import load_settings
from inferno.life import running_guest, status
from inferno.life.instance import Instance
from inferno.reach import capture, command, frame
from inferno.reach.command import Command
settings = load_settings()
with running_guest.opened(Instance.of(settings, status.row(settings, "box"))) as box:
    streams = [command.start(box.root, Command(("sh", "-c", f"read x; echo {n} $x"), stdin=True)) for n in range(100)]
    for stream, _ in streams:
        stream.setblocking(True)
        stream.settimeout(60)
        stream.sendall(frame.encode(frame.STDIN, b"go\\n"))
    for n, (stream, received) in enumerate(streams):
        reader, said, ended = frame.Reader(), b"", None
        while ended is None:
            for kind, payload in reader.feed(received):
                said += payload if kind == frame.STDOUT else b""
                ended = frame.exit_of(payload) if kind == frame.EXIT else None
            received = b"" if ended else stream.recv(65536)
        assert (said, ended.status) == (f"{n} go\\n".encode(), 0), (n, said, ended)
        stream.close()
print("all")
"""
# Reads as slowly as makes Firecracker wait for it, which is where 1.12 sends bytes twice (guest/src/sys.rs).
SLOW = """
import sys, time
while data := sys.stdin.buffer.read1(65536):
    sys.stdout.buffer.write(data)
    time.sleep(0.005)
"""


@pytest.fixture
def box(host: Host) -> None:
    """A VM that goes on until it is told to end; it runs."""
    host.need("box", PATIENT)
    host.up("box")


@pytest.fixture
def idle(host: Host) -> None:
    """A VM that does not run."""
    host.need("idle", PATIENT, options="--memory 128")
    host.down("idle")


def in_box(host: Host, script: str, options: str = "", **how: Any) -> str:
    return host.type(f"exec box {options} -- sh -c {shlex.quote(script)}", **how).stdout


def test_streams_are_apart_and_the_code_is_the_commands(host: Host, box: None) -> None:
    done = host.type("exec box -- sh -c 'echo out; echo err >&2; exit 7'", status=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert host.type("exec box sh -c 'kill -9 $$'", status=137).stderr == ""
    host.sh("infernoctl exec -i box -- cat <&- && infernoctl exec -i box -- sh -c 'echo lost; cat' <&- >&- 2>&-")


def test_what_goes_in_comes_out_the_same(host: Host, box: None) -> None:
    host.sh(
        "head -c 8388608 /dev/urandom > /tmp/in && infernoctl exec -i box -- cat < /tmp/in > /tmp/out"
        " && cmp /tmp/in /tmp/out && cat /tmp/in | infernoctl exec -i box -- sha256sum | grep -q"
        ' "$(sha256sum < /tmp/in)"'
    )


def test_who_reads_slowly_gets_each_byte_once(host: Host, box: None) -> None:
    slow = f"python3 -c {shlex.quote(SLOW)}"
    host.sh(f"infernoctl exec box -- seq 1 500000 | {slow} > /tmp/slow; seq 1 500000 | cmp - /tmp/slow")
    in_box(host, "seq 1 500000 > /tmp/numbers")
    host.sh(f"infernoctl cp box:/tmp/numbers - | {slow} | tar -xO | cmp - /tmp/slow")


def test_user_folder_and_environment_are_as_asked(host: Host, box: None) -> None:
    options = "-u 1234:5678 -w /tmp -e 'GREETING=grüß dich' -e MINE"
    done = host.sh(f"MINE=1 infernoctl exec {options} box -- sh -c 'id -u; id -g; pwd; echo $GREETING $MINE'")
    assert done.stdout == "1234\n5678\n/tmp\ngrüß dich 1\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("exec box -- no-such-program", 127),
        ("exec box -- /etc", 126),
        ("exec box -u nobody-such -- true", 126),
        ("exec idle -- true", 1),
        ("exec nobody -- true", 2),
        ("exec box -it -- true < /dev/null", 2),
        ("ping idle", 1),
        ("shell idle", 1),
    ],
)
def test_what_cannot_be_is_one_line(host: Host, box: None, idle: None, line: str, status: int) -> None:
    said = host.type(line, status=status).stderr.splitlines()
    assert len([text for text in said if text.startswith("error: ")]) == 1, said


def test_a_terminal_is_one(host: Host, box: None) -> None:
    script = "tty; stty size; printf name?; read x; echo hello $x; exit 3"
    done = host.at_a_terminal("exec", "-it", "box", "--", "sh", "-c", script)
    assert done.returncode == 3, done
    assert "/dev/pts/" in done.stdout
    assert "hello me" in done.stdout


def test_signals_and_the_callers_death_reach_the_command(host: Host, box: None) -> None:
    with host.popen("exec", "box", "--", "sh", "-c", "trap 'echo got; exit 9' TERM; echo up; sleep 99 & wait") as one:
        assert one.stdout.readline() == "up\n"
        one.signal("TERM")
        assert one.communicate(timeout=60)[0] == "got\n"
        assert one.returncode == 9
    hangs = "trap 'echo hup > /tmp/told; exit' HUP; echo up; sleep 99 & wait"
    with host.popen("exec", "box", "--", "sh", "-c", hangs) as two:
        assert two.stdout.readline() == "up\n"
        two.signal("KILL")
        two.communicate(timeout=60)
    # Only the one of the box's own process is left then.
    gone = "until [ -s /tmp/told ] && [ $(pidof sleep | wc -w) -eq 1 ]; do sleep 0.1; done; cat /tmp/told"
    assert in_box(host, gone, timeout=60) == "hup\n"


def test_files_go_in_and_out(host: Host, box: None) -> None:
    host.sh(
        "mkdir -p /tmp/tree/sub && cd /tmp/tree && head -c 3000000 /dev/urandom > sub/big && ln -s sub/big link"
        " && chmod 640 sub/big && chown 12:34 sub/big"
        " && infernoctl cp -a /tmp/tree box:/srv && infernoctl cp -a box:/srv/tree /tmp/back"
        " && cmp sub/big /tmp/back/sub/big && test $(readlink /tmp/back/link) = sub/big"
        " && test $(stat -c %u:%g:%a /tmp/back/sub/big) = 12:34:640"
    )
    assert in_box(host, "stat -c %u:%g:%a /srv/tree/sub/big; sha256sum < /srv/tree/sub/big").splitlines() == [
        "12:34:640",
        host.sh("sha256sum < /tmp/tree/sub/big").stdout.rstrip(),
    ]
    host.sh(
        "tar -C /tmp -c tree | infernoctl cp - box:/tmp && infernoctl cp box:/tmp/tree - | tar -t | grep -qx tree/link"
    )
    assert "is not a folder" in host.type("cp box:/etc /tmp/tree/sub/big", status=1).stderr


def test_copies_follow_links_spare_devices_and_stay_on_the_disks(host: Host, box: None) -> None:
    host.sh(
        "mkdir -p /root/ends && cd /root/ends && mknod null c 1 3 && ln -s file link"
        " && infernoctl cp box:/etc/passwd null && infernoctl cp box:/etc/passwd link"
        ' && test "$(stat -c %F null)" = "character special file" && test -L link && test -s file'
        " && infernoctl cp box:/etc/passwd /dev/stdout | cmp - file && infernoctl cp file box:/dev/null"
        " && infernoctl cp box:/proc/cpuinfo cpuinfo && test -s cpuinfo"
        " && infernoctl cp box:/ - | tar -t > all && grep -q etc/passwd all && grep -qx ./proc/ all"
        " && ! grep -qE '^[./]*(proc|sys|dev)/.' all"
    )
    assert in_box(host, "stat -c %F /dev/null").strip() == "character special file"


def test_a_guest_cannot_lead_a_copy_out_of_its_folder(host: Host, box: None) -> None:
    """The guest's root changes what is copied while it is copied, as fast as it can."""
    in_box(host, "mkdir -p /srv/race/d && echo x > /srv/race/d/f")
    assert host.sh("infernoctl cp box:/srv/race/. /tmp/calm && cat /tmp/calm/d/f").stdout == "x\n"
    swaps = "cd /srv/race; while :; do mv d e; ln -s /etc d; rm d; mv e d; done"
    with host.popen("exec", "box", "--", "sh", "-c", f"echo up; {swaps}") as racing:
        assert racing.stdout.readline() == "up\n"
        host.sh(
            "sum() { find /etc -type f | sort | xargs sha256sum | sha256sum; }; before=$(sum); mkdir /tmp/race;"
            " for n in 1 2 3 4 5 6; do infernoctl cp box:/srv/race/. /tmp/race 2> /dev/null; done;"
            ' test "$(sum)" = "$before" && ls /tmp/race && test ! -e /tmp/race/passwd'
        )
        racing.signal("TERM")
        racing.communicate(timeout=60)


def test_ssh_scp_and_rsync_go_through_vsock_to_an_image_that_has_them(host: Host, box: None) -> None:
    """The image has none: the rig's sshd and our rsync are copied into the guest, with what they are linked to."""
    host.rig.put(Path(shutil.which("rsync") or "rsync"), "/usr/bin/rsync")
    key = "test -f /tmp/key || ssh-keygen -q -t ed25519 -N '' -f /tmp/key; "
    host.sh(
        f"{key} programs=$(ls /usr/sbin/sshd /usr/bin/ssh-keygen /usr/bin/rsync);"
        ' programs="$programs $(ls /usr/lib/openssh/sshd-* /usr/lib/openssh/sftp-server)";'
        " libraries=$(for p in $programs; do ldd $p; done | grep -o '/[^ )]*' | sort -u);"
        " tar -ch $programs $libraries 2> /dev/null | infernoctl cp - box:/"
    )
    in_box(
        host,
        "mkdir -p /etc/ssh /root/.ssh /var/empty; chmod 700 /root /root/.ssh; cat > /root/.ssh/authorized_keys;"
        " echo sshd:x:101:65534::/run/sshd:/bin/false >> /etc/passwd;"
        " grep -q ^root: /etc/passwd || echo root:x:0:0::/root:/bin/sh >> /etc/passwd;"
        " echo Subsystem sftp /usr/lib/openssh/sftp-server > /etc/ssh/sshd_config",
        "-i < /tmp/key.pub",
    )
    host.sh("infernoctl ssh-config box > /tmp/ssh_config")
    # One connection for all: each handshake takes the emulated guest seconds.
    options = "-F /tmp/ssh_config -i /tmp/key -o BatchMode=yes -o ControlPath=/tmp/ssh.sock"
    ssh = f"ssh {options}"
    host.sh(f"{ssh} -fNM box > /dev/null 2>&1 < /dev/null")
    done = host.sh(f"echo input | {ssh} box 'cat; hostname; exit 3'", status=3)
    assert done.stdout == "input\nbox\n"
    rsync = f"rsync -a -e '{ssh}'"
    host.sh(
        "mkdir -p /tmp/site/sub && head -c 100000 /dev/urandom > /tmp/site/sub/big && ln -s sub/big /tmp/site/link"
        " && chmod 640 /tmp/site/sub/big && chown 12:34 /tmp/site/sub/big"
        f" && {rsync} /tmp/site/ box:/srv/site/ && {rsync} box:/srv/site/ /tmp/fetched/"
        " && diff -r /tmp/site /tmp/fetched && test $(readlink /tmp/fetched/link) = sub/big"
        " && test $(stat -c %u:%g:%a /tmp/fetched/sub/big) = 12:34:640"
        f" && scp -q {options} /tmp/site/sub/big box:/srv/big && scp -q {options} box:/srv/big /tmp/fetched/"
        f" && cmp /tmp/site/sub/big /tmp/fetched/big && {ssh} -O exit box"
    )


def test_a_hundred_at_once(host: Host, box: None) -> None:
    assert host.sh(f"python3 -c {shlex.quote(HUNDRED)}").stdout == "all\n"


def test_shell_is_the_best_there_is(host: Host, box: None) -> None:
    done = host.sh("echo 'echo shell $((6*7)); exit 4' | infernoctl shell box", status=4)
    assert done.stdout == "shell 42\n"


def test_a_guest_answers_and_both_sides_say_what_it_uses(host: Host, box: None, idle: None) -> None:
    said = json.loads(host.type("ping box -c 20 --json").stdout)
    assert len(said["round_trip_ms"]) == 20
    assert json_shape.wrong(said, SHAPES["ping"]) == []
    assert "answers after" in host.type("vsock-ping box").stdout
    [row] = json.loads(host.type("stats --json").stdout)
    assert (row["name"], row["guest"]["state"]) == ("box", "running")
    assert json_shape.wrong([row], SHAPES["stats"]) == []
    assert json_shape.wrong(json.loads(host.type("top box --json").stdout), SHAPES["top"]) == []
    assert json_shape.wrong(json.loads(host.type("status box --json").stdout), SHAPES["status"]) == []
    assert 0 < row["host"]["memory_bytes"] < row["host"]["memory_max_bytes"]
    assert row["host"]["cpu_s"] > 0
    assert row["host"]["tasks"] >= 3
    assert host.type("stats box").stdout.splitlines()[0].split()[:2] == ["NAME", "CPU"]
    assert any("sleep 1000" in line for line in host.type("top box").stdout.splitlines())


# `wait` waits once it has the file open that tells it of the end.
WAITS = """
opened() { ls -l $(pgrep -f 'infernoctl wait ends' | sed 's|.*|/proc/&/fd|') 2> /dev/null; }
until opened | grep -q cgroup.events; do sleep 0.1; done
"""


def test_wait_ends_with_the_vm_and_as_it(host: Host) -> None:
    host.create("ends", "mkfifo /tmp/go; echo begun; read x < /tmp/go; exit 42", options="--memory 128")
    host.type("wait ends", status=1)
    host.type("start ends --detach")
    with host.popen("wait", "ends") as waiting:
        host.sh(WAITS, timeout=60)
        # The VM ends by it, perhaps before the command does.
        script = "until [ -p /tmp/go ]; do sleep 0.1; done; echo > /tmp/go"
        host.sh(f"exec infernoctl exec ends -- sh -c '{script}'", status=None)
        waiting.communicate(timeout=60)
    assert waiting.returncode == 42
    host.type("wait ends", status=42)


def test_attach_shows_what_follows_and_ends_as_the_vm(host: Host) -> None:
    host.create("talks", TALKS)
    host.type("start talks --detach")
    host.until_it_said("talks", "begun")
    with host.popen("attach", "talks") as attached:
        first = attached.stdout.readline()
        with host.popen("exec", "talks", "--", "sh", "-c", "echo up; exec sleep 1000") as cut:
            assert cut.stdout.readline() == "up\n"
            host.type("stop talks")
            _, said = cut.communicate(timeout=60)
            assert cut.returncode == 143, said
        out, _ = attached.communicate(timeout=60)
    number = int(first.removeprefix("tick "))
    assert number > 0
    followed = out.splitlines()
    assert followed[-1] == "asked"
    assert followed[:-1] == [f"tick {n}" for n in range(number + 1, number + len(followed))]
    assert attached.returncode == 7
    host.type("wait talks", status=7)


def test_doctor_looks_at_the_vms_that_run(host: Host, box: None, idle: None) -> None:
    # One that ended, and nobody has put away yet what is left of it.
    host.up("idle")
    host.sh(f"echo 1 > /sys/fs/cgroup/inferno.slice/$(basename $(readlink {VMS}/idle/started))/cgroup.kill")
    host.until_it_ended("idle")
    said = json.loads(host.type("doctor --json", status=1).stdout)
    about_vms = (0, 1, 2, 5, 7, 8, 9, 12)
    assert states(said, *about_vms) == {rule: {"ok"} for rule in about_vms}
    [left] = [each for each in said["findings"] if each["rule"] == 19]
    names = left["problem"].removeprefix("left of the last run: ").split(", ")
    assert "idle" in names, "beside those that other tests let end"
    assert left["fix"] == f"infernoctl stop {' '.join(names)}"
    host.sh(left["fix"])
    assert said["fit"] is False
    host.type("stop box --kill")
    after = json.loads(host.type("doctor --json", status=1).stdout)
    assert states(after, 5, 19) == {5: {"n/a"}, 19: {"ok"}}


def states(said: dict[str, Any], *rules: int) -> dict[int, set[str]]:
    """What doctor found of each of these rules; but for Firecracker's own age, where only an old one can be fetched."""
    found = [each for each in said["findings"] if "no support" not in (each["problem"] or "")]
    return {rule: {each["state"] for each in found if each["rule"] == rule} for rule in rules}
