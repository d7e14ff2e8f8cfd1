"""From a base and the artifacts to a version that can be started: `initrd`, `config`, `create`.

The first two leave their results in vms/<name>/build; `create` takes them into a new version, if anything changed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inferno
from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.disk import template
from inferno.image import base, local_images
from inferno.image.oci_config import ImageConfig
from inferno.image.stamp import Stamp
from inferno.life import destroy as destroying
from inferno.life import host
from inferno.life.instance import Instance
from inferno.life.reconcile import reconcile
from inferno.sandbox import cgroup
from inferno.spec import ssh_key
from inferno.spec.fields import Spec
from inferno.spec.row import Place
from inferno.state import vm_record
from inferno.state.slot import Slot
from inferno.version import make, versions, why
from inferno.version import trusted_copies as trusted
from inferno.version.prune import sweep
from inferno.wire import cpio

from .engine.context import Context
from .engine.inputs import Unchanged, identity, identity_if_there
from .engine.task import InfernoTask
from .image import wanted

if TYPE_CHECKING:
    from inferno.wire import models

# By these a VM's files are made as they are: another Inferno may make others.
_MAKERS = [Path(inferno.__file__).parent / name for name in ("version/render.py", "wire/models.py")]


def initrd(context: Context, name: str) -> Iterable[InfernoTask]:
    spec = context.spec(name)
    build, init = _build_dir(context, name), context.settings.share_dir / "init"

    def keys() -> list[str]:
        return spec.ssh_key or ssh_key.lines(context.settings.ssh_keys)

    def made_from() -> dict[str, Any]:
        return {
            **spec.rendered_in(Place.RUN),
            "digest of the image": _stamp(context, spec).digest,
            "init": identity_if_there(init),
            "LOG_LEVEL": _is_debug(context),
            "slot": _reserved(context, name),
            "ssh_key": keys(),
            "Inferno": _makers(),
        }

    def action() -> None:
        from inferno.wire import models

        context.reserve(name)
        text = models.dump(_run(context, name, spec, keys()))
        files.write(build / "run.json", text, 0o444)
        own = build / "run.cpio"
        with own.open("wb") as out:
            cpio.write(out, [cpio.Entry("inferno/run.json", 0o400, text.encode())])
        making = build / ".initrd.cpio.tmp"
        with trusted.lock(context.paths):  # a destroy meanwhile must not collect what no version links to yet
            cpio.concatenate(making, [_init_cpio(context, init), own])
        making.chmod(0o444)
        making.replace(build / "initrd.cpio")

    yield InfernoTask(
        f"initrd:{name}",
        action,
        context=context,
        vm=name,
        task_dep=["init", f"image:{spec.image}"],
        targets=[str(build / "initrd.cpio"), str(build / "run.json")],
        uptodate=[Unchanged(made_from)],
    )


def config(context: Context, name: str) -> Iterable[InfernoTask]:
    spec = context.spec(name)
    build = _build_dir(context, name)

    def made_from() -> dict[str, Any]:
        slot, debug = _reserved(context, name), _is_debug(context)
        of_spec = spec.rendered_in(Place.FIRECRACKER, Place.KILN)
        return {**of_spec, "LOG_LEVEL": debug, "slot": slot, "Inferno": _makers()}

    def action() -> None:
        from inferno.version import render
        from inferno.wire import models

        context.reserve(name)
        files.write(build / "kiln.json", models.dump(render.kiln(debug=_is_debug(context))), 0o444)
        files.write(build / "firecracker.json", models.dump(render.firecracker(spec, _slot(context, name))), 0o444)

    yield InfernoTask(
        f"config:{name}",
        action,
        context=context,
        vm=name,
        targets=[str(build / "kiln.json"), str(build / "firecracker.json")],
        uptodate=[Unchanged(made_from)],
    )


def create(context: Context, name: str) -> Iterable[InfernoTask]:
    spec = context.spec(name)
    asked = context.asked(f"create:{name}")
    host.check_size(spec.vcpus, spec.memory)
    context.images[spec.image] = wanted(asked, spec.platform)
    build, share = _build_dir(context, name), context.settings.share_dir
    built = [build / "initrd.cpio", *(build / config for config in versions.CONFIGS)]

    def made_from() -> dict[str, Any]:
        artifacts = [share / artifact for artifact in versions.ARTIFACTS]
        found = {path.name: identity_if_there(path) for path in artifacts + built}
        return {**spec.to_json(), **found, "digest of the image": _stamp(context, spec).digest}

    def intact() -> bool:
        row = context.state.vm(name)
        return (
            row is not None
            and versions.intact(context.paths, name, row.version)
            and vm_record.is_written(context.paths, row)
        )

    def action() -> None:
        before = versions.current(context.paths, name)
        ulid, made = make.create(context.settings, _inputs(context, name, spec))
        if made:
            context.undo(name).callback(make.take_back, context.paths, name, ulid, before)
        context.state.save(name, spec.to_json(), ulid)
        vm_record.write(context.paths, context.row(name))
        _keep_end(context, name)
        sweep(context.paths, name, cgroup.populated)
        context.keep(name)
        destroying.forget_unfinished(context.settings, context.state)
        if made:
            context.say(f"   version {ulid}: {'; '.join(why.told(context.paths, ulid))}")

    context.after(f"create:{name}", lambda: print(json.dumps(describe(context, name))))
    yield InfernoTask(
        f"create:{name}",
        action,
        context=context,
        vm=name,
        task_dep=["kiln", "vmm", "kernel", f"rootfs:{spec.image}", f"initrd:{name}", f"config:{name}"],
        uptodate=[Unchanged(made_from), intact],
    )


def _keep_end(context: Context, name: str) -> None:
    """The version that ended by itself may be swept: what it says of its end is not to go with it."""
    row = context.state.vm(name)
    vm = Instance.of(context.settings, row) if row else None
    if vm and vm.started():
        reconcile(vm, network=False)


def describe(context: Context, name: str) -> dict[str, Any]:
    """The line that create prints: the predecessor's shape."""
    row = context.row(name)
    slot = Slot(row.slot)
    network = {
        "tap_device": slot.tap,
        "guest_ip": str(slot.guest),
        "gateway_ip": str(slot.gateway),
        "mac_address": slot.mac,
    }
    jail = str(context.paths.version(str(row.version)).jail)
    return {"name": name, "version": row.version, "chroot_dir": jail, "network": network, "volume": None}


