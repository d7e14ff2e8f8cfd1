"""What the user asked of one VM: a row per field. A NamedTuple, since every command reads specs: pydantic would cost it
50 ms, and a dataclass two.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.settings import DEFAULT_MEMORY_MIB, DEFAULT_VCPUS
from inferno.spec import at_start as at_start_
from inferno.spec import environment, grammar, name_service, ssh_key
from inferno.spec import tmpfs as tmpfs_
from inferno.spec import user as user_
from inferno.spec.option_row import REQUIRED, Option, Place, Row, take_rows
from inferno.spec.signals import signal_number


def _program(word: str) -> list[str]:
    """As Docker's --entrypoint: one program, or "" for none; its arguments are the command."""
    return [word] if word else []


def _words(words: Iterable[str]) -> None:
    grammar.check_lengths(words, "an argument")
    if any("\0" in word for word in words):
        raise UsageError("an argument holds a NUL byte")


def _environment(words: list[str]) -> None:
    bare = next((word for word in words if "=" not in word), None)
    if bare is not None:
        raise UsageError(f"--env {bare!r} is not NAME=value")
    grammar.check_lengths(words, "--env: a variable")
    environment.environment(words, (), {})


def _workdir(path: str) -> None:
    _words([path])
    if path and not path.startswith("/"):
        raise UsageError(f"--workdir {path!r} is not an absolute path")
    grammar.check_path(path, "--workdir")


def _user(word: str) -> None:
    if word == ":":  # of two variables of a script that are not set: that would be root
        raise UsageError("--user ':' names neither a user nor a group", "the image's own user: --user ''")
    user_.check(word, "--user")


# The kernel's limit is 64 (__NEW_UTS_LEN); the characters are RFC 1123's, section 2.1.
_HOSTNAME = r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"


def _hostname(name: str) -> None:
    if not re.fullmatch(_HOSTNAME, name):
        raise UsageError(f"--hostname {name!r} is not a host name", "letters, digits, '-' and '.', at most 64")


# guest/src/run.rs, Init.
INITS = ("auto", "process", "inferno")


def _init(word: str) -> None:
    if word not in INITS:
        raise UsageError(f"--init {word!r} is not one of {', '.join(INITS)}", "--init alone is --init=inferno")


def _cpu_weight(weight: int) -> None:
    if not 1 <= weight <= 10_000:
        raise UsageError(f"--cpu-weight {weight} is out of range", "--cpu-weight takes 1 to 10000 (100)")


def _platform(word: str) -> str:
    from inferno.spec import platform  # `list` reads specs, and no such word

    return platform.read(word)


def _stop_signal(word: str) -> int:
    return signal_number(word, "--stop-signal")


