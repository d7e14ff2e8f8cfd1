"""`infernoctl images`: what images are here, what they hold, who uses them; pull, prune and check them."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.console.answer import print_json
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.image import catalog
from inferno.settings import load_settings


class Pruned(NamedTuple):
    """What was removed, or with --dry-run would be: digests, references, how many blobs, bytes of disk in all."""

    images: list[str]
    refs: list[str]
    blobs: int
    bytes: int
    dry_run: bool


def list_images(typed: Typed) -> int:
    found = catalog.entries(load_settings())
    if typed.flag("json"):
        print_json([entry.listed() for entry in found])
        return 0
    rows = [
        {
            "digest": entry.digest.removeprefix("sha256:")[:12],
            "image": ", ".join(entry.refs) or None,
            "size": None if entry.base_bytes is None else size(entry.base_bytes),
            "made": _when(entry.created_at),
            "used by": ", ".join(entry.used_by) or None,
        }
        for entry in found
    ]
    print_table(rows, ("digest", "image", "size", "made", "used by"))
    return 0


def show(typed: Typed) -> int:
    settings = load_settings()
    found = catalog.details(catalog.find(typed.name, settings), settings)
    _print(found, as_json=typed.flag("json"))
    return 0


def process(typed: Typed) -> int:
    settings = load_settings()
    _print(catalog.process(catalog.find(typed.name, settings), settings), as_json=typed.flag("json"))
    return 0


def exposed(typed: Typed) -> int:
    from inferno.image import local_images

    settings = load_settings()
    ports = local_images.config(catalog.find(typed.name, settings).digest, settings).exposed_ports
    if typed.flag("json"):
        print_json(ports)
    else:
        for port in ports:
            print(visible(port))
    return 0


def pull(typed: Typed) -> int:
    """`rootfs`, that asks a registry though the image is here."""
    from inferno.cli import task_verbs
    from inferno.console.verbs.tasks import TASKS

    return task_verbs.run(TASKS["rootfs"], {"pull": "always", **typed.given}, typed.operands)


def prune(typed: Typed) -> int:
    from inferno.base import requirements
    from inferno.image import prune
    from inferno.state import guard

    requirements.need_root()
    settings = load_settings()
    guard.prepare(settings)
    found = prune.prune(settings, dry_run=typed.flag("dry_run"))
    if typed.flag("json"):
        print_json(Pruned(found.images, found.refs, found.blobs, found.bytes, typed.flag("dry_run")))
        return 0
    for digest in found.images:
        print(digest)
    would = "would free" if typed.flag("dry_run") else "freed"
    say(f"{len(found.images)} images and {found.blobs} blobs; {would} {size(found.bytes)}")
    return 0


def check(typed: Typed) -> int:
    from inferno.base import requirements
    from inferno.image import check

    settings, words, everything = load_settings(), typed.operands, typed.flag("all")
    requirements.need_root()
    if bool(words) == everything:
        raise UsageError("images check needs images, or --all", "infernoctl images check --help")
    found = catalog.entries(settings) if everything else [catalog.find(word, settings) for word in words]
    problems = {entry.digest: check.check(entry, settings) for entry in found}
    if typed.flag("json"):
        print_json(problems)
    else:
        for digest, lines in problems.items():
            print("\n".join(visible(f"{digest}  {line}") for line in lines or ["ok"]))
    return 1 if any(problems.values()) else 0


def size(count: int) -> str:
    """Bytes for a person."""
    share = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if share < 1024 or unit == "GiB":
            break
        share /= 1024
    return f"{share:.1f} {unit}" if share < 10 and unit != "B" else f"{share:.0f} {unit}"


def _print(found: object, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    fields = records.plain(found)
    width = max(map(len, fields))
    for key, value in fields.items():
        text = json.dumps(value) if isinstance(value, list | dict) else "-" if value in (None, "") else str(value)
        print(f"{key:<{width}}  {visible(text)}")


def _when(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
