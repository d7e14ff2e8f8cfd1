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
            "read images whole, and compare them with the digests on record",
            "[IMAGE...]",
            (Option("all", "every image on this host", bool), JSON),
            "images.check",
            more="A damaged image is made again when it is next asked for.",
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
    Option("csv", "comma-separated values, with a head", bool),
)
_DB = Verb(
    "db",
    HOST,
    "the database: its tables, and queries that only read",
    more="What is in it: docs/database.md. It never says whether a VM runs: list does.",
    actions=(
        Verb("tables", HOST, "its tables and views", "", _SHOWN, "db.tables", examples="infernoctl db tables"),
        Verb(
            "query",
            HOST,
            "ask it anything that changes nothing",
            "SQL",
            _SHOWN,
            "db.run_query",
            more="Values of environment variables are not shown; the view specs has their names.",
            examples="infernoctl db query 'select name, guest_ip from vms' --csv",
        ),
        Verb(
            "rebuild",
            HOST,
            "restore a lost or damaged database from what lies beside the VMs' files",
            run="db.rebuild",
            more="VMs that the database knows stay as they are, running ones too. A damaged file is moved aside.",
            examples="infernoctl db rebuild",
        ),
    ),
    examples="infernoctl db query 'select name, guest_ip from vms' --json",
)

VERBS = (
    Verb(
        "init",
        HOST,
        "make the data folder and the database, and see that the log collector can run",
        run="init.init",
        more="The first create makes them too. The step that builds the guest's init: infernoctl task init.",
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
        more="Each rule, and the command that fixes what is wrong. Exit status 1 when a rule that must hold is broken.",
        examples="infernoctl doctor | grep -A3 FAILS",
    ),
    Verb(
        "env",
        HOST,
        "the settings in force, and where they come from",
        "[print]",
        (JSON,),
        "env_version.env",
        more="A setting comes from the environment, from /etc/inferno/env, or is the default.",
        examples="INFERNO_ROOT=/srv/inferno infernoctl env",
    ),
    Verb("version", HOST, "the version of Inferno", "", (JSON,), "env_version.version", examples="infernoctl version"),
)
