"""The file of settings: NAME=value lines, `#` comments, optional quotes; read as data, never run by a shell."""

from __future__ import annotations

import os
from pathlib import Path

from inferno.base.errors import UsageError


def read(path: Path) -> dict[str, str]:
    """The values by name; none when there is no file, or when it may not be read.

    Raises UsageError for a line that is something else, and for a file that others than root may write.
    """
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            if info.st_mode & 0o022 or info.st_uid != 0:
                raise UsageError(f"{path} can be written by others than root", f"chown root {path}; chmod go-w {path}")
            lines = file.read().decode().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "it is a file of NAME=value lines") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", "save the file as UTF-8") from None
    values = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{path}:{number}: not NAME=value: {text!r}")
        values[name] = value.strip().strip("\"'")
    return values
