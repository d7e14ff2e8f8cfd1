"""What a version is made from, by name, and what changed between two of them: the reasons why one is made.

*Causes* are what people and builds change: fields of the spec, settings, facts of the host, artifacts, the image.
*Products* are rendered or chosen from these. They are named as a reason only where no cause differs: then another
Inferno renders the same in another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferno.base import files
from inferno.disk import template
from inferno.image import base
from inferno.spec import create_options
from inferno.spec.option_row import Row
from inferno.state.slot import Slot
from inferno.version import host_facts
from inferno.version.plan import Plan
from inferno.version.versions import ARTIFACTS, CONFIGS

BASE_RECIPE = "base_recipe"
# The rest are causes.
PRODUCTS = frozenset({"initrd.cpio", *CONFIGS, "exec_name", "stop_signal", "scratch_template", BASE_RECIPE})
_GROUPS = ("settings", "host")


def seen(plan: Plan) -> dict[str, object]:
    """What a version is made from, by name, at the price of a few calls of stat.

    Raises InfernoError before the image was looked up.
    """
    files_of_it = [plan.settings.share_dir / name for name in ARTIFACTS]
    files_of_it += [plan.build / name for name in ("initrd.cpio", *CONFIGS)]
    found = {path.name: files.identity_if_there(path) for path in files_of_it}
    return {
        **plan.spec.to_json(),
        **plan.settings_of_version(),
        **found,
        "scratch_template": template.path(plan.settings).parent.name,
        "digest of the image": plan.stamp().digest,
        BASE_RECIPE: base.RECIPE,
    }


def causes(plan: Plan, slot: Slot, image: str, artifacts: Mapping[str, str]) -> dict[str, object]:
    """The causes as they are now; `image` is its digest, `artifacts` has the sha256 of each, init's too.

    Raises UsageError when INFERNO_SSH_KEYS names a file that cannot be read.
    """
    from inferno.version import sealing  # a create that changes nothing has no use for it

    return {
        **artifacts,
        "image": image,
        "slot": slot.number,
        "spec": sealing.sealed(plan.spec.of_version(), sealing.key(plan.paths)),
        "settings": plan.settings_of_version(),
        "host": {"machine-id": host_facts.machine_id(plan.name)},
    }


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What changed, one line each; none when the same version would be made again.

    What the version before has not noted is not a change: the Inferno that made it did not know it. `now` may be
    without products. The recipe of its base is the exception: where none is noted, that was the first.
    """
    before = {BASE_RECIPE: 1, **before}
    lines = [*_of_spec(_group(before, "spec"), _group(now, "spec"))]
    for name in _GROUPS:
        lines += _changed(_group(before, name), _group(now, name))
    files = {name: value for name, value in now.items() if name not in ("spec", *_GROUPS)}
    lines += _changed(before, {name: value for name, value in files.items() if name not in PRODUCTS})
    return lines or [*_changed(before, {name: value for name, value in files.items() if name in PRODUCTS})]


def _group(inputs: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Inputs of a kind; empty where another Inferno noted none."""
    found = inputs.get(name)
    return found if isinstance(found, Mapping) else {}


def _changed(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for name in now:
        if name in before and before[name] != now[name]:
            yield f"{name}: {_shown(before[name])} -> {_shown(now[name])}"


def _of_spec(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """A field that the version before does not know is one that was not asked for."""
    for row in create_options.ROWS:
        was, is_now = before.get(row.name, row.default), now.get(row.name, row.default)
        if was != is_now:
            yield f"{row.name}: {_names(was, is_now)}" if row.is_secret else _line(row, was, is_now)


def _line(row: Row, was: object, is_now: object) -> str:
    return f"{row.name}: {_shown(was)} -> {_shown(is_now)}"


def _names(was: object, is_now: object) -> str:
    """The names of NAME=value words that differ: their values are nobody's to see."""
    old, new = ([str(word) for word in words] if isinstance(words, list) else [] for words in (was, is_now))
    found = dict.fromkeys(word.partition("=")[0] for word in [*old, *new] if (word in old) != (word in new))
    return ", ".join(found) or "in another order"


def _shown(value: object) -> str:
    if value is None or value == []:
        return "none"
    text = " ".join(value) if isinstance(value, list) else str(value).removeprefix("sha256:")
    return text[:12] if len(text) == 64 and text.isalnum() else text
