"""What a process finds in its guest, and how its end is told: by itself, by the kernel, at a terminal."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.rig.typed import Host

SCRIPTS = {
    # A limit of its own: in a nested guest under emulation the first touch of each page takes milliseconds.
    "full": "echo 8M > /sys/fs/cgroup/app/memory.max; tail /dev/zero; exit $?",
    "torn": "kill -SEGV $$",
    "panics": "echo c > /proc/sysrq-trigger",
}
# Who may do what with each character device, and its numbers: the OCI runtime spec's list, and what Docker adds.
DEVICES = {
    "/dev/null": "666 1:3",
    "/dev/zero": "666 1:5",
    "/dev/full": "666 1:7",
    "/dev/random": "666 1:8",
    "/dev/urandom": "666 1:9",
    "/dev/tty": "666 5:0",
    "/dev/fuse": "666 a:e5",
    "/dev/net/tun": "666 a:c8",
    "/dev/pts/ptmx": "666 5:2",
}
MOUNTS = {"/proc": "proc", "/dev": "devtmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs", "/dev/mqueue": "mqueue"}
MOUNTS |= {"/sys": "sysfs", "/sys/fs/cgroup": "cgroup2", "/run": "tmpfs", "/": "overlay", "/cache": "tmpfs"}
HUNTER = "hunter2-of-the-rig"
_ENV_FILE = f"printf 'TOKEN=env-{HUNTER}\\n' > /etc/inferno/box.env"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"


@pytest.fixture(scope="module")
def ended(host: Host) -> dict[str, str]:
    """What `start` of each of SCRIPTS said, all at once; each VM has ended by itself."""
    host.create_all(SCRIPTS)
    names = " ".join(SCRIPTS)
    done = host.sh(
        f"for n in {names}; do (infernoctl start $n > /tmp/$n 2>&1; echo status $? >> /tmp/$n) & done;"
        f" wait; for n in {names}; do echo == $n; cat /tmp/$n; done",
        timeout=180,
    )
    parts = re.split(r"^== (\w+)$", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def box(host: Host) -> None:
    """A VM that goes on; it runs."""
    memory = "--tmpfs /cache:size=25%,nr_inodes=1k,uid=1000,gid=1000,mode=750,exec"
    place = "--hostname box.example.org --workdir /job/here"
    secrets = "--secret db --env-file /etc/inferno/box.env --at-start"
    host.sh(f"install -d /etc/inferno/secrets; printf '{HUNTER}' > /etc/inferno/secrets/db; {_ENV_FILE}")
    options = f"--user web {memory} {place} {secrets} --ssh-key {shlex.quote(KEY)}"
    host.need("box", "echo $TOKEN | tr a-z A-Z; exec sleep 1000", options=options)
    host.up("box")


def test_no_memory_left_is_told_with_the_kernels_line(host: Host, ended: dict[str, str]) -> None:
    shown = host.status("full")
    assert (shown["exit_code"], shown["oom_killed"], shown["vm_error"]) == (137, True, None)
    assert re.search(r"ut of memory: Killed process \d+ \(tail\)", shown["error"])
    assert ended["full"].endswith("status 137\n")
    assert "Killed process" in ended["full"]


def test_a_fault_is_told_as_a_shell_does(host: Host, ended: dict[str, str]) -> None:
    shown = host.status("torn")
    assert (shown["exit_code"], shown["signal"], shown["oom_killed"]) == (139, 11, False)
    assert ended["torn"].endswith("status 139\n")


def test_a_kernel_panic_is_no_clean_end(host: Host, ended: dict[str, str]) -> None:
    shown = host.status("panics")
    why = shown["vm_error"]
    assert why.startswith("kernel panic: not syncing: sysrq triggered crash"), (why, ended["panics"])
    assert (shown["exit_code"], shown["oom_killed"]) == (125, False)
    assert ended["panics"].endswith("status 125\n")
    assert "kernel panic: not syncing" in ended["panics"]
    assert "Kernel panic - not syncing" in host.type("logs tail --vm panics --source kernel -n 50").stdout


def test_devices_mounts_and_interfaces_are_those_of_a_container(host: Host, box: None) -> None:
    script = (
        f"stat -c '%n %F %a %t:%T' {' '.join(DEVICES)} | sed 's/character special file //'; echo --;"
        " awk '{print $2, $3}' /proc/mounts; echo --;"
        " for name in ptmx fd stdin stdout stderr; do readlink /dev/$name; done; stat -c %a /dev/shm /dev/mqueue /tmp;"
        " echo --; ls /sys/class/net"
    )
    devices, mounts, names, interfaces = host.type(f"exec box -- sh -c {shlex.quote(script)}").stdout.split("--\n")
    assert dict(line.split(" ", 1) for line in devices.splitlines()) == DEVICES
    found = dict(line.split() for line in mounts.splitlines())
    assert {path: found.get(path) for path in MOUNTS} == MOUNTS
    assert names.split() == ["pts/ptmx", *(f"/proc/self/fd{n}" for n in ("", "/0", "/1", "/2")), "1777", "1777", "1777"]
    assert interfaces.split() == ["eth0", "lo"]


def test_where_it_starts_is_its_users_and_files_of_etc_know_the_machine(host: Host, box: None) -> None:
    script = (
        "pwd; stat -c '%U %a' . /job /cache; readlink /etc/mtab; sed -n 's/.*\t\\(box.*\\)/\\1/p' /etc/hosts;"
        " awk '$2 == \"/cache\" { print $4 }' /etc/mtab; stat -f -c %c /cache"
    )
    *said, flags, inodes = host.type(f"exec box -- sh -c {shlex.quote(script)}").stdout.splitlines()
    assert said == ["/job/here", "web 755", "web 755", "web 750", "/proc/self/mounts", "box.example.org box"]
    assert {"rw", "nosuid", "nodev", "mode=750", "uid=1000", "gid=1000", "nr_inodes=1024"} <= set(flags.split(","))
    assert "noexec" not in flags
    assert inodes == "1024"


def test_secrets_are_in_its_memory_and_nowhere_on_the_host(host: Host, box: None) -> None:
    script = (
        "cat /run/secrets/db; echo; echo $TOKEN; stat -c '%U %G %a' /run/secrets/db; ls -A /run/secrets;"
        " awk '$2 == \"/run/secrets\" { print $3, $4 }' /proc/mounts; id -un"
    )
    file, variable, owner, names, mount, user = host.type(
        f"exec box -- sh -c {shlex.quote(script)}"
    ).stdout.splitlines()
    assert (file, variable) == (HUNTER, f"env-{HUNTER}")
    assert (owner, names, user) == ("web web 400", "db", "web")
    assert mount.split(" ")[0] == "tmpfs"
    assert {"ro", "nosuid", "nodev", "noexec", "noswap"} <= set(mount.split(" ")[1].split(","))
    assert f"ENV-{HUNTER.upper()}" in host.messages("box"), "its own process has it too"
    where = (
        f"find /var/lib/inferno /run/inferno -type f -size -8M -exec grep -lF {HUNTER} {{}} + ;"
        f" for pid in $(cat /sys/fs/cgroup/inferno.slice/*/cgroup.procs);"
        f" do grep -lF {HUNTER} /proc/$pid/cmdline /proc/$pid/environ; done;"
        " find /var/lib/inferno/vms/kiln -name secrets.sock; true"
    )
    assert host.sh(where).stdout == ""
    try:
        host.sh("mv /etc/inferno/secrets/db /etc/inferno/secrets/gone")
        refused = host.type("restart box", status=2).stderr
    finally:
        host.sh("mv /etc/inferno/secrets/gone /etc/inferno/secrets/db")
    assert "--secret db: /etc/inferno/secrets/db: No such file" in refused
    assert host.type("exec box -- cat /run/secrets/db").stdout == HUNTER, "it was not stopped"


def test_the_clock_follows_the_hosts_forward_and_back(host: Host, box: None) -> None:
    """What waits in the guest ends when the step has arrived, or after the 5 s in which it has to."""
    wait = "n=0; until [ $(date +%s) {} {} ]; do [ $((n += 1)) -le 50 ] || exit 1; sleep 0.1; done"
    ahead = int(host.sh("date -s '+2 hours' +%s").stdout)
    try:
        host.type(f"exec box -- sh -c {shlex.quote(wait.format('-ge', ahead))}")
    finally:
        back = int(host.sh("date -s '-2 hours' +%s").stdout)
    host.type(f"exec box -- sh -c {shlex.quote(wait.format('-le', back + 600))}")


def test_groups_can_be_divided_and_orphans_are_taken_in(host: Host, box: None) -> None:
    divides = (
        "cd /sys/fs/cgroup && mkdir mine; sleep 1000 & echo $! > mine/cgroup.procs && cat mine/pids.current && kill $!;"
        " wait; rmdir mine && cat cgroup.controllers"
    )
    members, controllers = host.type(f"exec -u 0 box -- sh -c {shlex.quote(divides)}").stdout.splitlines()
    assert members == "1"
    assert {"cpu", "io", "memory", "pids"} <= set(controllers.split())
    # A dead process stays in /proc until its parent looks: init, once the shell that made it is gone.
    orphans = (
        "mkfifo /tmp/end; orphan=$(sh -c '(read x < /tmp/end; exit 3) > /dev/null & echo $!');"
        " grep PPid /proc/$orphan/status; echo > /tmp/end; while [ -d /proc/$orphan ]; do sleep 0.1; done"
    )
    assert host.type(f"exec -u 0 box -- sh -c {shlex.quote(orphans)}", timeout=30).stdout.split() == ["PPid:", "1"]


def test_each_machine_has_an_id_of_its_own_which_it_keeps(host: Host, box: None, ended: dict[str, str]) -> None:
    seen = host.type("exec box -- cat /etc/machine-id").stdout.strip()
    records = [f"$INFERNO_ROOT/vms/{vm}/build/run.json" for vm in ("box", "torn", "panics")]
    ours, *records = host.sh(f"cat /etc/machine-id; jq -r .machine_id {' '.join(records)}").stdout.split()
    assert records[0] == seen, "each start is given the same"
    assert re.fullmatch("[0-9a-f]{32}", seen)
    assert len({ours, *records}) == 4


def test_who_holds_the_key_is_let_in(host: Host, box: None) -> None:
    script = (
        "cat .ssh/authorized_keys; stat -c '%n %U %a' . .ssh .ssh/authorized_keys; ls /root/.ssh /etc/ssh 2> /dev/null"
    )
    said = host.type(f"exec -w /home/web box -- sh -c {shlex.quote(script)}", status=1).stdout.splitlines()
    assert said == [KEY, ". root 755", ".ssh web 700", ".ssh/authorized_keys web 600"]
    assert "    User web\n" in host.type("ssh-config box").stdout


def test_a_command_left_to_itself_goes_on(host: Host, box: None) -> None:
    host.type("exec -d box -- sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done; echo > /tmp/went; sleep 1000'")
    host.type("exec box -- sh -c 'touch /tmp/go; until [ -e /tmp/went ]; do sleep 0.1; done'")
    host.type("exec -d box -- no-such-program", status=127)
    host.type("exec -d -i box -- true", status=2)


def test_a_terminal_of_the_images_process_is_ours(host: Host) -> None:
    talks = "tty; printf 'name? '; read x; echo hello $x; echo there > /dev/console; exit 5"
    host.create("talks", talks, options="--tty")
    done = host.at_a_terminal("start", "-i", "talks")
    assert done.returncode == 5, done
    assert "/dev/pts/0\r\nname? me\r\nhello me\r\nthere\r\n" in done.stdout
    assert host.messages("talks")[:2] == ["/dev/pts/0", "name? me"]
    refused = host.type("attach -i talks", status=1)
    assert "does not run" in refused.stderr
    assert "needs a terminal" in host.type("start -i talks", status=2).stderr


def test_what_is_piped_in_is_the_processs_input(host: Host) -> None:
    host.create("pipes", "seq 1 12000 >&2; cat; exit 6", options="-i")
    done = host.sh(
        "head -c 300000 /dev/urandom > /tmp/in; infernoctl start -i pipes < /tmp/in > /tmp/out 2> /tmp/err; echo $?;"
        " cmp /tmp/in /tmp/out && seq 1 12000 > /tmp/seq && grep -vE 'pipes|:' /tmp/err | cmp - /tmp/seq && echo same"
    )
    assert done.stdout == "6\nsame\n", host.sh("grep -vE '^[0-9]+$' /tmp/err").stdout


def test_what_has_neither_terminal_nor_input_is_joined_by_nobody(host: Host, box: None, ended: dict[str, str]) -> None:
    assert "neither a terminal nor standard input" in host.type("attach -i box", status=1).stderr
    assert "no standard input" in host.at_a_terminal("start", "-i", "torn").stdout


def test_a_guest_without_memory_is_told_as_such(host: Host, box: None) -> None:
    """It is gone where no death gives it back: huge pages kept in store, a file in a tmpfs. Init lives to tell."""
    script = (
        "for pid in $(pidof sleep); do echo 1000 > /proc/$pid/oom_score_adj; done;"  # else who fills it may go first
        " echo 100000 > /proc/sys/vm/nr_hugepages; mount -t tmpfs -o size=100% none /srv; cat /dev/zero > /srv/full"
    )
    host.sh(f"infernoctl exec -u 0 box -- sh -c '{script}'; timeout 60 infernoctl wait box", status=137)
    shown = host.status("box")
    assert (shown["state"], shown["exit_code"], shown["oom_killed"]) == ("stopped", 137, True)
    assert re.match(r"Out of memory: Killed process \d+ \(sleep\)", shown["error"])
    assert shown["vm_error"] is None, "the host's limit is not what it met"
