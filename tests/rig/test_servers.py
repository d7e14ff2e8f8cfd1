"""Well-known servers as their images have them, Debian-made: they start, answer, and stop by their own signal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.machine import Rig
from tests.rig import bases, servers
from tests.rig.typed import Host

# `grep` ends with the first line it finds; what follows the log ends by its deadline, and holds nothing open.
WAIT = """bash -c 'grep -m 1 "{text}" < <(timeout 60 infernoctl logs show -f --vm {name} 2> /dev/null < /dev/null)'"""
PSQL = "psql -w -h localhost -U postgres -At -v ON_ERROR_STOP=1"
SQL = "create table t as select g n, md5(g::text) s from generate_series(1, 1000) g; select count(*), max(s) from t"


@pytest.fixture(scope="module")
def rig(built: None) -> Iterator[Rig]:
    with Rig.start(extra=servers.pulled()) as rig:
        bases.unpack(rig, "images.tar")
        yield rig


def start(host: Host, name: str, until: str, options: str = "") -> str:
    """Create and start the server of this name; return its address once it has said `until`."""
    host.create(name, image=servers.ref(name), options=options)
    host.type(f"start {name} --detach")
    host.sh(WAIT.format(text=until, name=name))
    return str(host.status(name)["ip"])


def test_postgres_answers_sql(host: Host) -> None:
    """Root's entrypoint, gosu, shared memory, a volume's folder; the password is asked for over TCP."""
    start(host, "postgres", "ready to accept connections", "--memory 256")
    known = f"infernoctl exec -e PGPASSWORD={servers.PASSWORD} postgres -- {PSQL}"
    assert host.sh(f'{known} -c "{SQL}"').stdout.splitlines()[-1].split("|")[0] == "1000"
    assert "no password supplied" in host.sh(f'{known.replace("-e PG", "-e NO")} -c "select 1"', status=2).stderr
    shown = "show dynamic_shared_memory_type; select current_setting('data_directory')"
    assert host.sh(f'{known} -c "{shown}"').stdout.split() == ["posix", "/var/lib/postgresql/data"]
    host.type("stop postgres")
    assert host.type("logs show --vm postgres --grep 'database system is shut down'").stdout
    assert host.status("postgres")["exit_code"] == 0


def test_redis_answers_over_the_network(host: Host) -> None:
    """setpriv, a working directory that becomes the server's own, its file in it."""
    address = start(host, "redis", "Ready to accept connections")
    said = host.sh(
        f"printf 'PING\\r\\nSET key value\\r\\nGET key\\r\\nQUIT\\r\\n' | socat -t 5 - TCP:{address}:6379"
    ).stdout
    assert said.split() == ["+PONG", "+OK", "$5", "value", "+OK"]
    assert host.type("exec redis -- redis-cli SAVE").stdout == "OK\n"
    assert host.type("exec redis -- stat -c %U:%a /data /data/dump.rdb").stdout == "redis:755\nredis:600\n"
    host.type("stop redis")
    assert host.status("redis")["exit_code"] == 0


def test_python_serves_as_a_user_without_a_name(host: Host) -> None:
    address = start(host, "python", "Serving HTTP")
    assert host.sh(f"curl --silent http://{address}:8000/").stdout == "hello from python\n"
    assert host.type("exec python -- id -u").stdout == "1234\n"
    assert host.type("exec python -- pwd").stdout == "/srv/www\n"
    host.type("destroy python --force")
