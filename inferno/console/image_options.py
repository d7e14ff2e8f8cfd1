"""The options of `create`, which are the fields of a spec, and those of every verb that gets an image."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.spec import create_options

_FIELDS = tuple(
    Option(each.name, each.help, each.kind, each.metavar, each.short, bare=each.bare)
    for each in create_options.options()
)
# How an image is to be had.
_HAD = (
    Option(
        "pull",
        "ask a registry when the image is missing here (the default), always, or never",
        choices=("missing", "always", "never"),
    ),
    Option(
        "creds", "the registry's user; the password is asked for, or INFERNO_REGISTRY_PASSWORD", metavar="USER[:PASS]"
    ),
    Option("authfile", "a file as `docker login` writes it (~/.docker/config.json)", metavar="FILE"),
)
ACCESS = (*(each for each in _FIELDS if each.name == "platform"), *_HAD)
CREATE = (*_FIELDS, *_HAD)
