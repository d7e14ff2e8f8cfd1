"""What was meant by words that say nothing here: the hint of a usage error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from inferno.base.errors import UsageError

# What Docker's users type first.
DOCKERS = {
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


def verb(word: str, rest: Sequence[str], known: Sequence[str]) -> UsageError:
    """For a word that is not one of the `known` verbs; `rest` are the words after it."""
    name, colon, subject = word.partition(":")
    near = difflib.get_close_matches(word.lower(), known, 3)
    near.sort(key=lambda each: sorted(each) != sorted(word.lower()))  # letters that changed places: strat is start
    if not word:
        return UsageError("an empty word is not a verb", "infernoctl --help")
    if colon and name in known:
        hint = f"infernoctl {name} {subject}".rstrip()
    elif word.startswith("-"):
        hint = "the verb comes first, its options follow: infernoctl VERB --help"
    elif word in DOCKERS:
        hint = DOCKERS[word]
    elif rest and rest[0] in known:
        hint = f"the verb comes first: infernoctl {rest[0]} {word}"
    else:
        hint = f"did you mean {near[0]}?" if near else "infernoctl --help"
    return UsageError(f"there is no verb {word!r}", hint)


def action(verb: str, word: str, known: Iterable[str]) -> UsageError:
    """For a word that is not one of a verb's own verbs."""
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"infernoctl {verb} --help"
    return UsageError(f"{verb}: there is no verb {word!r}", hint)