class Spec(NamedTuple):
    """Memory is in MiB. None means that nothing was asked. `env` holds NAME=value words that come after the image's.

    `tmpfs`, `ulimit` and `io_max` are as the user wrote them (`tmpfs`, `grammar`); `cpu_weight` is cgroup v2's, 1 to
    10000. `ssh_key` holds public keys; without any, those of the settings are taken.
    """

    image: str = Row(
        "what to boot: NAME[:TAG] or docker-daemon: docker:// oci: oci-archive: docker-archive:",
        (Place.BASE,),
        metavar="REF",
        default=REQUIRED,
        example="nginx:latest",
    ).field()
    platform: str | None = Row(
        "OS/ARCH[/VARIANT], if the image has several",
        (Place.BASE,),
        metavar="PLATFORM",
        absent="this host's",
        read=_platform,
        example="linux/amd64",
    ).field()
    vcpus: int = Row(
        "virtual CPUs", (Place.FIRECRACKER, Place.CGROUP), int, metavar="N", default=DEFAULT_VCPUS, example="2"
    ).field()
    memory: int = Row(
        "guest memory in MiB, or with a suffix: 512m, 2g",
        (Place.FIRECRACKER, Place.CGROUP),
        grammar.mebibytes,
        metavar="MIB",
        short="m",
        default=DEFAULT_MEMORY_MIB,
        example="512m",
    ).field()
    entrypoint: list[str] | None = Row(
        "replaces the image's entrypoint, and drops its command",
        (Place.RUN,),
        metavar="PROGRAM",
        read=_program,
        check=_words,
        example="/docker-entrypoint.sh",
    ).field()
    cmd: list[str] | None = Row(
        "the arguments after -- replace the image's command",
        (Place.RUN,),
        None,
        check=_words,
        example="nginx -g 'daemon off;'",
    ).field()
    env: list[str] = Row(
        "adds to the image's variables; NAME alone takes the caller's value, if any",
        (Place.RUN,),
        list,
        metavar="NAME[=VALUE]",
        short="e",
        default=[],
        file_option="env-file",
        later="at_start",
        read=environment.environment,
        check=_environment,
        is_secret=True,
        example="GREETING=grüß dich=1",
    ).field()
    at_start: list[str] = Row(
        "keep only the names of the files of --env-file; each start reads them",
        (Place.START,),
        bool,
        default=[],
        files_of="env-file",
        read=at_start_.files,
        check=at_start_.check_files,
        example="/etc/inferno/web1.env",
    ).field()
    secret: list[str] = Row(
        "a file (/etc/inferno/secrets/NAME) that each start reads, and that the guest has as /run/secrets/NAME",
        (Place.START,),
        list,
        metavar="NAME[=FILE]",
        default=[],
        read=at_start_.given,
        check=at_start_.check_secrets,
        example="db_password=/root/db_password",
    ).field()
    workdir: str | None = Row(
        "the working directory of the process, an absolute path",
        (Place.RUN,),
        metavar="DIR",
        short="w",
        check=_workdir,
        example="/srv",
    ).field()
    user: str | None = Row(
        "the user of the process, as NAME|UID[:GROUP|GID]",
        (Place.RUN,),
        metavar="USER",
        short="u",
        check=_user,
        example="nginx:adm",
    ).field()
    tty: bool = Row(
        "give the process a terminal, for start -i and attach -i",
        (Place.RUN,),
        bool,
        short="t",
        default=False,
        opposite="no-tty",
    ).field()
    interactive: bool = Row(
        "give the process standard input, also from a pipe, for start -i and attach -i",
        (Place.RUN,),
        bool,
        short="i",
        default=False,
        opposite="no-interactive",
    ).field()
    init: str = Row(
        "who is PID 1: the process, Inferno's init (--init alone), or the process if it executes an init system",
        (Place.RUN,),
        metavar="|".join(INITS),
        default=INITS[0],
        bare="inferno",
        check=_init,
        example="process",
    ).field()
    stop_signal: int | None = Row(
        "the signal that stop and restart send, by name or number",
        (Place.RECORD,),
        metavar="SIGNAL",
        absent="the image's, else TERM",
        read=_stop_signal,
        example="USR1",
    ).field()
    ssh_key: list[str] = Row(
        "a public key, or a file of them, that may log in",
        (Place.RUN,),
        list,
        metavar="FILE|KEY",
        default=[],
        absent="INFERNO_SSH_KEYS",
        read=ssh_key.lines,
        example="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@example.org",
    ).field()
    hostname: str | None = Row(
        "the guest's host name",
        (Place.RUN,),
        metavar="NAME",
        absent="the VM's name",
        check=_hostname,
        example="web1",
    ).field()
    dns: list[str] = Row(
        "a name server for the guest; '' removes all",
        (Place.START,),
        list,
        metavar="IP",
        default=[],
        absent="this host's",
        read=name_service.given,
        check=grammar.each(name_service.server),
        example="9.9.9.9",
    ).field()
    dns_search: list[str] = Row(
        "a search domain for the guest; . for none",
        (Place.START,),
        list,
        metavar="DOMAIN",
        default=[],
        absent="this host's",
        read=name_service.given,
        check=grammar.each(name_service.search),
        example="example.org",
    ).field()
    dns_option: list[str] = Row(
        "an option of the guest's resolv.conf",
        (Place.START,),
        list,
        metavar="OPTION",
        default=[],
        absent="this host's",
        read=name_service.given,
        check=grammar.each(name_service.option),
        example="ndots:1",
    ).field()
    add_host: list[str] = Row(
        "a line for the guest's /etc/hosts; also NAME=IP",
        (Place.START,),
        list,
        metavar="NAME:IP",
        default=[],
        read=name_service.given,
        check=grammar.each(name_service.host),
        example="db:192.0.2.7",
    ).field()
    read_only: bool = Row(
        "make the guest's root file system read-only",
        (Place.RUN,),
        bool,
        default=False,
        opposite="writable",
    ).field()
    tmpfs: list[str] = Row(
        "a file system in the guest's memory",
        (Place.RUN,),
        list,
        metavar="PATH[:size=64m,uid=1000,exec]",
        default=[],
        check=grammar.each(tmpfs_.read),
        example="/cache:size=50%,uid=1000,mode=750,exec",
    ).field()
    ulimit: list[str] = Row(
        "a resource limit of the process",
        (Place.RUN,),
        list,
        metavar="NAME=SOFT[:HARD]",
        default=[],
        check=grammar.each(grammar.ulimit),
        example="nofile=1024:unlimited",
    ).field()
    cpu_weight: int | None = Row(
        "the VM's share of busy processors, 1 to 10000",
        (Place.CGROUP,),
        int,
        metavar="N",
        absent="100",
        check=_cpu_weight,
        example="200",
    ).field()
    io_max: str | None = Row(
        "limits on disk I/O per second: rbps=10m,wbps=10m,riops=N,wiops=N",
        (Place.CGROUP,),
        metavar="LIMITS",
        check=grammar.io_max,
        example="rbps=10m,wiops=100",
    ).field()

    def to_json(self) -> dict[str, object]:
        return {name: list(value) if isinstance(value, list) else value for name, value in self._asdict().items()}

    def rendered_in(self, *places: Place) -> dict[str, object]:
        """The fields that end up in one of the places, by name: what is up to date while they are the same."""
        return {row.name: getattr(self, row.name) for row in ROWS if not set(places).isdisjoint(row.places)}

    def of_version(self) -> dict[str, object]:
        """The fields of which a change makes a new version, by name."""
        return {row.name: getattr(self, row.name) for row in ROWS if row.makes_version}


