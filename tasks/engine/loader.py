"""Makes the tasks that one command asks for, and what they need, and nothing else: nobody declares VMs in a file.

doit hands over the words of the command line; each `verb:subject` is looked up in the table of verbs. With 10,000
VMs known, a command still makes a dozen tasks. dodo_loader adds what a checkout's dodo.py declares.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from typing import Any

from doit import doit_cmd
from doit.cmd_base import TaskLoader2
from doit.task import Task

from inferno.base.errors import UsageError
from inferno.console import options, startup
from inferno.console.typed import NOUNS
from inferno.console.verbs.tasks import TASKS
from inferno.image.wanted import subject_of
from inferno.settings import QUIET_LEVELS, Settings, load_settings
from inferno.spec.grammar import check_text
from inferno.state import guard, names

from .. import stages
from . import parallel
from .asked import Asked
from .checker import Checker
from .command import Command
from .output import Output
from .transaction import Transaction

# doit commands that do nothing sensible without a task named: `doit clean` alone would clean all that there is.
_NEED_A_TASK = frozenset({"run", "clean", "forget", "ignore", "info"})
# Those that change something without running a task.
_CHANGES = frozenset({"clean", "forget", "ignore"})


class Loader(TaskLoader2):  # type: ignore[misc]  # doit has no types
    """`preset` are options that a front end has read already: {task name: {option: value}}."""

    def __init__(self, preset: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__()
        self._options = {task: dict(given) for task, given in (preset or {}).items()}
        self.command: Command
        self.verbs: Collection[str] = TASKS  # those that may be asked for by name
        self._bin_name = "doit"

    def setup(self, opt_values: dict[str, Any]) -> None:
        self.begin(opt_values, load_settings())

    def begin(self, opt_values: dict[str, Any], settings: Settings) -> None:
        """The command begins, with these settings."""
        startup.begin()
        self.command = Command(Asked(settings), Transaction(settings), Output())
        self._params = opt_values
        parallel.check_options(opt_values)
        self._with_subtasks = bool(opt_values.get("subtasks"))

    def load_doit_config(self) -> dict[str, Any]:
        return {
            "backend": "inferno",
            "dep_file": str(self.command.asked.paths.task_db),
            "check_file_uptodate": Checker,
            "reporter": "inferno",
            "verbosity": 2,
            "par_type": "thread",
        }

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Task]:
        """Read the words in `pos_args`, and leave in it the names of the selected tasks only."""
        executes = bool(getattr(cmd, "execute_tasks", False))
        self._bin_name = cmd.bin_name
        if executes or cmd.name in _CHANGES:
            guard.prepare(self.command.asked.settings)
        if doit_cmd._CMDLINE_VARS:
            word = next("=".join(item) for item in doit_cmd._CMDLINE_VARS.items())
            raise UsageError(f"doit takes {word!r} for a variable", f"write --env={word}, or use infernoctl")
        if not pos_args and cmd.name in _NEED_A_TASK:
            raise UsageError(f"{cmd.name}: name a task", f"{self._bin_name} list")
        own = self.declared(cmd, pos_args)
        pos_args[:] = self._read_words(list(pos_args), cmd.name, own)
        asked = Asked(self.command.asked.settings, tuple(pos_args) if executes else (), self._options)
        self.command = self.command._replace(asked=asked)
        self.command.output.quiet = asked.settings.log_level in QUIET_LEVELS or any(
            given.get("quiet") for given in self._options.values()
        )
        if not pos_args:
            return [*self._closure(list(self.verbs)), *own.values()]
        made, wanted = _follow(list(pos_args), own)
        parallel.check_tasks(self._params, wanted)
        if executes:
            for name in sorted({task.partition(":")[2] for task in wanted if _subject(task) == "vm"}):
                what = " ".join(task for task in wanted if task.endswith(f":{name}"))
                self.command.transaction.lock(name, what)
        made += self._closure(wanted)
        if executes and any(task.name.startswith(("image:", "rootfs:")) for task in made):
            self.command.transaction.use_images()
        return made

    def declared(self, cmd: Any, words: list[str]) -> dict[str, Task]:
        """Tasks of somebody's own, by their names; in infernoctl there are none."""
        return {}

    def _read_words(self, words: list[str], command_name: str, own: Mapping[str, Task]) -> list[str]:
        selected: list[str] = []
        check_text(words)
        while words:
            word = words.pop(0)
            if word in own:
                selected.append(_once(word, selected))
                continue
            verb, subject = self._split(word, [*self.verbs, *own])
            if "*" in subject and _subject(word) == "vm":
                found = [f"{verb}:{n}" for n in self.command.asked.state.names() if fnmatch.fnmatchcase(n, subject)]
                if not found:  # none selected would be all there are
                    raise UsageError(f"{word}: there is no such VM", "infernoctl list")
                selected += [name for name in found if name not in selected]
                continue
            if not subject and _subject(word) != "once" and command_name in _NEED_A_TASK:
                hint = f"{self._bin_name} {verb}:{TASKS[verb].hole}"
                raise UsageError(f"{verb} needs {NOUNS[TASKS[verb].operands]}", hint)
            command = None
            if TASKS[verb].command:  # the guest's, to the end of the line
                words, command = options.split_command(words)
            given: dict[str, Any] = {}
            if words:  # else there is no use for the options, which are many
                given, words = options.parse(word, TASKS[verb].options, words)
            if command is not None:
                given["cmd"] = command
            selected.append(_once(self._named(word, {**self._options.pop(word, {}), **given}), selected))
        return selected

    def _named(self, word: str, given: dict[str, Any]) -> str:
        """The task's own name, which tells for which platform an image is wanted; its options are noted by it."""
        if _subject(word) == "ref" and given.get("platform"):
            verb, subject = self._split(word)
            word = f"{verb}:{subject_of(subject, given.pop('platform'))}"
        if given:
            self._options[word] = given
        return word

    def _closure(self, wanted: list[str]) -> list[Task]:
        """The tasks named, and all they depend on."""
        made: dict[str, Task] = {}
        wanted = wanted[::-1]
        while wanted:
            name = wanted.pop()
            if name in made:
                continue
            verb, subject = self._split(name)
            if not subject and TASKS[verb].subject != "once":
                for task in self._group(verb):
                    made[task.name] = task
                continue
            for task in stages.make(self.command, verb, subject):
                task.doc = task.doc or TASKS[verb].doc
                made[task.name] = task
                wanted += [*task.task_dep, *task.setup_tasks, *task.calc_dep]
        return list(made.values())

    def _group(self, verb: str) -> list[Task]:
        """A bare verb; `list --all` names the VMs too."""
        made = [stages.group(verb)]
        if self._with_subtasks and TASKS[verb].subject == "vm":
            for name in self.command.asked.state.names():
                made[0].task_dep.append(f"{verb}:{name}")
                made.append(Task(f"{verb}:{name}", None, subtask_of=verb, doc=TASKS[verb].doc))
        return made

    def _split(self, task: str, known: Collection[str] = TASKS) -> tuple[str, str]:
        """`verb:subject` → its parts. Raises UsageError, with a guess, for what is not a task or not `known`."""
        verb, colon, subject = task.partition(":")
        row = TASKS.get(verb)
        if row is None or verb not in known:
            raise self._unknown(task, known, is_other=row is None)
        if row.subject == "once" and colon:
            raise UsageError(f"{verb} takes no name", f"{self._bin_name} {verb}")
        if colon and row.subject == "vm" and "*" not in subject:
            names.check_name(subject)
        return verb, subject

    def _unknown(self, task: str, known: Collection[str], *, is_other: bool) -> UsageError:
        """The error for what is not a task, with a guess; `is_other` of what may be another verb of infernoctl."""
        from inferno.base import guess
        from inferno.console.verbs.table import NAMES

        verb, colon, subject = task.partition(":")
        if is_other and verb in NAMES:
            return UsageError(f"{verb} is not a task", " ".join(["infernoctl", verb, *([subject] if subject else [])]))
        near = guess.near(verb, known)
        hint = f"did you mean {near}{colon}{subject}?" if near else f"{self._bin_name} list"
        return UsageError(f"there is no task {task!r}", hint)


def _subject(task: str) -> str:
    return TASKS[task.partition(":")[0]].subject


def _once(task: str, selected: Collection[str]) -> str:
    """The task itself. Raises UsageError when it is selected already."""
    if task in selected:
        raise UsageError(f"{task} is asked for twice", "give all its options at once")
    return task


def _follow(names: list[str], own: Mapping[str, Task]) -> tuple[list[Task], list[str]]:
    """Of the tasks named and what they need: those of somebody's own, and the names of all others, which are ours."""
    makers = {target: task.name for task in own.values() for target in task.targets}
    found: dict[str, Task | None] = {}
    names = names[::-1]
    while names:
        name = names.pop()
        if name not in found:
            found[name] = task = own.get(name)
            if task is not None:
                names += [*task.task_dep, *task.setup_tasks, *task.calc_dep]
                names += [makers[path] for path in task.file_dep if path in makers]
    return [task for task in found.values() if task], [name for name, task in found.items() if task is None]
