"""What Docker's users type: it works, or one line says what to type instead, or that VMs have no such thing and why."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.cli.main import main
from inferno.console import docker_hints
from inferno.console.options import HELP
from inferno.console.typed import read
from inferno.console.verbs import table
from inferno.console.verbs.finding import find
from inferno.console.verbs.table import NAMES, VERBS
from inferno.console.verbs.tasks import TASKS
from inferno.spec.grammar import check_text

WORKS = ""  # else a part of the hint
TABLE = {
    "run -d --name web -p 8080:80 nginx": "infernoctl create NAME --image REF, then infernoctl start NAME",
    "run -it --rm ubuntu bash": "infernoctl create NAME --image REF, then infernoctl start NAME",
    "ps": "infernoctl list",
    "ps -a": "infernoctl list",
    "ps -q --filter name=web": "infernoctl list",
    "ls": WORKS,
    "ls -a": "infernoctl list shows all VMs",
    "list -q": "jq -r '.[].name'",
    "list --filter status=running": "--state running",
    "list --no-trunc": "--json",
    "create --name web nginx": "the name is the first word",
    "create web --image nginx -m 512m -e A=1 -w /srv -u 1000 -t -i": WORKS,
    "create web --image nginx -p 8080:80": "the VM's own address has all its ports",
    "create web --image nginx --publish 8080:80": "infernoctl status NAME",
    "create web --image nginx -v data:/data": "there are no volumes",
    "create web --image nginx --volume data:/data": "there are no volumes",
    "create web --image nginx --mount type=bind,src=/a,dst=/b": "there are no volumes",
    "create web --image nginx --restart always": "not started again by itself",
    "create web --image nginx --label a=b": "no labels",
    "create web --image nginx --network host": "a network of its own",
    "create web --image nginx --cpus 2": "--vcpus N",
    "create web --image nginx --cpuset-cpus 0": "--cpu-weight",
    "create web --image nginx --memory-swap 1g": "never swapped",
    "create web --image nginx --shm-size 1g": "--tmpfs /dev/shm:size=SIZE",
    "create web --image nginx --gpus all": "no GPU",
    "create web --image nginx --device /dev/kvm": "no device of the host",
    "create web --image nginx --cap-add NET_ADMIN": "docs/trust-boundaries.md",
    "create web --image nginx --privileged": "docs/trust-boundaries.md",
    "create web --image nginx --security-opt no-new-privileges": "docs/trust-boundaries.md",
    "create web --image nginx --pid host": "shares no namespace",
    "create web --image nginx --pids-limit 100": "--ulimit nproc=N",
    "create web --image nginx --sysctl net.core.somaxconn=1024": "sysctl -w KEY=VALUE",
    "create web --image nginx --stop-signal INT": WORKS,
    "create web --image nginx --health-cmd true": "HEALTHCHECK is not run",
    "create web --image nginx --rm": "infernoctl destroy NAME",
    "create web --image nginx --read-only --tmpfs /tmp": WORKS,
    "create web --image nginx --entrypoint /bin/sh --hostname web --ulimit nofile=1024": WORKS,
    "create web --image nginx --env-file env --platform linux/amd64 --pull always": WORKS,
    "start web -d": WORKS,
    "start --attach web": "unless --detach is given",
    "start -a web": "unless --detach is given",
    "start -i web": WORKS,
    "stop web": WORKS,
    "stop -t 5 web": WORKS,
    "stop --time 5 web": WORKS,
    "stop -s INT web": WORKS,
    "restart web -t 5": WORKS,
    "restart -s INT web": "infernoctl stop NAME --signal SIGNAL",
    "kill web": WORKS,
    "kill -s HUP web": WORKS,
    "rm web": "infernoctl destroy web",
    "rm -f web": "infernoctl destroy NAME --force",
    "destroy -f web": WORKS,
    "rename a b": "a VM keeps its name",
    "update --memory 512m web": "infernoctl restart NAME",
    "pause web": "cannot be paused",
    "unpause web": "infernoctl start web",
    "inspect web": "infernoctl status web --json",
    "port web": "infernoctl status web",
    "logs web": WORKS,
    "logs -f web": WORKS,
    "logs --since 10m web": WORKS,
    "logs --tail 10 web": WORKS,
    "logs -t web": WORKS,
    "logs --details web": "--json",
    "exec -it web sh": WORKS,
    "exec -u 0 -w / -e A=1 web true": WORKS,
    "exec --privileged web true": "--user 0",
    "cp web:/etc/passwd .": WORKS,
    "cp -a -L web:/etc/passwd .": WORKS,
    "top web": WORKS,
    "stats": WORKS,
    "stats --no-stream": "prints once",
    "wait web": WORKS,
    "attach web": WORKS,
    "diff web": "infernoctl exec web -- find",
    "commit web app:v2": "docker import",
    "export web": "infernoctl cp web:/ -",
    "import root.tar": "--image docker-archive:FILE",
    "save nginx": "skopeo copy",
    "load": "--image docker-archive:FILE",
    "tag a b": "docker tag",
    "push app": "only fetches",
    "pull nginx": "infernoctl images pull nginx",
    "rmi nginx": "infernoctl images prune",
    "history nginx": "infernoctl images show nginx",
    "search nginx": "docker search",
    "build .": "docker build",
    "buildx build .": "docker-daemon:REF",
    "images": WORKS,
    "images -q": "infernoctl images list --json",
    "images -a": "shows all images",
    "images --digests": "--json has the digests",
    "images rm nginx": "infernoctl images prune",
    "images prune -f": "does not ask",
    "images prune -a": "every image that no VM uses",
    "image ls": WORKS,
    "image ls -q": "infernoctl images list --json",
    "image pull nginx": WORKS,
    "image inspect nginx": WORKS,
    "image prune": WORKS,
    "image rm nginx": "infernoctl images prune",
    "image build .": "images are built by docker",
    "image nginx": "infernoctl image --help",
    "network": "a network of its own",
    "network ls": "infernoctl list",
    "network create lan": "infernoctl task network NAME",
    "network rm lan": "a network of its own",
    "network inspect web": "infernoctl status web --json",
    "network prune": "a network of its own",
    "volume": "there are no volumes",
    "volume ls": "there are no volumes",
    "volume create data": "there are no volumes",
    "config": "infernoctl env",
    "config ls": "infernoctl task config NAME",
    "config create a b": "infernoctl env",
    "container": "infernoctl list",
    "container ls": "infernoctl ls",
    "container ps": "infernoctl list",
    "container rm web": "infernoctl destroy web",
    "container stop web": "infernoctl stop web",
    "container inspect web": "infernoctl status web --json",
    "container prune": "infernoctl destroy NAME",
    "system df": "tell sizes",
    "system prune": "infernoctl images prune",
    "system prune -a -f": "infernoctl images prune",
    "system info": "infernoctl doctor",
    "system events": "infernoctl runs NAME",
    "info": "infernoctl doctor",
    "events": "infernoctl runs NAME",
    "version": WORKS,
    "--version": WORKS,
    "-v": "infernoctl version",
    "login ghcr.io": "skopeo login",
    "logout": "docker logout",
    "context ls": "ssh HOST infernoctl list",
    "compose up": "docs/pipelines.md",
    "up": "docs/pipelines.md",
    "swarm init": "no swarm",
    "service ls": "no swarm",
    "secret ls": "no swarm",
    "stack ls": "no swarm",
    "plugin ls": "no plugins",
    "manifest inspect nginx": "skopeo inspect",
    "trust inspect nginx": "signatures",
    "run --rm -it alpine sh": "infernoctl create NAME --image REF",
    "docker ps -aq": "infernoctl list",
    "docker logs -f --tail=100 web": "infernoctl logs -f --tail=100 web",
    "docker rm -fv web": "infernoctl destroy NAME --force",
    "sudo docker ps": "infernoctl list",
    "podman pod ls": "no pods",
    "ps -aq --filter status=exited": "infernoctl list",
    "logs -f --tail=100 web": WORKS,
    "logs -ft -n 5 web": WORKS,
    "inspect -f {{.State.Status}} web": "infernoctl status NAME --json",
    "exec -w /srv web pwd": WORKS,
    "exec --env-file env web env": WORKS,
    "top web -ef": "infernoctl exec NAME -- ps -ef",
    "top web aux": "infernoctl top NAME",
    "stats --format json": "--json",
    "stats -a": "infernoctl list",
    "commit -m words web app": "docker import",
    "save -o file.tar nginx": "docker save",
    "load -i file.tar": "docker-archive:FILE",
    "image ls -a": "shows all images",
    "image ls --filter dangling=true": "--json",
    "image history nginx": "infernoctl images show nginx",
    "image rm -f nginx": "infernoctl images prune",
    "images nginx": "infernoctl images show nginx",
    "images rmi nginx": "infernoctl images prune",
    "images --format json": "--json",
    "images -aq": "shows all images",
    "list --format {{.Names}}": "--json, and jq",
    "version --format json": "--json",
    "system prune -af": "infernoctl images prune",
    "system df -v": "tell sizes",
    "compose up -d": "docs/pipelines.md",
    "compose exec web sh": "docs/pipelines.md",
    "docker-compose up -d": "docs/pipelines.md",
    "buildx ls": "docker-daemon:REF",
    "builder prune -f": "images are built by docker",
    "build -t app .": "docker build",
    "login -u me ghcr.io": "docker login",
    "context use other": "ssh HOST infernoctl list",
    "-H ssh://other ps": "ssh HOST infernoctl list",
    "--host=tcp://other ps": "ssh HOST infernoctl list",
    "--debug ps": "infernoctl VERB --help",
    "network connect lan web": "a network of its own",
    "volume prune -f": "there are no volumes",
    "container ls -a": "infernoctl list shows all VMs",
    "container rm -f web": "infernoctl destroy NAME --force",
    "container create --name web nginx": "infernoctl create NAME --image REF",
    "container exec -it web sh": "infernoctl exec -it web sh",
    "container start --sig-proxy web": "infernoctl attach NAME",
    "checkpoint create web one": "memory is never kept",
    "extension ls": "no plugins",
    "machine ls": "/dev/kvm",
    "namespace ls": "infernoctl --help",
    "scout cves nginx": "docker scout",
    "generate systemd web": "infernoctl start NAME",
    "mount web": "infernoctl cp web:/ -",
    "cp -q web:/a .": "says nothing",
    "kill -9 web": "infernoctl kill -s 9 NAME",
    "kill --signal=KILL web other": WORKS,
    "attach --no-stdin web": "passes no input on",
    "attach --sig-proxy=false web": "ends attach and not the VM",
    "attach --detach-keys ctrl-x web": WORKS,
    "create -d --image nginx web": "infernoctl start NAME --detach",
    "create web --image nginx --group-add 5": "--user USER:GROUP",
    "create web --image nginx --cpu-quota 1": "--vcpus N",
    "create web --image nginx --health-interval 5s": "HEALTHCHECK is not run",
    "create web --image nginx --annotation a=b": "no labels",
    "create web --image nginx --memory-swappiness 0": "never swapped",
    "create web --image nginx --dns 192.0.2.1 --dns-opt ndots:1 --add-host a:192.0.2.2": WORKS,
}


def reads(line: str) -> None:
    """As infernoctl reads a command line before anything is done. Raises UsageError."""
    words = shlex.split(line)
    found = find(["version" if word == "--version" else word for word in words])
    read(found.verb, found.called, found.words)
    check_text(words)


@pytest.mark.parametrize("line", [line for line, hint in TABLE.items() if hint == WORKS])
def test_what_docker_has_too_is_taken(line: str) -> None:
    reads(line)


@pytest.mark.parametrize(("line", "hint"), [(line, hint) for line, hint in TABLE.items() if hint != WORKS])
def test_what_is_other_here_is_told_in_one_line(
    line: str, hint: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))
    status = main(shlex.split(line))
    out, err = capfd.readouterr()
    assert (status, out) == (2, "")
    error, told = err.splitlines()
    assert error.startswith("error: ") and told.startswith("hint: ")
    assert hint in told
    assert "did you mean" not in told
    assert not (tmp_path / "root").exists(), "nothing was looked up or begun"


NOUNS = ("image", "network", "volume", "config", "container", "system")


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_of_dockers_is_never_a_step(noun: str) -> None:
    assert noun not in VERBS
    if noun in NAMES:
        assert not any(action.is_task for action in find([noun]).page.actions)


@pytest.mark.parametrize("task", TASKS)
def test_a_step_is_typed_by_its_task_whatever_its_name(task: str) -> None:
    found = find(["task", task, "x", "y"])
    if TASKS[task].subject == "once":
        assert found.verb is VERBS["task"], "doit reads `task kiln init`"
    else:
        assert (found.verb, read(found.verb, found.called, found.words).operands) == (TASKS[task], ["x", "y"])


# What stands for words of the user's in hints.
HOLES = {
    "SECONDS": "5",
    "N": "5",
    "NAME": "web1",
    "ANOTHER": "web2",
    "REF": "nginx",
    "FILE": "file",
    "KEY=VALUE": "a=b",
    "SIGNAL": "INT",
}


def readable(words: list[str]) -> list[str]:
    """The longest beginning of the words that infernoctl takes; a sentence may go on after it."""
    while words:
        try:
            found = find(words)
            read(found.verb, found.called, [*found.words, "--help"])
            return words
        except UsageError:
            words = words[:-1]
    return []


@pytest.mark.parametrize("key", [*docker_hints.WORDS, *docker_hints.OPTIONS])
def test_every_command_in_a_hint_can_be_typed(key: str) -> None:
    hint = docker_hints.WORDS.get(key) or docker_hints.OPTIONS[key]
    assert "\n" not in hint and not hint.endswith(".") and len(hint) <= 130
    for typed in re.findall(r"infernoctl ([^,;|>:]+)", hint):
        words = [HOLES.get(word, word) for word in typed.split()]
        taken = readable(words)
        assert taken, typed
        assert not [word for word in words[len(taken) :] if word.startswith("-") or word in HOLES.values()], typed


def test_options_that_hints_are_for_do_not_exist_and_those_in_hints_do() -> None:
    for key, hint in docker_hints.OPTIONS.items():
        verb, typed = key.rsplit(" ", 1)
        if verb == "*":
            continue
        row = VERBS[verb.split()[0]]
        row = row.action(verb.split()[1]) or row if " " in verb else row.action(row.default) or row
        options = (*row.options, HELP)
        taken = {f"--{each.long}" for each in options} | {f"-{each.short}" for each in options if each.short}
        assert typed not in taken, f"{key} works: the hint is never shown"
        begins = re.match(r"--[a-z-]+", hint)
        assert not begins or begins[0] in taken, hint


def test_other_names_of_verbs_are_those_of_the_table() -> None:
    asked = {key.split()[0] for key in docker_hints.OPTIONS}
    assert {alias: verb for alias, verb in table.ALIASES.items() if verb in asked} == docker_hints.ALIASES


def test_words_that_hints_are_for_are_not_verbs() -> None:
    for key in docker_hints.WORDS:
        noun, _, verb = key.partition(" ")
        assert noun not in NAMES or (verb and find([noun]).page.action(verb) is None), key
