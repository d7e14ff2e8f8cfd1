"""A VM's life as one types it: create, start, look, stop, destroy; and what of it travels to the outside."""

from __future__ import annotations

import json
import re
import shlex
import signal

import pytest

from rig.cache import CHECKOUT
from tests import previous
from tests.rig import bases
from tests.rig.typed import BUSYBOX, NGINX, Host

# What a process does that goes on until it is told to end, and says so; wait(1) lets the trap run at once.
PATIENT = "trap 'echo asked; exit 7' TERM; echo begun; sleep 1000 & wait"
DEAF = "trap '' TERM; echo begun; sleep 1000 & wait; sleep 1000"


SHARED = {"patient": PATIENT, "deaf": DEAF, "killed": "kill -9 $$", "fine": "exit 0", "one": "exit 1"}


@pytest.fixture(scope="module")
def created(host: Host) -> None:
    host.create_all(SHARED)


@pytest.fixture
def vms(host: Host, created: None) -> None:
    """The VMs of SHARED; none of them runs."""
    host.down(*SHARED)


@pytest.fixture(scope="module")
def ended(host: Host, created: None) -> list[str]:
    """What the foreground starts of those that end by themselves ended with, each "NAME STATUS"."""
    done = host.sh("for name in fine one killed; do (infernoctl start $name; echo $name $?) & done; wait")
    return sorted(done.stdout.splitlines())


@pytest.fixture(scope="module")
def nginx(host: Host) -> str:
    """The reference of an image whose base is there."""
    bases.unpack(host.rig, "nginx.tar")
    return NGINX


def test_a_server_answers_and_says_where_it_is(host: Host, nginx: str) -> None:
    made = host.create("web", image=nginx, options="--memory 256 --vcpus 2")
    address = made["network"]["guest_ip"]
    began = host.type("start web --detach")
    assert f"web runs at {address}" in began.stderr
    assert began.stdout == ""
    page = host.sh(f"curl --silent --show-error --retry 20 --retry-connrefused --retry-delay 0 http://{address}/")
    assert "Hello from nginx" in page.stdout
    shown = host.status("web")
    assert (shown["state"], shown["version"], shown["ip"]) == ("running", made["version"], address)
    assert shown["chroot_dir"].endswith(f"/vms/kiln/{made['version']}/root")
    again = host.type("start web")
    assert "web runs already" in again.stderr
    assert host.status("web")["pid"] == shown["pid"]
    host.until_it_said("web", "GET / HTTP/1.1")
    assert "GET / HTTP/1.1" in host.type("logs tail --vm web").stdout
    host.type("stop web")
    shown = host.status("web")
    assert (shown["state"], shown["exit_code"], shown["signal"], shown["vm_error"]) == ("stopped", 0, None, None)


def test_a_vm_starts_from_the_wheel_as_it_does_from_the_checkout(host: Host) -> None:
    """The libraries are the rig's; Inferno itself comes from the wheel, since PYTHONPATH is asked before a .pth."""
    offline = "--quiet --no-deps --no-index"
    host.sh(
        "set -e; cd /var/tmp; rm -rf wheel installed\n"
        f"python3 -m pip wheel {offline} --no-build-isolation --wheel-dir wheel /inferno\n"
        f"python3 -m pip install {offline} --target installed wheel/*.whl",
        timeout=300,
    )
    begin = (
        'cd /var/tmp; export PYTHONPATH=/var/tmp/installed; infernoctl() { python3 installed/bin/infernoctl "$@"; }\n'
    )
    where = host.sh(f"{begin} python3 -c 'import inferno; print(inferno.__file__)'").stdout
    assert where == "/var/tmp/installed/inferno/__init__.py\n"
    host.sh(f"{begin} infernoctl create wheel --image {BUSYBOX} -- echo from a wheel")
    assert host.sh(f"{begin} infernoctl start wheel").stdout == "from a wheel\n"
    host.sh(f"{begin} infernoctl destroy wheel --yes; rm -rf wheel installed")