def _inputs(context: Context, name: str, spec: Spec) -> make.Inputs:
    stamp = _stamp(context, spec)
    init = context.settings.share_dir / "init"
    return make.Inputs(
        name=name,
        slot=context.reserve(name),
        spec=spec.of_version(),
        image=stamp.digest,
        base=base.path(stamp.digest, context.settings),
        build=_build_dir(context, name),
        init_digest=files.sha256(init),
        stop_signal=_image(context, spec).stop_signal,
        exec_name=make.exec_name(context.settings),
        scratch_template=template.ensure(context.settings),
    )


def _stamp(context: Context, spec: Spec) -> Stamp:
    stamp = local_images.stamp(spec.image, context.settings, spec.platform)
    if stamp is None:
        raise InfernoError(f"image {spec.image} is not here yet", f"doit 'image:{spec.image}'")
    return stamp


def _image(context: Context, spec: Spec) -> ImageConfig:
    return local_images.config(_stamp(context, spec).digest, context.settings)


def _run(context: Context, name: str, spec: Spec, keys: list[str]) -> models.Run:
    from inferno.version import render

    image, slot = _image(context, spec), _slot(context, name)
    return render.run(name, spec, image, slot, ssh_keys=keys, debug=_is_debug(context))


def _slot(context: Context, name: str) -> Slot:
    return Slot(context.reserve(name))


def _reserved(context: Context, name: str) -> int | None:
    row = context.state.vm(name)
    return row.slot if row else None


def _makers() -> list[Any]:
    return [identity(path) for path in _MAKERS]


def _is_debug(context: Context) -> bool:
    """LOG_LEVEL=debug: kiln and init log their own steps, from the next create on."""
    return context.settings.log_level == "debug"


def _build_dir(context: Context, name: str) -> Path:
    return context.paths.vm(name) / "build"


def _init_cpio(context: Context, init: Path) -> Path:
    """The archive with init in it, made once per init and shared by all VMs."""
    digest = files.sha256(init)
    archive = context.paths.stored(digest, "init.cpio")
    if not archive.exists():
        folders = [cpio.Entry(folder, 0o755) for folder in ("dev", "proc", "sys", "inferno")]
        made = io.BytesIO()
        cpio.write(made, [*folders, cpio.Entry("inferno/init", 0o755, init.read_bytes())])
        files.write(archive, made.getvalue(), 0o444)
    return archive
