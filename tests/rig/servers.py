"""Images as the well-known ones are made, of Debian's packages: postgres, redis, python, by their own entrypoints.

All on one Debian, whose layer they share; each has a layer of its own with what its Dockerfile would COPY. Their bases
are made on this machine: under emulation that takes half a minute each.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rig.cache import cached, digest, digest_of_files
from tests import images
from tests.rig import bases
from tools import debian_image
from tools.debian_image import PATH, Image

PACKAGES = ["postgresql", "redis-server", "python3", "gosu"]
# The cluster that Debian makes when it installs; perl, which only Debian's own tools for clusters run.
NOT_NEEDED = "var/lib/postgresql/* usr/share/perl* usr/lib/*/perl usr/bin/perl* usr/share/i18n usr/lib/*/libLLVM*"
PASSWORD = "of-the-tests"
# The cluster is made here: 66 s in the rig, of a start that is seen in a second. Without one the entrypoint makes it.
HOOKS = [
    'ln -s "$(ls "$1/usr/lib/postgresql")" "$1/usr/lib/postgresql/current"',
    'chroot "$1" install -d -m 0700 -o postgres -g postgres /var/lib/postgresql/data',
    f'echo {PASSWORD} > "$1/tmp/password"',
    'chroot "$1" gosu postgres /usr/lib/postgresql/current/bin/initdb --no-sync --wal-segsize=1 --auth-local=trust '
    "--auth-host=scram-sha-256 --locale=C.UTF-8 --pwfile=/tmp/password -D /var/lib/postgresql/data",
    'rm "$1/tmp/password"',
    """echo 'host all all all scram-sha-256' >> "$1/var/lib/postgresql/data/pg_hba.conf" """,
]

# As the official image's: starts as root, makes its data's folder its own, goes on as postgres.
POSTGRES = b"""#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown postgres: "$PGDATA" /run/postgresql
    chmod 0700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD:?must be given}" > /tmp/password
    initdb --username=postgres --pwfile=/tmp/password --auth-local=trust $POSTGRES_INITDB_ARGS
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
fi
exec "$@"
"""
REDIS = b"""#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    chown -R redis: .
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
umask 0077
exec "$@" --protected-mode no
"""
ENTRYPOINT = "usr/local/bin/docker-entrypoint.sh"
PROCESSES: dict[str, dict[str, object]] = {
    "postgres": {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres", "-c", "listen_addresses=*"],
        "Env": [
            PATH.replace("=", "=/usr/lib/postgresql/current/bin:"),
            "PGDATA=/var/lib/postgresql/data",
            "LANG=C.UTF-8",
        ],
        "Volumes": {"/var/lib/postgresql/data": {}},
        "ExposedPorts": {"5432/tcp": {}},
        "StopSignal": "SIGINT",
    },
    "redis": {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["redis-server"],
        "Env": [PATH],
        "WorkingDir": "/data",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"6379/tcp": {}},
    },
    "python": {
        "Cmd": ["python3", "-m", "http.server", "8000"],
        "Env": [PATH, "PYTHONUNBUFFERED=1"],
        "WorkingDir": "/srv/www",
        "User": "1234:5678",
        "ExposedPorts": {"8000/tcp": {}},
    },
}


def layout() -> Path:
    """An OCI layout with the tags postgres, redis and python."""
    recipe = digest_of_files(Path(__file__), Path(images.__file__), Path(debian_image.__file__))
    return cached("servers", recipe, "images of well-known servers", _make_layout) / "layout"


def pulled() -> Path:
    """A folder with images.tar: what INFERNO_ROOT/images holds once they were pulled."""
    return cached("server-bases", digest(str(layout()), bases.recipe()), "bases of well-known servers", _make_bases)


def ref(tag: str) -> str:
    return f"oci:{layout()}:{tag}"


def _make_layout(folder: Path) -> None:
    entrypoints = {"postgres": POSTGRES, "redis": REDIS}
    with tempfile.TemporaryDirectory(prefix="servers.", dir=folder) as work:
        debian = debian_image.file_system(Path(work, "root.tar"), PACKAGES, HOOKS, not_needed=NOT_NEEDED)
        made = {}
        for tag, process in PROCESSES.items():
            own = [images.file("srv/www/index.html", b"hello from python\n"), images.directory("data")]
            if tag in entrypoints:
                own.append(images.file(ENTRYPOINT, entrypoints[tag], 0o755))
            tar = Path(work, f"{tag}.tar")
            tar.write_bytes(images.tar(own))
            made[tag] = Image([debian, tar], process)
        debian_image.layout(folder / "layout", made)


def _make_bases(folder: Path) -> None:
    bases.make(folder / "images.tar", map(ref, PROCESSES), named=True)
