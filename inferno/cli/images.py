"""`infernoctl images`: what images are here, what they hold, who uses them; pull, prune and check them."""

from __future__ import annotations

import json
import time
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.console.arguments import read_options
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.image import catalog
from inferno.settings import load_settings


def images(words: list[str]) -> int:
    """Hand over to the verb."""
    verb = words[0] if words else "help"
    if verb == "help":
        from inferno.console import help_pages

        print(help_pages.PAGES["images"])
        return 0
    if verb == "ls":
        verb = "list"
    known = {"list": _list, "show": _show, "process": _process, "exposed": _exposed, "prune": _prune, "check": _check}
    if verb == "pull":
        return _pull(words[1:])
    if verb not in known:
        import difflib

        near = difflib.get_close_matches(verb, [*known, "pull"], 1)
        raise UsageError(
            f"images: no verb {verb!r}", f"did you mean {near[0]}?" if near else "infernoctl images --help"
        )
    return known[verb](words[1:])


def _list(words: list[str]) -> int:
    given, rest = read_options("images list", words, ["json"])
    _none(rest, "list")
    found = catalog.entries(load_settings())
    if "json" in given:
        print(json.dumps([entry.to_json() for entry in found]))
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


def _show(words: list[str]) -> int:
    given, rest = read_options("images show", words, ["json"])
    settings = load_settings()
    found = catalog.details(catalog.find(_one(rest, "show"), settings), settings)
    _print(found, as_json="json" in given)
    return 0


def _process(words: list[str]) -> int:
    given, rest = read_options("images process", words, ["json"])
    settings = load_settings()
    _print(catalog.process(catalog.find(_one(rest, "process"), settings), settings), as_json="json" in given)
    return 0


def _exposed(words: list[str]) -> int:
    from inferno.image import local_images

    given, rest = read_options("images exposed", words, ["json"])
    settings = load_settings()
    ports = local_images.config(catalog.find(_one(rest, "exposed"), settings).digest, settings).exposed_ports
    if "json" in given:
        print(json.dumps(ports))
    else:
        for port in ports:
            print(visible(port))
    return 0


def _pull(words: list[str]) -> int:
    from inferno.cli import task_verbs

    if not any(word.startswith("--pull") for word in words):
        words = ["--pull=always", *words]
    return task_verbs.act("rootfs", words, "images pull")


def _prune(words: list[str]) -> int:
    from inferno.base import requirements
    from inferno.image import prune

    given, rest = read_options("images prune", words, ["json", "dry-run"])
    _none(rest, "prune")
    requirements.need_root()
    found = prune.prune(load_settings(), dry_run="dry-run" in given)
    if "json" in given:
        shown = {"images": found.images, "refs": found.refs, "blobs": found.blobs, "bytes": found.bytes}
        print(json.dumps({**shown, "dry_run": "dry-run" in given}))
        return 0
    for digest in found.images:
        print(digest)
    would = "would free" if "dry-run" in given else "freed"
    say(f"{len(found.images)} images and {found.blobs} blobs; {would} {size(found.bytes)}")
    return 0


def _check(words: list[str]) -> int:
    from inferno.base import requirements
    from inferno.image import check

    given, rest = read_options("images check", words, ["all", "json"])
    settings = load_settings()
    requirements.need_root()
    if bool(rest) == ("all" in given):
        raise UsageError("images check takes images, or --all", "infernoctl images --help")
    found = catalog.entries(settings) if "all" in given else [catalog.find(word, settings) for word in rest]
    problems = {entry.digest: check.check(entry, settings) for entry in found}
    if "json" in given:
        print(json.dumps(problems))
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


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    width = max(map(len, found))
    for key, value in found.items():
        text = json.dumps(value) if isinstance(value, list | dict) else "-" if value in (None, "") else str(value)
        print(f"{key:<{width}}  {visible(text)}")


def _when(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _one(rest: list[str], verb: str) -> str:
    if len(rest) != 1:
        raise UsageError(f"images {verb} needs one image", f"infernoctl images {verb} IMAGE")
    return rest[0]


def _none(rest: list[str], verb: str) -> None:
    if rest:
        hint = f"infernoctl images show {rest[0]}" if verb == "list" else "infernoctl images --help"
        raise UsageError(f"images {verb} takes no image: {rest[0]!r}", hint)
