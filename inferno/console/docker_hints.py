"""What Docker's users type, and those of the bash version, and Inferno calls otherwise or has not: a hint for each.

A hint names the command to type, or says why a VM has no such thing. The words NAME, REF and so on stand for what was
typed. It is looked at only for words that are not verbs, and options that a verb does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from inferno.base.errors import UsageError

Refused = Callable[[Sequence[str]], UsageError | None]

_NO_VOLUMES = "there are no volumes: what a VM writes is gone after its stop; copy it out before: infernoctl cp"
_OWN_NETWORK = "each VM has a network of its own, made by its start: infernoctl list tells addresses"
_NO_EDIT = "images are built by docker; then: infernoctl create NAME --image docker-daemon:REF"
_NO_PUSH = "Inferno only fetches images: docker or skopeo push them"
_NO_PLUGINS = "Inferno has no plugins"
_NO_SCAN = "Inferno does not look for leaks in images: docker scout, or another program that does"
_NO_SWARM = "one host is all that Inferno knows: there is no swarm"
_START = "infernoctl create NAME --image REF, then infernoctl start NAME"
_PRUNE = "infernoctl images prune removes the images that no VM uses"
_NO_PODS = "each VM is alone: there are no pods, and Inferno reads no files of Kubernetes"
_NO_MOUNT = "a VM's files are its own: infernoctl cp NAME:/ - | tar -x takes them out"
_HOSTS = "each host has its own VMs: ssh HOST infernoctl list"
_REDO = "infernoctl create NAME, with the options that are to change, then infernoctl restart NAME"

# One word, or a noun and its verb. A noun alone stands for all its verbs that have no line.
WORDS: dict[str, str] = {
    "auto-update": "infernoctl create NAME --pull always takes what the tag names now; then infernoctl restart NAME",
    "build": "docker build, then infernoctl create NAME --image docker-daemon:REF",
    "buildx": _NO_EDIT,
    "builder": _NO_EDIT,
    "checkpoint": "a VM's memory is never kept: infernoctl stop NAME, and infernoctl start NAME begins anew",
    "commit": "what a VM writes is not made an image: infernoctl cp NAME:/ - | docker import - REF",
    "compose": "Inferno reads no compose files: docs/pipelines.md declares VMs in a dodo.py",
    "config": "configs are of swarms; infernoctl env shows the settings; the step: infernoctl task config NAME",
    "container": "infernoctl list",
    "container create": _START,
    "container inspect": "infernoctl status NAME --json",
    "container prune": "infernoctl destroy NAME, of each VM that is not wanted",
    "context": _HOSTS,
    "desktop": _NO_PLUGINS,
    "df": "infernoctl images list, and infernoctl logs status, tell sizes",
    "diff": "infernoctl exec NAME -- find / -xdev -newer /etc/hostname shows what was written since the start",
    "down": "infernoctl destroy NAME, of each VM",
    "events": "infernoctl runs NAME tells when a VM began and ended",
    "export": "infernoctl cp NAME:/ - > FILE",
    "extension": _NO_PLUGINS,
    "generate": "a unit of systemd's runs infernoctl start NAME, and infernoctl stop NAME at its end",
    "healthcheck": "the image's HEALTHCHECK is not run: infernoctl exec NAME -- CMD runs it",
    "history": "infernoctl images show REF",
    "image history": "infernoctl images show REF",
    "image build": _NO_EDIT,
    "image import": "infernoctl create NAME --image docker-archive:FILE, or oci-archive:FILE",
    "image load": "infernoctl create NAME --image docker-archive:FILE, or oci-archive:FILE",
    "image push": _NO_PUSH,
    "image rm": _PRUNE,
    "image save": "docker save, or skopeo copy: Inferno keeps no layers",
    "image tag": "an image has the names that its registry or engine gives it: docker tag",
    "import": "infernoctl create NAME --image docker-archive:FILE, or oci-archive:FILE",
    "info": "infernoctl doctor, or infernoctl env",
    "inspect": "infernoctl status NAME --json",
    "load": "infernoctl create NAME --image docker-archive:FILE, or oci-archive:FILE",
    "kube": _NO_PODS,
    "login": "docker login: its logins are used here too; without docker: skopeo login",
    "logout": "docker logout, or skopeo logout",
    "machine": "Inferno runs on a Linux host with /dev/kvm, and makes none: infernoctl doctor looks at this one",
    "manifest": "skopeo inspect --raw docker://REF",
    "mcp": _NO_PLUGINS,
    "model": _NO_PLUGINS,
    "mount": _NO_MOUNT,
    "network": f"{_OWN_NETWORK}; the step: infernoctl task network NAME",
    "network ls": _OWN_NETWORK,
    "network inspect": "infernoctl status NAME --json",
    "node": _NO_SWARM,
    "pause": "a VM that runs cannot be paused: infernoctl stop NAME ends it",
    "offload": _NO_PLUGINS,
    "play": _NO_PODS,
    "plugin": _NO_PLUGINS,
    "pod": _NO_PODS,
    "port": "infernoctl status NAME tells the VM's address; all its ports are open there, to this host",
    "ps": "infernoctl list",
    "pull": "infernoctl images pull REF",
    "push": _NO_PUSH,
    "rename": "a VM keeps its name: infernoctl create ANOTHER --image REF, then infernoctl destroy NAME",
    "rm": "infernoctl destroy NAME",
    "rmi": _PRUNE,
    "run": _START,
    "save": "docker save, or skopeo copy: Inferno keeps no layers",
    "sbom": _NO_SCAN,
    "scout": _NO_SCAN,
    "search": "docker search, or the registry's own pages",
    "secret": f"{_NO_SWARM}; infernoctl create NAME --secret NAME=FILE hands a file of this host over",
    "service": _NO_SWARM,
    "stack": _NO_SWARM,
    "swarm": _NO_SWARM,
    "system": "infernoctl doctor looks at this host; infernoctl env shows the settings",
    "system df": "infernoctl images list, and infernoctl logs status, tell sizes",
    "system events": "infernoctl runs NAME tells when a VM began and ended",
    "system prune": _PRUNE,
    "tag": "an image has the names that its registry or engine gives it: docker tag",
    "trust": "Inferno does not check signatures: an image named by its digest is the one you mean, REF@sha256:…",
    "umount": _NO_MOUNT,
    "unmount": _NO_MOUNT,
    "unpause": "a VM that runs cannot be paused: infernoctl start NAME starts one that was stopped",
    "up": "Inferno reads no compose files: docs/pipelines.md declares VMs in a dodo.py",
    "update": _REDO,
    "volume": _NO_VOLUMES,
    # Of the bash version: docs/coming-from-bash-inferno.md.
    "haproxy": "a VM's ports are at its address, for this host alone: infernoctl list",
    "lvm": "infernoctl doctor looks at the pool; docs/storage.md says how to make one",
    "reconcile": "every command puts in order what it finds of a VM: infernoctl doctor tells of traces",
    "route": "a VM's ports are at its address, for this host alone: infernoctl list",
}
# Programs that are typed before a verb of theirs, by habit.
_PROGRAMS = ("docker", "podman", "nerdctl")
# What follows a noun of Docker's, and is not a name.
_VERBS_OF_NOUNS = ("ls", "list", "create", "rm", "remove", "inspect", "prune", "connect", "disconnect")
# The names of OPTIONS, by their other names: the table of verbs reads options, and so this, and cannot be asked.
ALIASES = {"ls": "list", "image": "images"}
# Of a verb and an option, or of any verb and that option: `*`.
_CAPS = "the process is root of its own machine, and the jail around that has no options: docs/trust-boundaries.md"
_SHARES_NOTHING = "a VM shares no namespace with the host or another VM"
_HEALTH = "the image's HEALTHCHECK is not run: infernoctl exec NAME -- CMD runs it"
_FORMAT = "--json prints all of it, for jq"
_CGROUP = "a VM has as many processors and as much memory as --vcpus and --memory say; --cpu-weight and --io-max share"
OPTIONS: dict[str, str] = {
    "* --name": "the name is the first word: infernoctl create NAME --image REF",
    "* --rm": "a VM stays until infernoctl destroy NAME; what it wrote is gone after its stop",
    "create --detach": "infernoctl start NAME --detach, after create",
    "create -d": "infernoctl start NAME --detach, after create",
    "create --detach-keys": "infernoctl start -i NAME --detach-keys KEYS",
    "create --sig-proxy": "infernoctl start NAME stops the VM at Ctrl-C; infernoctl kill -s SIGNAL NAME sends a signal",
    "create --group-add": "the groups of a user are those of the image's /etc/group; --user USER:GROUP names one",
    "create --network-alias": "--add-host NAME:IP gives a VM names of others; they are not looked up anywhere else",
    "create --ip6": _OWN_NETWORK,
    "create --volume-driver": _NO_VOLUMES,
    "create --annotation": "VMs have names and no labels",
    "create --label-file": "VMs have names and no labels",
    "create --cpu-period": "--vcpus N, whole processors; --cpu-weight shares them",
    "create --cpu-quota": "--vcpus N, whole processors; --cpu-weight shares them",
    "create --cpu-rt-runtime": _CGROUP,
    "create --cpu-rt-period": _CGROUP,
    "create --cpuset-mems": _CGROUP,
    "create --memory-swappiness": "a VM's memory is never swapped by the host",
    "create --kernel-memory": "--memory N is the guest's own, of which its kernel takes what it needs",
    "create --device-read-iops": "--io-max riops=N",
    "create --device-write-iops": "--io-max wiops=N",
    "create --blkio-weight-device": "--io-max WORDS limits a VM's disks",
    "create --device-cgroup-rule": "a VM has its own disks, network and vsock, and no device of the host",
    "create --isolation": "there is one runtime: kiln and Firecracker in a jail",
    "create --use-api-socket": "a VM reaches no socket of this host",
    "create --disable-content-trust": "Inferno does not check signatures: --image REF@sha256:… is the image you mean",
    "create --health-interval": _HEALTH,
    "create --health-retries": _HEALTH,
    "create --health-start-interval": _HEALTH,
    "create --health-start-period": _HEALTH,
    "create --health-timeout": _HEALTH,
    "create --publish": "the VM's own address has all its ports: infernoctl status NAME",
    "create -p": "the VM's own address has all its ports: infernoctl status NAME",
    "create --publish-all": "the VM's own address has all its ports: infernoctl status NAME",
    "create -P": "the VM's own address has all its ports: infernoctl status NAME",
    "create --expose": "the VM's own address has all its ports: infernoctl status NAME",
    "create --volume": _NO_VOLUMES,
    "create -v": _NO_VOLUMES,
    "create --mount": _NO_VOLUMES,
    "create --volumes-from": _NO_VOLUMES,
    "create --network": _OWN_NETWORK,
    "create --net": _OWN_NETWORK,
    "create --ip": _OWN_NETWORK,
    "create --mac-address": _OWN_NETWORK,
    "create --link": "VMs do not reach each other: the host's side of a VM is docs/how-it-starts.md",
    "create --restart": "a VM that ended is not started again by itself: infernoctl wait NAME; infernoctl start NAME",
    "create --label": "VMs have names and no labels",
    "create -l": "VMs have names and no labels",
    "create --cpus": "--vcpus N, whole processors; --cpu-weight shares them",
    "create --cpu-shares": "--cpu-weight N, from 1 to 10000; 100 is usual",
    "create -c": "--cpu-weight N, from 1 to 10000; 100 is usual",
    "create --cpuset-cpus": _CGROUP,
    "create --memory-swap": "a VM's memory is never swapped by the host",
    "create --memory-reservation": _CGROUP,
    "create --blkio-weight": "--io-max WORDS limits a VM's disks",
    "create --device-read-bps": "--io-max rbps=BYTES",
    "create --device-write-bps": "--io-max wbps=BYTES",
    "create --device": "a VM has its own disks, network and vsock, and no device of the host",
    "create --gpus": "a VM has no GPU: Firecracker passes no device of the host through",
    "create --runtime": "there is one runtime: kiln and Firecracker in a jail",
    "create --privileged": _CAPS,
    "create --cap-add": _CAPS,
    "create --cap-drop": _CAPS,
    "create --security-opt": _CAPS,
    "create --userns": _SHARES_NOTHING,
    "create --pid": _SHARES_NOTHING,
    "create --ipc": _SHARES_NOTHING,
    "create --uts": _SHARES_NOTHING,
    "create --cgroupns": _SHARES_NOTHING,
    "create --cgroup-parent": "a VM's cgroup is inferno.slice/VERSION: infernoctl status NAME",
    "create --pids-limit": "the guest's kernel limits its processes: --ulimit nproc=N for the user of yours",
    "create --oom-kill-disable": "--memory N is the guest's own: its kernel kills in it when it is used up",
    "create --oom-score-adj": "--memory N is the guest's own: its kernel kills in it when it is used up",
    "create --shm-size": "--tmpfs /dev/shm:size=SIZE",
    "create --sysctl": "infernoctl exec -u 0 NAME -- sysctl -w KEY=VALUE, in the VM's own kernel",
    "create --storage-opt": "ROOTFS_SIZE_MB, a setting, is the size of what a VM may write: infernoctl env",
    "create --log-driver": "logs are files that infernoctl logs reads: docs/logs.md",
    "create --log-opt": "INFERNO_LOG_MAX_SIZE_MB and INFERNO_LOG_MAX_FILES, which are settings: infernoctl env",
    "create --health-cmd": _HEALTH,
    "create --no-healthcheck": "the image's HEALTHCHECK is not run anyway",
    "create --stop-timeout": "infernoctl stop NAME --timeout SECONDS",
    "create --attach": "infernoctl start NAME follows the output",
    "create -a": "infernoctl start NAME follows the output",
    "create --cidfile": "infernoctl create prints the VM's version and address as one line of JSON",
    "create --domainname": "--hostname NAME",
    "start --attach": "infernoctl start NAME follows the output, unless --detach is given",
    "start -a": "infernoctl start NAME follows the output, unless --detach is given",
    "stats --format": _FORMAT,
    "version --format": _FORMAT,
    "version -f": _FORMAT,
    "images --format": _FORMAT,
    "images --tree": "infernoctl images show REF",
    "kill -9": "infernoctl kill -s 9 NAME",
    "kill -1": "infernoctl kill -s N NAME",
    "attach --no-stdin": "infernoctl attach NAME without -i passes no input on",
    "attach --sig-proxy": "Ctrl-C ends attach and not the VM; infernoctl kill -s SIGNAL NAME sends a signal",
    "start --sig-proxy": "infernoctl start NAME --detach, then infernoctl attach NAME: Ctrl-C ends that and not the VM",
    "restart --signal": "infernoctl stop NAME --signal SIGNAL, then infernoctl start NAME --detach",
    "restart -s": "infernoctl stop NAME --signal SIGNAL, then infernoctl start NAME --detach",
    "destroy --volumes": "a VM has no volumes: what it wrote is gone with its run",
    "destroy -v": "a VM has no volumes: what it wrote is gone with its run",
    "list --all": "infernoctl list shows all VMs; --state running those that run",
    "list -a": "infernoctl list shows all VMs; --state running those that run",
    "list --quiet": "infernoctl list --json | jq -r '.[].name'",
    "list -q": "infernoctl list --json | jq -r '.[].name'",
    "list --filter": "--state running, created or stopped",
    "list -f": "--state running, created or stopped",
    "list --no-trunc": "infernoctl list --json has everything in full",
    "list --size": "infernoctl images list tells the sizes of images",
    "status --size": "infernoctl images list tells the sizes of images",
    "logs --details": "infernoctl logs NAME --json has all there is of a line",
    "exec --privileged": "--user 0 is root of the VM",
    "top -e": "infernoctl exec NAME -- ps -ef asks the image's own ps",
    "top -o": "infernoctl exec NAME -- ps -o FIELDS asks the image's own ps",
    "cp --quiet": "cp says nothing unless something is wrong",
    "cp -q": "cp says nothing unless something is wrong",
    "stats --no-stream": "infernoctl stats prints once",
    "stats --no-trunc": "infernoctl stats --json has everything in full",
    "stats -a": "infernoctl stats shows the VMs that run; infernoctl list shows all",
    "stats --all": "infernoctl stats shows the VMs that run; infernoctl list shows all",
    "images --quiet": "infernoctl images list --json",
    "images -q": "infernoctl images list --json",
    "images --all": "infernoctl images list shows all images",
    "images -a": "infernoctl images list shows all images",
    "images --digests": "infernoctl images list --json has the digests",
    "images --filter": "infernoctl images list --json",
    "images --no-trunc": "infernoctl images list --json has everything in full",
    "images prune --force": "infernoctl images prune does not ask; --dry-run says what it would remove",
    "images prune -f": "infernoctl images prune does not ask; --dry-run says what it would remove",
    "images prune --all": "infernoctl images prune removes every image that no VM uses",
    "images prune -a": "infernoctl images prune removes every image that no VM uses",
    "images pull --all-tags": "one tag at a time: infernoctl images pull REF",
    "images pull -a": "one tag at a time: infernoctl images pull REF",
}


def word(word: str, rest: Sequence[str], known: Sequence[str], refused: Refused) -> str | None:
    """The hint for a word that is not one of the `known` verbs, with the words after it; None if it is not Docker's.

    `refused` says what is wrong with the words of a command.
    """
    verb = next((each for each in rest if not each.startswith("-")), "")
    after = list(rest[rest.index(verb) + 1 :]) if verb else []
    if word in (*_PROGRAMS, "sudo") or (word == "container" and verb and f"container {verb}" not in WORDS):
        return _instead([verb, *after], known, refused) if verb else None
    if word == "docker-compose":
        return WORDS["compose"]
    if word == "rm" and any(each == "--force" or re.fullmatch("-[a-z]*f[a-z]*", each) for each in rest):
        return "infernoctl destroy NAME --force"
    if f"{word} {verb}" in WORDS:
        return _hint(f"{word} {verb}", after)
    return _hint(word, rest) if word in WORDS else None


def _instead(words: list[str], known: Sequence[str], refused: Refused) -> str | None:
    """The words as infernoctl takes them, where it does; else the hint for them."""
    if words[0] not in known:
        return word(words[0], words[1:], known, refused)
    refusal = refused(words)
    return refusal.hint if refusal else " ".join(["infernoctl", *words])


def action(verb: str, word: str, rest: Sequence[str]) -> str | None:
    """The hint for a word that is not one of the verb's own verbs; None if it is not Docker's."""
    noun = "image" if verb == "images" else verb
    key = next((each for each in (f"{noun} {word}", word) if each in WORDS), None)
    return _hint(key, rest) if key else None


def _hint(key: str, rest: Sequence[str]) -> str:
    """The line of WORDS, with what was typed in the place of NAME or REF, where it is clear which is meant."""
    hint = WORDS[key]
    holes = [hole for hole in ("NAME", "REF") if re.search(rf"\b{hole}\b", hint)]
    if len(holes) == 1 and len(rest) == 1 and not rest[0].startswith("-") and rest[0] not in _VERBS_OF_NOUNS:
        return re.sub(rf"\b{holes[0]}\b", lambda _: rest[0], hint)
    return hint


def before_verb(option: str) -> str | None:
    """The hint for an option that stands where a verb should; None if it is not Docker's."""
    return _HOSTS if option.partition("=")[0] in ("-H", "--host", "-c", "--context") else None


def option(called: str, typed: str) -> str | None:
    """The hint for an option that `called` (a verb, a verb's own verb, or a task) does not have."""
    verb, _, action = called.partition(":")[0].removeprefix("task ").partition(" ")
    verb = ALIASES.get(verb, verb)
    names = [f"{verb} {action}".strip(), verb, "*"]
    return next((OPTIONS[f"{name} {typed}"] for name in names if f"{name} {typed}" in OPTIONS), None)
