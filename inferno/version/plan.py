"""What a VM's next version is to be made from, as far as that is known before anything is made."""

from __future__ import annotations

from pathlib import Path

import inferno
from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.base.named_tuple import NamedTuple
from inferno.base.setting_row import Counts
from inferno.image import local_images
from inferno.image.oci_config import ImageConfig
from inferno.image.stamp import Stamp
from inferno.settings import DEBUG, INFO, ROWS, Settings
from inferno.spec import ssh_key
from inferno.spec.create_options import Spec
from inferno.state.paths import Paths

# By these a VM's files are made as they are: another Inferno may make others.
MAKERS = tuple(
    Path(inferno.__file__).parent / name
    for name in (
        *(
            "image/oci_config.py",
            "spec/at_start.py",
            "spec/create_options.py",
            "spec/environment.py",
            "spec/grammar.py",
            "spec/name_service.py",
            "spec/option_row.py",
            "spec/platform.py",
            "spec/signals.py",
            "spec/ssh_key.py",
            "spec/tmpfs.py",
            "spec/user.py",
            "state/names.py",
            "state/slot.py",
        ),
        *("version/configs.py", "version/host_facts.py", "version/initrd.py", "version/plan.py"),
        *("wire/cpio.py", "wire/models.py", "wire/render.py", "wire/shared.py"),
    )
)


class Plan(NamedTuple):
    """One VM, and what was asked of it. Its slot is not part of this: the first step that makes something takes it."""

    settings: Settings
    name: str
    spec: Spec

    @property
    def paths(self) -> Paths:
        return Paths(self.settings.root)

    @property
    def build(self) -> Path:
        """Where the initrd and the configs are left until a version takes them."""
        return self.paths.vm(self.name) / "build"

    @property
    def init(self) -> Path:
        return self.settings.share_dir / "init"

    @property
    def is_debug(self) -> bool:
        """LOG_LEVEL=debug: kiln and init log their own steps, from the next create on."""
        return self.settings.log_level == "debug"

    @property
    def ssh_keys(self) -> list[str]:
        """Lines for authorized_keys: the VM's own, else those of the settings."""
        return self.spec.ssh_key or ssh_key.lines(self.settings.ssh_keys)

    def settings_of_version(self) -> dict[str, object]:
        """The settings that go into a version, by name, as far as they count. Raises UsageError for a bad key."""
        found: dict[str, object] = {
            row.name: getattr(self.settings, name) for name, _, row in ROWS if row.counts is Counts.VERSION
        }
        found["LOG_LEVEL"] = DEBUG if self.is_debug else INFO  # the other levels are of commands, not of VMs
        if self.spec.ssh_key:
            del found["INFERNO_SSH_KEYS"]
        else:
            found["INFERNO_SSH_KEYS"] = self.ssh_keys  # what is in the files that it may name
        return found

    def stamp(self) -> Stamp:
        """Which image that is. Raises InfernoError before that was looked up."""
        found = local_images.stamp(self.spec.image, self.settings, self.spec.platform)
        if found is None:
            raise InfernoError(f"image {self.spec.image} is not here yet", f"doit 'image:{self.spec.image}'")
        return found

    def image(self) -> ImageConfig:
        """What the image says of its process. Raises InfernoError before that was looked up."""
        return local_images.config(self.stamp().digest, self.settings)


def makers(paths: tuple[Path, ...] = MAKERS) -> list[list[int]]:
    """What the file system says of what renders a VM's files. Raises InfernoError when one is missing."""
    return [files.identity(path) for path in paths]
