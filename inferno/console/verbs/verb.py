"""A row of the table of verbs."""

from collections.abc import Callable
from typing import Literal

from inferno.base.named_tuple import NamedTuple
from inferno.console.options import QUIET, Option

# The groups of verbs, by their headings in `infernoctl --help`, in the order there.
LIFE = "A VM's life (each is a task: infernoctl task VERB:NAME, in a checkout doit VERB:NAME)"
LOOK = "Look"
REACH = "Reach into a VM that runs"
HOST = "Images, and this host"
STEPS = "The steps of create and start (tasks too)"
GROUPS = (LIFE, LOOK, REACH, HOST, STEPS)

Subject = Literal["vm", "ref", "once"]
_SUBJECTS: dict[str, Subject] = {"NAME...": "vm", "IMAGE...": "ref", "": "once"}

JSON = Option("json", "one JSON object, for programs", bool)


class Verb(NamedTuple):
    """One verb, or an action of one: `list` of `images`.

    `operands` are the words that are not options, as help writes them: NAME, NAME..., [NAME], or print for that very
    word; `forms` replaces them there when one line is not enough. `takes` are the options, or a function that gets
    them where they are heavy. `run` is module.function below inferno.cli; a task has none, and is run by doit.
    `words` is how many operands options may follow: after these, all words are a guest's command. `command` says that
    words after `--` are one. `instead` is the verb that knows what to do with a word too many.
    """

    name: str
    group: str
    doc: str
    operands: str = ""
    takes: tuple[Option, ...] | Callable[[], tuple[Option, ...]] = ()
    run: str = ""
    is_task: bool = False
    aliases: tuple[str, ...] = ()
    more: str = ""
    examples: str = ""
    actions: tuple["Verb", ...] = ()
    default: str = ""  # the action that is meant when none is named
    forms: tuple[str, ...] = ()
    words: int | None = None
    command: bool = False
    instead: str = ""

    @property
    def options(self) -> tuple[Option, ...]:
        own = self.takes() if callable(self.takes) else self.takes
        return (*own, QUIET) if self.is_task else own

    @property
    def subject(self) -> Subject:
        """What a task is asked with: "vm" as `verb:NAME`, "ref" as `verb:IMAGE`, "once" as `verb`."""
        return _SUBJECTS[self.operands]

    @property
    def hole(self) -> str:
        """What help writes for the subject of a task: create:NAME."""
        return self.operands.removesuffix("...")

    def action(self, word: str) -> "Verb | None":
        """The action of that name, or of which it is another name."""
        return next((each for each in self.actions if word in (each.name, *each.aliases)), None)
