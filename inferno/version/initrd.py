"""A VM's initrd: init, the same for all VMs, and behind it the VM's own run.json, which is left beside it too."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from inferno.base import files
from inferno.spec.option_row import Place
from inferno.state.slot import Slot
from inferno.version import host_facts
from inferno.version.plan import Plan, makers
from inferno.wire.shared import RUN_CONFIG


def targets(plan: Plan) -> list[Path]:
    return [plan.build / "initrd.cpio", plan.build / "run.json"]


def inputs(plan: Plan, slot: int | None) -> dict[str, object]:
    """What it is made from, by name; without a slot the VM has none yet.

    Raises InfernoError before the image was looked up.
    """
    return {
        **plan.spec.rendered_in(Place.RUN),
        "digest of the image": plan.stamp().digest,
        "init, the program": files.identity_if_there(plan.init),  # `init` is a field of the spec
        "LOG_LEVEL": plan.is_debug,
        "slot": slot,
        "ssh_key": plan.ssh_keys,
        "machine-id": host_facts.machine_id(plan.name),
        "Inferno": makers(),
    }


def make(plan: Plan, slot: Slot) -> None:
    """Render run.json and pack it behind init; each file appears whole.

    Raises UsageError when there is no program to run, InfernoError before the image was looked up.
    """
    from inferno.version import trusted_copies
    from inferno.wire import cpio, models, render

    initrd, run_json = targets(plan)
    run = render.run(
        plan.name,
        plan.spec,
        plan.image(),
        slot,
        machine_id=host_facts.machine_id(plan.name),
        ssh_keys=plan.ssh_keys,
        debug=plan.is_debug,
    )
    text = models.dump(run)
    files.write(run_json, text, 0o400)
    own = plan.build / "run.cpio"
    with open(own, "wb", opener=files.private) as out:
        cpio.write(out, [cpio.Entry(RUN_CONFIG, 0o400, text.encode())])
    making = plan.build / f".{initrd.name}.tmp"
    with trusted_copies.lock(plan.paths):  # a destroy meanwhile must not collect what no version links to yet
        cpio.concatenate(making, [_archive_of_init(plan), own])
    making.chmod(0o400)
    making.replace(initrd)


def _archive_of_init(plan: Plan) -> Path:
    """The archive with init in it, made once per init and shared by all VMs."""
    from inferno.wire import cpio

    digest = files.sha256(plan.init)
    archive = plan.paths.stored(digest, "init.cpio")
    if not archive.exists():
        folders = [cpio.Entry(folder, 0o755) for folder in ("dev", "proc", "sys", "inferno")]
        with files.nameless(archive.parent) as made:  # which a kill leaves nothing of
            with open(made, "wb", closefd=False) as out:
                cpio.write(out, [*folders, cpio.Entry("inferno/init", 0o755, plan.init.read_bytes())])
            os.fchmod(made, 0o444)
            with contextlib.suppress(FileExistsError):  # another was first: its file is as good
                files.give_name(made, archive)
    return archive
