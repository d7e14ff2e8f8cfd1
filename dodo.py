"""Inferno's pipeline, in the order in which an image and a VM go through it. `doit list` shows it.

    doit create:web1 --image nginx:latest     a task of one VM or image is made when it is named
    doit start:web1
    doit info create:web1                     what it needs and makes, and why it would run

[tool.doit] in pyproject.toml names what makes it so, for this folder alone: a loader, a database, a reporter, commands.
A task that is added here may depend on any of these: {"task_dep": ["create:web1"], ...}. In other folders
`infernoctl task` does what doit does here; docs/pipeline/dodo.py is a pipeline to copy.
"""

from inferno.task_modules import load

stage = load("stages").creators  # those of a module in tasks/

# What is built once, for all VMs.
task_kiln, task_init, task_vmm, task_kernel, task_artifacts = stage("artifacts")

# An image, up to the base that its VMs share.
task_image, task_rootfs = stage("image")

# One VM, up to a version of it.
task_initrd, task_config, task_create = stage("create")

# One run of that version.
task_network, task_disk, task_jail, task_launch, task_start = stage("start")

# Its end, and the VM's.
task_stop, task_restart, task_destroy = stage("stop")
