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
    "images that are here, what they hold, who uses them",
    more="IMAGE is a reference as it was given to create, or a digest, or the beginning of one.",
    actions=(
        Verb(
            "list",
            HOST,
            "the images that are here, the newest first",
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
            "one in full",
            "IMAGE",
            (JSON,),
            "images.show",
            examples="infernoctl images show nginx --json | jq .process",
        ),
        Verb(
            "process",
            HOST,
            "what it runs: entrypoint, command, environment, user",
            "IMAGE",
            (JSON,),
            "images.process",
            examples="infernoctl images process nginx",
        ),
        Verb(
            "exposed",
            HOST,
            "the ports it says it listens on",
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
            "remove what no VM uses",
            "",
            (Option("dry_run", "say what would be removed", bool), JSON),
            "images.prune",
            examples="infernoctl images prune --dry-run",
        ),
        Verb(
            "check",
            HOST,
            "read an image whole, and compare it with the digests on record",
            "[IMAGE...]",
            (Option("all", "every image that is here", bool), JSON),
            "images.check",
            more="What is damaged is made again when it is next asked for.",
            examples="infernoctl images check --all",
            forms=("IMAGE... | --all [options]",),
        ),
    ),
    examples="""\
infernoctl images pull nginx:latest
infernoctl images show nginx --json | jq .process""",
)

VERBS = (
    _IMAGES,
    Verb(
        "doctor",
        HOST,
        "whether this host is fit for production, and what to do about it",
        "",
        (JSON,),
        "doctor.doctor",
        more="Each rule, and the command that fixes what is wrong. Exit status 1 when a rule that must hold does not.",
        examples="infernoctl doctor | grep -A3 FAILS",
    ),
    Verb(
        "env",
        HOST,
        "the settings in force, and where they come from",
        "[print]",
        (JSON,),
        "look.env",
        more="From the environment, from /etc/inferno/env, or the default.",
        examples="INFERNO_ROOT=/srv/inferno infernoctl env",
    ),
    Verb("version", HOST, "the version of Inferno", "", (JSON,), "look.version", examples="infernoctl version"),
)
