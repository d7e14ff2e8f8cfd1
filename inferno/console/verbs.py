"""The tasks of Inferno: what `doit list` shows. One module per stage of a VM's life; declarations only.

This table is the whole list. A verb of kind "vm" is asked as `verb:NAME`, of kind "ref" as `verb:IMAGE`, of kind
"once" as `verb`: it belongs to the project.
"""

from __future__ import annotations

from inferno.console.verb import Verb

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("kiln", "once", "tasks.artifacts", "build kiln, the supervisor in the jail"),
        Verb("init", "once", "tasks.artifacts", "build init, PID 1 of every guest"),
        Verb("vmm", "once", "tasks.artifacts", "fetch firecracker and jailer by their pinned digests"),
        Verb("kernel", "once", "tasks.artifacts", "build the guest kernel"),
        Verb("artifacts", "once", "tasks.artifacts", "all of kiln, init, vmm, kernel"),
        Verb("image", "ref", "tasks.image", "resolve an image to its digest, and fetch it"),
        Verb("rootfs", "ref", "tasks.image", "make the read-only root file system of an image"),
        Verb("initrd", "vm", "tasks.create", "render run.json and pack the VM's initrd"),
        Verb("config", "vm", "tasks.create", "render kiln.json and firecracker.json"),
        Verb("create", "vm", "tasks.create", "build everything that a VM boots from, as a new version"),
        Verb("network", "vm", "tasks.start", "make the VM's TAP, addresses and firewall elements"),
        Verb("disk", "vm", "tasks.start", "make the VM's scratch disk"),
        Verb("jail", "vm", "tasks.start", "lay the VM's jail out anew"),
        Verb("launch", "vm", "tasks.start", "launch the jailer; done when the image's process runs"),
        Verb("start", "vm", "tasks.start", "start a VM"),
        Verb("stop", "vm", "tasks.stop", "stop a VM"),
        Verb("restart", "vm", "tasks.stop", "stop a VM and start its current version"),
        Verb("destroy", "vm", "tasks.stop", "remove a VM and all that belongs to it"),
    )
}

# verb -> (module.function below inferno.cli, what it is asked with, one line for --help)
READING = {
    "list": ("look.list_vms", "", "VMs, and whether they run"),
    "ls": ("look.list_vms", "", "the same as list"),
    "status": ("look.status", "NAME", "one VM in full"),
    "logs": ("logs.verb", "[NAME]", "what VMs said; -f follows"),
    "images": ("images.images", "VERB", "images that are here: list, show, process, exposed, pull, prune, check"),
    "stats": ("stats.stats", "[NAME…]", "what VMs use of this host"),
    "top": ("stats.top", "NAME", "what a VM uses, and what runs in it"),
    "ping": ("stats.ping", "NAME", "whether a guest answers over vsock, and how fast"),
    "vsock-ping": ("stats.ping", "NAME", "the same as ping"),
    "wait": ("wait_attach.wait", "NAME", "until a VM ends, and as its process"),
    "why": ("look.why", "NAME", "what made the current version of a VM, and what would make the next"),
    "doctor": ("doctor.verb", "", "whether this host is fit for production, and what mends it"),
    "env": ("look.env", "", "the settings in force, and where they come from"),
    "version": ("look.version", "", "the version of Inferno"),
    "exec": ("exec_shell.run", "NAME CMD…", "a command in a VM that runs"),
    "shell": ("exec_shell.shell", "NAME", "the best shell that the VM has"),
    "cp": ("cp.run", "FROM TO", "files between a VM that runs (NAME:PATH) and this host"),
    "attach": ("wait_attach.attach", "NAME", "the output of a VM's process from now on, or with -i its terminal"),
    "ssh-config": ("ssh_config.show", "[NAME…]", "entries for ~/.ssh/config, for images with an sshd"),
}