def test_the_first_vm_of_the_readme_runs_word_for_word(host: Host, nginx: str) -> None:
    """But for its image, which is where this host has it."""
    readme = (CHECKOUT / "README.md").read_text().partition("## The first VM by hand")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (infernoctl .*?)(?: +#.*)?$", readme, re.MULTILINE)
    assert [line.split()[1] for line in lines][:3] == ["artifacts", "create", "start"]
    done = host.sh("set -ex\n" + "\n".join(lines).replace("nginx:latest", nginx))
    assert "web1 runs at 172.16.0." in done.stderr
    assert "syntax is ok" in done.stderr, "nginx -t, by exec"
    assert "web1" not in host.states()


def test_the_exit_status_of_the_process_is_that_of_the_foreground(host: Host, ended: list[str]) -> None:
    assert ended == ["fine 0", "killed 137", "one 1"]
    rows = {row["name"]: (row["state"], row["exit_code"]) for row in json.loads(host.type("list --json").stdout)}
    assert {name: rows[name] for name in ("fine", "killed", "one")} == {
        "fine": ("stopped", 0),
        "killed": ("stopped", 137),
        "one": ("stopped", 1),
    }
    shown = host.status("killed")
    assert (shown["signal"], shown["oom_killed"], shown["error"], shown["vm_error"]) == (9, False, None, None)
    assert shown["exited_at"] >= shown["started_at"]


def test_a_process_that_cannot_be_executed_is_a_failed_start(host: Host) -> None:
    create = f"infernoctl create $0 --image {BUSYBOX} -- $1 > /dev/null && exec infernoctl start $0 --detach"
    ran = f"sh -c '{create}'"
    done = host.sh(f"{ran} none /no/such/program & {ran} data /etc/passwd; echo $?; wait $!; echo $?")
    assert done.stdout.split() == ["1", "1"]
    assert "/no/such/program" in done.stderr
    assert (host.status("none")["exit_code"], host.status("data")["exit_code"]) == (127, 126)


def test_ten_thousand_lines_arrive_in_order_on_their_own_streams(host: Host) -> None:
    script = "i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done; echo last >&2; exit 42"
    host.create("lines", script)
    done = host.type("start lines", status=42)
    expected = [f"line {number}" for number in range(10_000)]
    assert done.stdout.splitlines() == expected
    assert "last" in done.stderr.splitlines()
    assert host.messages("lines") == expected
    assert host.type("logs tail --vm lines -n 1 --source stderr").stdout.rstrip().endswith("last")
    record = json.loads(host.type("logs tail --vm lines -n 1 --source stderr --json").stdout)
    assert (record["vm_name"], record["message"]) == ("lines", "last")


def noticed(host: Host, name: str) -> list[tuple[int, str, str | None]]:
    """Of each run of the VM, the newest first: its exit code, the reason, and which command noticed."""
    runs = json.loads(host.type(f"runs {name} --json").stdout)
    return [(run["exit_code"], run["reason"], run["noticed_by"]) for run in runs]


def test_a_vm_that_ended_unseen_is_told_of_and_starts_again(host: Host, vms: None) -> None:
    host.type("start one --detach")
    host.until_it_ended("one")
    shown = host.status("one")
    assert (shown["state"], shown["exit_code"]) == ("stopped", 1)
    assert noticed(host, "one")[0] == (1, "its process exited", None)
    host.type("start one", status=1)
    assert "was not running" in host.type("stop one").stderr
    assert host.status("one")["exit_code"] == 1
    assert noticed(host, "one")[:2] == [(1, "its process exited", "foreground"), (1, "its process exited", "start")]


def test_stop_asks_by_the_stop_signal_and_insists_after_the_timeout(host: Host, vms: None) -> None:
    host.type("start patient deaf --detach")
    assert "patient is stopped" in host.type("stop patient").stderr
    assert host.messages("patient")[-2:] == ["begun", "asked"]
    assert host.status("patient")["exit_code"] == 7
    assert noticed(host, "patient")[0] == (7, "it was stopped", "stop")
    assert "was not running" in host.type("stop patient").stderr
    host.type("stop deaf --timeout 1")
    shown = host.status("deaf")
    assert (shown["exit_code"], shown["signal"], shown["vm_error"]) == (137, 9, None)
    assert shown["reason"] == "it was stopped: its process did not end within 1 s of SIGTERM, and was killed"


def test_stop_sends_another_signal_or_asks_nobody(host: Host, vms: None) -> None:
    said = len(host.messages("patient"))
    host.type("start patient deaf --detach")
    host.type("stop deaf --signal USR1")
    assert host.status("deaf")["exit_code"] == 128 + signal.SIGUSR1
    host.type("stop patient --kill")
    shown = host.status("patient")
    assert (shown["state"], shown["exit_code"]) == ("stopped", 137)
    assert "killed by signal 15 to kiln" in shown["vm_error"]
    assert host.messages("patient")[said:] == ["begun"]


def test_a_signal_to_the_foreground_stops_the_vm_and_a_second_waits_for_no_process(host: Host, vms: None) -> None:
    with host.popen("start", "patient") as patient, host.popen("start", "deaf") as deaf:
        for process in (patient, deaf):
            if process.stdout.readline() != "begun\n":
                patient.end()
                deaf.end()
                raise AssertionError(f"{patient.stderr.read()}\n{deaf.stderr.read()}")
        deaf.signal("INT")
        patient.signal("TERM")
        out, err = patient.communicate(timeout=60)
        deaf.signal("INT")
        _, said = deaf.communicate(timeout=60)
    assert (out, patient.returncode) == ("asked\n", 7), err
    assert deaf.returncode == 137, said
    assert host.states()["patient"] == host.states()["deaf"] == "stopped"


def test_restart_runs_the_version_that_is_current(host: Host) -> None:
    host.create("renewed", PATIENT)
    host.type("restart renewed")  # of one that does not run: a start
    shown = host.status("renewed")
    assert shown["state"] == "running"
    running = shown["version"]
    made = host.create("renewed", options="--memory 160 --stop-signal USR1")
    assert made["version"] != running
    shown = host.status("renewed")
    assert (shown["version"], shown["current_version"]) == (running, made["version"])
    assert shown["stop_signal"] == signal.SIGTERM, "of the version that runs"
    host.type("restart renewed --timeout 30")
    shown = host.status("renewed")
    assert (shown["state"], shown["version"], shown["stop_signal"]) == ("running", made["version"], signal.SIGUSR1)
    host.type("stop renewed")
    assert host.status("renewed")["exit_code"] == 128 + signal.SIGUSR1


def test_environment_directory_user_and_host_are_as_asked(host: Host) -> None:
    script = "pwd; id -u; id -g; echo $GREETING; hostname; echo $HOME; cat /etc/hosts"
    options = "--env 'GREETING=grüß dich' --workdir /srv --user 1234:5678 --entrypoint /bin/sh"
    made = host.create("asked", options=f"{options} -- -c '{script}'")
    said = host.type("start asked").stdout.splitlines()
    assert said[:6] == ["/srv", "1234", "5678", "grüß dich", "asked", "/"]
    assert [made["network"]["guest_ip"], "asked"] in [line.split() for line in said[6:]]


def test_doit_is_the_same_in_other_words(host: Host, vms: None) -> None:
    done = host.sh("doit start:deaf --detach && doit start:deaf --detach && doit list --all && doit stop:deaf --kill")
    assert "deaf runs at" in done.stderr
    assert "deaf runs already" in done.stderr
    assert re.search(r"^launch:deaf +launch the jailer", done.stdout, re.MULTILINE)
    steps = re.findall(r"^(\.|--)  ?(\w+):deaf$", done.stderr, re.MULTILINE)
    names = ["network", "disk", "jail", "launch"]
    assert steps == [*((".", name) for name in names), *(("--", name) for name in names), (".", "stop")]


def test_each_step_runs_alone_and_once(host: Host, vms: None) -> None:
    done = host.sh("for step in network disk jail jail network; do doit $step:fine; done; doit start:fine")
    ran = re.findall(r"^(\.|--)  ?(\w+):fine$", done.stderr, re.MULTILINE)
    expected = ["network", "disk", "jail", "launch"]
    assert [name for sign, name in ran if sign == "."] == expected


def test_what_is_printed_for_programs_is_json_and_for_people_a_table(host: Host, ended: list[str]) -> None:
    listed = json.loads(host.type("list --json").stdout)
    assert {"name", "state", "version", "image", "vcpus", "memory", "ip", "exit_code"} <= set(listed[0])
    states = {row["name"]: row["state"] for row in listed}
    table = [line.split()[:2] for line in host.type("list --state stopped").stdout.splitlines()]
    assert table[0] == ["NAME", "STATE"]
    assert table[1:] == [[name, state] for name, state in states.items() if state == "stopped"]
    assert {"fine", "killed", "one"} <= {name for name, _ in table[1:]}


def test_each_start_is_a_run_of_its_own_and_takes_the_hosts_resolvers_of_then(host: Host, vms: None) -> None:
    host.sh("cat /etc/resolv.conf > /root/resolv.conf; echo nameserver 192.0.2.53 > /etc/resolv.conf")
    host.type("start patient --detach")
    host.sh("cat /root/resolv.conf > /etc/resolv.conf")
    assert host.type("exec patient -- cat /etc/resolv.conf").stdout == "nameserver 192.0.2.53\n"
    first = host.status("patient")["run"]
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", first)
    host.type("stop patient")
    assert host.status("patient")["run"] == first
    said = [json.loads(line) for line in host.type("logs show --vm patient --json").stdout.splitlines()]
    assert [one["run"] for one in said if one["source"] == "stdout"][-2:] == [first, first]
    host.type("start patient --detach")
    assert host.status("patient")["run"] > first


@pytest.mark.full
def test_a_vm_of_the_release_before_is_started_reached_and_stopped(host: Host) -> None:
    host.sh("mkdir -p /srv/before")
    for name in ("kiln", "init"):
        host.rig.put(previous.programs() / name, f"/srv/before/{name}")
    host.create("before", PATIENT)
    host.sh("python tests/rig/as_before.py before /srv/before")
    host.type("start before --detach")
    assert host.type("exec before -- cat /etc/resolv.conf").stdout == "nameserver 192.0.2.77\n"
    host.sh("infernoctl cp before:/etc/hostname /srv/before/ && grep -qx before /srv/before/hostname")
    host.type("stop before")
    shown = host.status("before")
    assert (shown["state"], shown["exit_code"], shown["vm_error"]) == ("stopped", 7, None)
    assert shown["run"], "the host counts it as a run all the same"
    said = [json.loads(line) for line in host.type("logs show --vm before --json").stdout.splitlines()]
    of_process = [(one["message"], "run" in one) for one in said if one["source"] == "stdout"]
    assert of_process == [("begun", False), ("asked", False)]
    host.type("destroy before --yes")


def test_a_foreground_sees_its_vm_ended_by_others(host: Host, vms: None) -> None:
    host.create("doomed", DEAF)
    with host.popen("start", "patient") as patient, host.popen("start", "doomed") as doomed:
        assert patient.stdout.readline() == doomed.stdout.readline() == "begun\n"
        host.sh("infernoctl stop patient; infernoctl destroy doomed --force")
        out, err = patient.communicate(timeout=60)
        _, said = doomed.communicate(timeout=60)
    assert (out, patient.returncode) == ("asked\n", 7), err
    assert doomed.returncode == 137, said
    assert "doomed" not in host.states()


def test_a_lost_database_is_rebuilt_under_a_vm_that_runs(host: Host, vms: None) -> None:
    path = json.loads(host.type("env --json").stdout)["DB_PATH"]["value"]
    question = (
        "db query 'select name, slot, spec, version from machines where version is not null order by name' --json"
    )
    before = host.type(question).stdout
    host.type("start patient --detach")
    pid = host.status("patient")["pid"]
    host.sh(f"rm -f {path} {path}-wal {path}-shm")
    assert "patient is back" in host.type("db rebuild").stdout
    assert host.type(question).stdout == before
    assert (host.status("patient")["state"], host.status("patient")["pid"]) == ("running", pid)
    assert "patient is stopped" in host.type("stop patient").stderr
    host.type("start fine", status=0)


# Prints the reserve that leaves 200 MiB of memory to VMs beside those that run.
RESERVE = """
import glob, os
total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
taken = sum((int(open(name).read()) >> 20) - 96 + 10 for name in glob.glob("/sys/fs/cgroup/inferno.slice/*/memory.max"))
print(total - taken - 200)
"""


def test_of_two_starts_at_once_one_is_refused_where_one_fits(host: Host, vms: None) -> None:
    small = f"export INFERNO_MEMORY_RESERVE=$(python3 -c {shlex.quote(RESERVE)})\n"
    begin = "for vm in patient deaf; do (infernoctl start $vm --detach; echo $vm $?) & done; wait"
    done = host.sh(small + begin)
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == ["0", "2"], done
    assert " needs 139 MiB of memory, and of the " in done.stderr
    [other] = [name for name in ("patient", "deaf") if host.states()[name] != "running"]
    host.sh(f"{small} infernoctl start {other} --detach --overcommit && infernoctl stop patient deaf --kill")
    assert "no VM is started" in host.sh("INFERNO_DISK_RESERVE=1000000 infernoctl start fine", status=2).stderr


def test_a_second_root_starts_nothing_while_the_first_has_the_network(host: Host, vms: None) -> None:
    second = "export INFERNO_ROOT=/var/lib/second\n"
    host.type("start patient --detach")
    host.sh("cp -a /var/lib/inferno /var/lib/second")
    for command in ("infernoctl start patient --detach", "doit network:patient"):
        refused = host.sh(f"{second} {command}", status=2).stderr
        assert "the INFERNO_ROOT /var/lib/inferno has this host's network of VMs: patient runs there" in refused
        assert "INFERNO_ROOT=/var/lib/inferno infernoctl stop patient" in refused
    assert "no VM of /var/lib/second can start" in host.sh(f"{second} infernoctl list").stderr
    host.type("stop patient --kill")
    assert host.sh("rm -r /var/lib/second && cat /run/inferno/root").stdout == "/var/lib/inferno\n"


def test_destroy_takes_all_but_the_log_when_asked(host: Host) -> None:
    host.create("talker", PATIENT)
    host.type("start talker --detach")
    host.until_it_said("talker", "begun")
    assert "talker runs\nhint: infernoctl stop talker" in host.type("destroy talker --yes", status=2).stderr
    assert host.states()["talker"] == "running"
    host.type("destroy talker --force --keep-logs")
    assert "talker" not in host.states()
    assert "begun" in host.type("logs show --vm talker").stdout
    host.type("destroy talker --yes", status=2)
