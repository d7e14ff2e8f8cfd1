"""Takes secrets out of text that people hand on: values of variables, and what is in a setting for keys or logins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from inferno.base.text import visible
from inferno.settings import Explained
from inferno.state.paths import VersionDir

# Shorter values are words like "1" and "yes", which would be taken out of everything.
_LEAST_CHARS = 4
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|AUTH|CREDENTIAL|LOGIN")
# To the last @ before the host's end: a password may have one, too.
_USER_OF_URL = re.compile(r"(://)[^/?#\s\"]+@")
# What is signed or opened by a word in the query: ?token=…, &X-Amz-Signature=…
_WORD_OF_URL = re.compile(
    r"([?&][^=&\s]*(?:key|secret|token|passw|auth|credential|login|signature|sig)[^=&\s]*=)[^&#\s\"]+", re.IGNORECASE
)


class Redaction:
    """`variables` are NAME=value words, whose values are written as `[value of NAME]`, wherever they stand."""

    def __init__(self, variables: Iterable[str]) -> None:
        found: dict[str, str] = {}
        for variable in variables:
            name, _, value = variable.partition("=")
            for part in (value, *value.splitlines()):
                if len(part) >= _LEAST_CHARS and name != "PATH":
                    found[part] = found[json.dumps(part)[1:-1]] = found[visible(part)] = name
        self._names = found
        longest_first = sorted(found, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def text(self, text: str) -> str:
        """The text without them, and without logins and tokens in URLs."""
        if self._any is not None:
            text = self._any.sub(lambda value: f"[value of {self._names[value[0]]}]", text)
        return _WORD_OF_URL.sub(r"\1[not shown]", _USER_OF_URL.sub(r"\1[login]@", text))


def variables_of(version: VersionDir) -> list[str]:
    """The variables that the version's process gets, of the image and of the VM. What cannot be read has none."""
    try:
        found = json.loads(version.run_json.read_bytes())["process"]["env"]
        return [word for word in found if isinstance(word, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def setting(each: Explained) -> str:
    """A setting as one line, without a value that may be a secret."""
    value = "[not shown]" if each.value and _SECRET_NAME.search(each.name) else each.value
    return f"{each.name}={value} ({each.source})"
