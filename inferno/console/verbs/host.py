"""The verbs about images, and about this host."""

from __future__ import annotations

from inferno.console.options import QUIET, Option
from inferno.console.verbs.life import access
from inferno.console.verbs.verb import HOST, JSON, Verb


def _pull() -> tuple[Option, ...]:
    return (*access(), QUIET)


_IMAGES = Verb(
    "images",
    HOST,
    "the images on this host, what they hold, and which VMs use them",
    aliases=("image",),
    default="list",
    more="IMAGE is a reference as it was given to create, a digest, or the beginning of a digest.",
    actions=(
        Verb(
            "list",
            HOST,
            "all images on this host, the newest first",
            "",
            (JSON._replace(help="one JSON array, for programs"),),
            "images.list_images",
            aliases=("ls",),
            examples="infernoctl images list",
            instead="images show",
        ),
        Verb(
            "show",
            HOST,
            "one image in full",
            "IMAGE",
            (JSON,),
            "images.show",
            aliases=("inspect",),
            examples="infernoctl images show nginx --json | jq .process",
        ),
        Verb(
            "process",
            HOST,
            "what an image runs: entrypoint, command, environment, user",
            "IMAGE",
            (JSON,),
            "images.process",
            examples="infernoctl images process nginx",
        ),
        Verb(
            "exposed",
            HOST,
            "the ports that an image says it listens on",
            "IMAGE",
            (JSON._replace(help="one JSON array, for programs"),),
            "images.exposed",
            examples="infernoctl images exposed nginx",
        ),
        Verb(
            "pull",
            HOST,
            "fetch an image and make its base, without a VM",
            "IMAGE...",
            _pull,
            "images.pull",
            examples="""\
infernoctl images pull nginx:latest
INFERNO_REGISTRY_PASSWORD=… infernoctl images pull registry.example/app:v1 --creds me""",
        ),
        Verb(
            "prune",
            HOST,
            "remove the images that no VM uses",
            "",
            (Option("dry_run", "say what would be removed", bool), JSON),
            "images.prune",
            examples="infernoctl images prune --dry-run",
        ),
        Verb(
            "check",
            HOST,
            "read images in full, and compare them with the recorded digests",
            "[IMAGE...]",
            (Option("all", "every image on this host", bool), JSON),
            "images.check",
            more="The next create that uses a damaged image makes it again.",
            examples="infernoctl images check --all",
            forms=("IMAGE... | --all [options]",),
        ),
    ),
    examples="""\
infernoctl images pull nginx:latest
infernoctl images show nginx --json | jq .process""",
)

_SHOWN = (
    JSON._replace(help="one JSON array, for programs"),
    Option("csv", "comma-separated values, with a header", bool),
)
_DB = Verb(
    "db",
    HOST,
    "the database: its tables, and queries that only read",
    more="docs/database.md describes it. It never says whether a VM runs: list does.",
    actions=(
        Verb("tables", HOST, "its tables and views", "", _SHOWN, "db.tables", examples="infernoctl db tables"),
        Verb(
            "query",
            HOST,
            "run a query that changes nothing",
            "SQL",
            _SHOWN,
            "db.run_query",
            more="Queries cannot read values of environment variables; the view specs has their names.",
            examples="infernoctl db query 'select name, guest_ip from vms' --csv",
        ),
        Verb(
            "rebuild",
            HOST,
            "restore a lost or damaged database from the files of the VMs",
            run="db.rebuild",
            more="It leaves VMs that the database knows as they are, and moves a damaged file aside.",
            examples="infernoctl db rebuild",
        ),
    ),
    examples="infernoctl db query 'select name, guest_ip from vms' --json",
)

VERBS = (
    Verb(
        "init",
        HOST,
        "make the data folder and the database, and check that the log collector can run",
        run="init.init",
        more="The first create makes them too. To build the guest's init, run: infernoctl task init.",
        examples="INFERNO_ROOT=/srv/inferno infernoctl init",
    ),
    _IMAGES,
    _DB,
    Verb(
        "doctor",
        HOST,
        "whether this host is fit for production, and how to make it so",
        "",
        (JSON,),
        "doctor.doctor",
        more="Prints each rule, and the command that fixes what is wrong. Exits with 1 when a required rule is broken.",
        examples="infernoctl doctor | grep -A3 FAILS",
    ),
    Verb(
        "env",
        HOST,
        "the settings in force, and where they come from",
        "[print]",
        (JSON,),
        "env_version.env",
        more="A setting comes from the environment, from /etc/inferno/env, or from the defaults.",
        examples="INFERNO_ROOT=/srv/inferno infernoctl env",
    ),
    Verb("version", HOST, "the version of Inferno", "", (JSON,), "env_version.version", examples="infernoctl version"),
)
