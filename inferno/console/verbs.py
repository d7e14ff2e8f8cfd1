"""The verbs, all of them: those that are tasks, which `doit list` shows too, and those that look or reach into VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb that is a task. `subject` is what it is asked with: "vm" as `verb:NAME`, "ref" as `verb:IMAGE`, "once" as
    `verb`, which belongs to the project.
    """

    name: str
    subject: Literal["vm", "ref", "once"]
    doc: str

    @property
    def options(self) -> list[dict[str, Any]]:
        """The verb's options, as doit's CmdOption takes them."""
        from inferno.console.options import QUIET
        from inferno.console.verb_options import OPTIONS

        return [*OPTIONS.get(self.name, []), QUIET]


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("kiln", "once", "build kiln, the supervisor in the jail"),
        Verb("init", "once", "build init, PID 1 of every guest"),
        Verb("vmm", "once", "fetch firecracker and jailer by their pinned digests"),
        Verb("kernel", "once", "build the guest kernel"),
        Verb("artifacts", "once", "all of kiln, init, vmm, kernel"),
        Verb("image", "ref", "resolve an image to its digest, and fetch it"),
        Verb("rootfs", "ref", "make the read-only root file system of an image"),
        Verb("initrd", "vm", "render run.json and pack the VM's initrd"),
        Verb("config", "vm", "render kiln.json and firecracker.json"),
        Verb("create", "vm", "build everything that a VM boots from, as a new version"),
        Verb("network", "vm", "make the VM's TAP, addresses and firewall elements"),
        Verb("disk", "vm", "make the VM's scratch disk"),
        Verb("jail", "vm", "lay the VM's jail out anew"),
        Verb("launch", "vm", "launch the jailer; done when the image's process runs"),
        Verb("start", "vm", "start a VM"),
        Verb("stop", "vm", "stop a VM"),
        Verb("restart", "vm", "stop a VM and start its current version"),
        Verb("destroy", "vm", "remove a VM and all that belongs to it"),
    )
}

# Verbs that are no tasks: what each is asked with, and one line for --help.
READING = {
    "list": ("", "VMs, and whether they run"),
    "ls": ("", "the same as list"),
    "status": ("NAME", "one VM in full"),
    "logs": ("[NAME]", "what VMs said; -f follows"),
    "images": ("VERB", "images that are here: list, show, process, exposed, pull, prune, check"),
    "stats": ("[NAME…]", "what VMs use of this host"),
    "top": ("NAME", "what a VM uses, and what runs in it"),
    "ping": ("NAME", "whether a guest answers over vsock, and how fast"),
    "vsock-ping": ("NAME", "the same as ping"),
    "wait": ("NAME", "until a VM ends, and as its process"),
    "why": ("NAME", "what made the current version of a VM, and what would make the next"),
    "doctor": ("", "whether this host is fit for production, and what mends it"),
    "env": ("", "the settings in force, and where they come from"),
    "version": ("", "the version of Inferno"),
    "exec": ("NAME CMD…", "a command in a VM that runs"),
    "shell": ("NAME", "the best shell that the VM has"),
    "cp": ("FROM TO", "files between a VM that runs (NAME:PATH) and this host"),
    "attach": ("NAME", "the output of a VM's process from now on, or with -i its terminal"),
    "ssh-config": ("[NAME…]", "entries for ~/.ssh/config, for images with an sshd"),
}
