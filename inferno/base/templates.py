"""Texts with holes: the files in templates/, filled by jinja2.

The last part of a template's name is the language it is written in, a row of `_language`: the filters that make a value
part of such a text. A hole must go through one of them, and a filter refuses what its language has no way to write, so
that no value ever becomes a statement. A language more is a module beside `nft_text` and a row there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferno.base import files
from inferno.base.errors import InfernoError

if TYPE_CHECKING:
    import jinja2

_PACKAGE = Path(__file__).resolve().parents[1]
# In the installed package; beside it in a checkout.
FOLDER = next((path for path in (_PACKAGE / "templates", _PACKAGE.parent / "templates") if path.is_dir()), _PACKAGE)


class Written(str):
    """A text in a template's language: what its filters return, and all that a hole takes."""

    __slots__ = ()


def source(name: str) -> str:
    """A template as it stands in its file. Raises InfernoError when it is missing."""
    try:
        return (FOLDER / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InfernoError(f"templates/{name} is missing from {FOLDER}", "install Inferno again") from None


def render(name: str, values: Mapping[str, object]) -> str:
    """The text of a template with its holes filled.

    Raises InfernoError, naming the template, for a value that its language cannot write; jinja2's errors for a template
    that is wrong: it names a value that is not given, or has a hole without a filter. The first call in a process
    imports jinja2, which docs/dependencies.md has the cost of.
    """
    try:
        return _environment(name.rpartition(".")[2]).from_string(source(name)).render(values)
    except ValueError as error:
        raise InfernoError(f"templates/{name}: {error}") from None


def render_kept(name: str, values: Mapping[str, object], kept: Path) -> str:
    """`render`, whose last text is kept in a file: the same template and values are not rendered again.

    For what is on the path of each start. `values` are such as JSON has. The text is taken only whole: a digest of it
    stands before it. Where the file cannot be written, as on a full disk, nothing is kept.
    """
    inputs = _digest(json.dumps([source(name), values], sort_keys=True))
    with contextlib.suppress(OSError, ValueError):
        head, _, text = kept.read_text(encoding="utf-8").partition("\n")
        if head == f"# {inputs} {_digest(text)}":
            return text
    text = render(name, values)
    with contextlib.suppress(OSError):
        files.write(kept, f"# {inputs} {_digest(text)}\n{text}", 0o600)
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _environment(suffix: str) -> jinja2.Environment:
    import jinja2

    def only_written(value: object) -> object:
        if isinstance(value, Written | jinja2.Undefined):  # the latter says its name when it is to be written
            return value
        raise jinja2.TemplateRuntimeError(f"a hole without a filter of its language would write {value!r}")

    def writing(quote: Callable[[Any], str]) -> Callable[[Any], Written]:
        return lambda value: Written(quote(str(value) if isinstance(value, jinja2.Undefined) else value))

    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        finalize=only_written,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # HTML's; each language here has filters of its own
    )
    made.filters = {name: writing(quote) for name, quote in _language(suffix).items()}
    return made


def _language(suffix: str) -> Mapping[str, Callable[[Any], str]]:
    """The filters of a language: each returns a value as that language writes it, or raises ValueError."""
    from inferno.base import nft_text, ssh_text

    return {"nft": nft_text.FILTERS, "ssh": ssh_text.FILTERS}[suffix]
