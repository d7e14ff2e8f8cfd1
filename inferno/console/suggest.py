"""What was meant by words that say nothing here: the hint of a usage error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from getopt import GetoptError

from inferno.base.errors import UsageError

# Docker's users type these first.
_DOCKERS = {
    "ps": "infernoctl list",
    "run": "infernoctl create NAME --image REF, then infernoctl start NAME",
    "rm": "infernoctl destroy NAME",
    "kill": "infernoctl stop NAME --kill",
    "inspect": "infernoctl status NAME --json",
    "pull": "infernoctl images pull REF",
    "rmi": "infernoctl images prune",
    "build": "docker build, then infernoctl create NAME --image docker-daemon:REF",
    "login": "docker login: its logins are used here too",
    "port": "infernoctl status NAME tells the VM's address; all its ports are there",
    "info": "infernoctl doctor, or infernoctl env",
}


def verb(word: str, rest: Sequence[str], tasks: Iterable[str], others: Iterable[str]) -> UsageError:
    """For a word that is no verb: neither one of `tasks` nor of `others`."""
    known = [*tasks, *others]
    name, colon, subject = word.partition(":")
    near = difflib.get_close_matches(word.lower(), known, 3)
    near.sort(key=lambda each: sorted(each) != sorted(word.lower()))  # letters that changed places: strat is start
    if colon and name in known:
        hint = f"infernoctl {name} {subject}".rstrip()
    elif word.startswith("-"):
        hint = "the verb comes first, its options follow: infernoctl VERB --help"
    elif word in _DOCKERS:
        hint = _DOCKERS[word]
    elif rest and rest[0] in known:
        hint = f"the verb comes first: infernoctl {rest[0]} {word}"
    else:
        hint = f"did you mean {near[0]}?" if near else "infernoctl --help"
    return UsageError(f"there is no verb {word!r}", hint)


def option(verb: str, error: GetoptError, known: Iterable[str]) -> UsageError:
    """For what getopt refuses; `known` are the long options. `verb` may be a task: create:web1."""
    help_ = f"infernoctl {verb.partition(':')[0]} --help"
    typed = f"--{error.opt}" if len(error.opt) > 1 else f"-{error.opt}"
    if error.msg.endswith("requires argument"):
        return UsageError(f"{verb}: {typed} needs a value", help_)
    if error.msg.endswith("must not have an argument"):
        return UsageError(f"{verb}: {typed} takes no value", help_)
    names = [word.rstrip("=") for word in known]
    meant = [name for name in names if name.startswith(error.opt)] or difflib.get_close_matches(error.opt, names, 1)
    is_long = len(error.opt) > 1 or error.msg.endswith("prefix")
    if not is_long or not meant:
        return UsageError(f"{verb}: {error.msg}", help_)
    return UsageError(f"{verb}: {error.msg}", f"did you mean {' or '.join(f'--{name}' for name in meant)}?")