ROWS = take_rows(Spec)
FIELDS = tuple(row.name for row in ROWS)


def options() -> list[Option]:
    """The options of `create` that come from fields."""
    return [option for row in ROWS for option in row.options()]


def asked(given: dict[str, Any]) -> dict[str, object]:
    """The fields that the options given to `create` ask for, by name. Raises UsageError for what cannot be meant."""
    found = {row.name: row.asked(given) for row in ROWS}
    return {name: value for name, value in found.items() if value is not None}


def merge(saved: Mapping[str, object] | None, asked: Mapping[str, object], name: str) -> Spec:
    """The spec of VM `name`: what was saved, overridden by what is asked now, field by field.

    Raises UsageError when a value is out of the question, or a new VM comes without an image.
    """
    values = {**(saved or {}), **asked}
    unknown = set(values) - set(FIELDS)
    if unknown:
        word = min(unknown)
        from inferno.base import guess

        near = guess.near(word, FIELDS)
        raise UsageError(f"{name}: unknown field {word!r}", f"did you mean {near!r}?" if near else None)
    if not values.get("image"):
        raise UsageError(f"there is no VM {name!r} yet, so it needs an image", f"infernoctl create {name} --image REF")
    spec = records.of(Spec, values, f"the spec of {name}")
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    for row in ROWS:
        value = getattr(spec, row.name)
        if row.check and value is not None:
            row.check(value)
