"""A pipeline of somebody's own, which stock doit reads: what `from inferno.pipeline import *` brings to a dodo.py.

Each task runs infernoctl. What infernoctl holds and undoes is the same however doit runs its tasks, and however doit
ends: infernoctl gets SIGTERM when doit is gone, and undoes what it was making.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from doit.exceptions import InvalidDodoFile, TaskFailed

from inferno.base import guess, processes
from inferno.base.errors import InfernoError, UsageError
from inferno.console import options
from inferno.console.image_options import CREATE
from inferno.console.verbs.tasks import TASKS
from inferno.image.stamp import key
from inferno.settings import load_settings
from inferno.spec import create_options
from inferno.state import names
from inferno.state.paths import Paths

from .engine.checker import Checker
from .engine.reporter import Reporter

Creator = Callable[[], Iterator[dict[str, Any]]]
_OPTIONS = {option.name: option for option in CREATE}
_OPPOSITES = {row.name: row.opposite for row in create_options.ROWS if row.opposite}
_OF_IMAGES = ("pull", "creds", "authfile")
# What follows a VM's create; the others are its parts, or have nothing before them.
_AFTER_CREATE = ("network", "disk", "jail", "launch", "start", "restart")
_ALWAYS = {"start": ("--detach",), "destroy": ("--yes",)}


class PipelineReporter(Reporter):
    """Our own tasks are reported by the infernoctl that they run: it knows what is done and what is up to date."""

    def execute_task(self, task: Any) -> None:
        if not task.meta:
            super().execute_task(task)

    def add_success(self, task: Any) -> None:
        if not task.meta:
            super().add_success(task)


class _Vm(NamedTuple):
    words: list[str]  # the options of create, and after -- the guest's command
    image: str  # the subject of its image's tasks
    access: list[str]
    after: tuple[str, ...]


_vms: dict[str, _Vm] = {}
# `doit` alone builds what is declared; it neither starts nor ends anything.
CONFIG: dict[str, Any] = {
    "backend": "sqlite3",  # of doit's own, the one that a kill at any moment leaves whole
    "check_file_uptodate": Checker,
    "default_tasks": ["create"],
    "par_type": "thread",
    "reporter": PipelineReporter,
    "verbosity": 2,
}


def vm(name: str, *, after: str | Sequence[str] = (), **given: Any) -> None:
    """Declare a VM: its tasks are create:NAME, start:NAME and so on.

    `given` are the options of `infernoctl create` by their names: image="nginx:latest", memory=256, env=["A=1"],
    read_only=True, cmd=["nginx", "-g", "daemon off;"]. `after` names tasks that come before its image is looked at.
    Raises InvalidDodoFile, which doit says in one line, for what `create` would refuse.
    """
    try:
        if names.check_name(name) in _vms:
            raise UsageError("it is declared twice")
        words = _words(given)
        before, command = options.split_command(words)
        parsed, _ = options.parse(f"create:{name}", CREATE, before)
        asked = create_options.asked({**parsed, **({"cmd": command} if command is not None else {})})
        if "image" not in asked:
            raise UsageError("it needs an image", "image=REF")
        spec = create_options.merge(None, asked, name)
    except InfernoError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise InvalidDodoFile(f"vm({name!r}): {error.text}{hint}") from None
    access = _words({option: given[option] for option in _OF_IMAGES if option in given})
    _vms[name] = _Vm(words, key(spec.image, spec.platform), access, (after,) if isinstance(after, str) else (*after,))


def _words(given: dict[str, Any]) -> list[str]:
    """What one would type after `infernoctl create NAME`. Raises UsageError, with a guess, for an unknown field."""
    words: list[str] = []
    for name, value in given.items():
        option = _OPTIONS.get(name)
        if name == "cmd" or value is None:
            continue
        if option is None:
            near = guess.near(name, [*_OPTIONS, "cmd", "after"])
            raise UsageError(f"there is no field {name!r}", f"did you mean {near!r}?" if near else None)
        if option.kind is bool:
            words += [f"--{option.long}"] if value else [f"--{_OPPOSITES[name]}"] if name in _OPPOSITES else []
        else:
            each = value if option.kind is list and not isinstance(value, str) else [value]
            words += [f"--{option.long}={one}" for one in each]
    return [*words, "--", *map(str, given["cmd"])] if given.get("cmd") is not None else words


def creator(verb: str) -> Creator:
    """What doit calls to have the tasks of a verb: one per VM or image that is declared."""

    def create() -> Iterator[dict[str, Any]]:
        subject = TASKS[verb].subject
        if subject == "once":
            yield {"basename": verb, **_task(verb, ["task", verb])}
            return
        yield {"name": None, "doc": TASKS[verb].doc}
        if subject == "ref":
            for image in dict.fromkeys(each.image for each in _vms.values()):
                yield {"name": image, **_of_image(verb, image)}
            return
        for name in _vms:
            yield {"name": name, **_of_vm(verb, name)}

    create.__doc__ = TASKS[verb].doc
    return create


def _of_image(verb: str, image: str) -> dict[str, Any]:
    users = [each for each in _vms.values() if each.image == image]
    after = [f"image:{image}"] if verb == "rootfs" else [task for each in users for task in each.after]
    return _task(verb, ["task", f"{verb}:{image}", *users[0].access], list(dict.fromkeys(after)))


def _of_vm(verb: str, name: str) -> dict[str, Any]:
    if verb == "create":
        record = Paths(load_settings().root).current_record(name)
        made = _task(verb, ["create", name, *_vms[name].words], [f"rootfs:{_vms[name].image}"])
        return {**made, "targets": [str(record)]}
    after = [f"create:{name}"] if verb in _AFTER_CREATE else []
    return _task(verb, ["task", f"{verb}:{name}", *_ALWAYS.get(verb, ())], after)


def _task(verb: str, words: list[str], after: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "doc": TASKS[verb].doc,
        "actions": [(_infernoctl, [words])],
        "task_dep": [*after],
        "uptodate": [False],  # infernoctl itself finds out what is to be done
        "meta": {"verb": verb},
    }


def _infernoctl(words: list[str]) -> dict[str, Any] | TaskFailed:
    """Run it; what it prints is the task's result, for result_dep and getargs: JSON, or {"said": text}."""
    # Beside this Python, as it was installed; `sudo` and cron have another PATH.
    process = processes.spawn(
        [Path(sys.executable).with_name("infernoctl"), *words],
        stdout=processes.PIPE,
        whole_env=os.environ,
        preexec=processes.dying_with_parent(signal.SIGTERM),
    )
    try:
        said = process.communicate()[0].decode()
    except BaseException:
        process.terminate()
        process.wait()  # for its undo
        raise
    if process.returncode:
        return TaskFailed(f"infernoctl {words[0]} ended with {process.returncode}")
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"said": said.strip()}
