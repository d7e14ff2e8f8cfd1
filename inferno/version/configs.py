"""kiln.json and firecracker.json of a VM, left in its build folder until a version takes them."""

from __future__ import annotations

from pathlib import Path

from inferno.base import files
from inferno.spec.option_row import Place
from inferno.state.slot import Slot
from inferno.version.plan import Plan, makers
from inferno.version.versions import NO_ID


def targets(plan: Plan) -> list[Path]:
    return [plan.build / "kiln.json", plan.build / "firecracker.json"]


def inputs(plan: Plan, slot: int | None) -> dict[str, object]:
    """What they are made from, by name; without a slot the VM has none yet. Raises InfernoError."""
    of_spec = plan.spec.rendered_in(Place.FIRECRACKER, Place.KILN)
    return {**of_spec, "LOG_LEVEL": plan.is_debug, "slot": slot, "Inferno": makers()}


def make(plan: Plan, slot: Slot) -> None:
    """Render both, each atomically; one that would be the same is left as it is."""
    from inferno.wire import models, render

    kiln, firecracker = targets(plan)
    files.write(kiln, models.dump(render.kiln(NO_ID, debug=plan.is_debug)), 0o400)
    files.write(firecracker, models.dump(render.firecracker(plan.spec, slot)), 0o400)
