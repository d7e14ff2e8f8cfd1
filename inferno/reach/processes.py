"""What runs in a guest, as its own `ps` has it: init has no such list, and the image need not have any tool at all."""

from __future__ import annotations

from inferno.base.errors import InfernoError
from inferno.base.text import printable
from inferno.reach import capture, command
from inferno.reach.command import Command
from inferno.reach.guest import Guest

_MAX_BYTES = 1 << 20
_TIMEOUT_S = 10.0
# procps and busybox both know the first; busybox without its desktop options the second; a shell reads the rest.
_WAYS = (
    ("ps", "-e", "-o", "pid,user,time,args"),
    ("ps",),
    ("sh", "-c", 'for p in /proc/[0-9]*; do read -r c < "$p/comm" && echo "${p#/proc/} $c"; done 2> /dev/null'),
)


def listed(guest: Guest) -> list[str]:
    """Lines, safe to show, the first a heading where `ps` gave them. Raises InfernoError when there is no way."""
    for args in _WAYS:
        try:
            asked = Command(args, user="0")
            end, output = capture.capture(guest, asked, limit_bytes=_MAX_BYTES, timeout_s=_TIMEOUT_S)
        except command.NotStartedError:
            continue
        if end.status == 0 and output:
            return [printable(line) for line in output.decode(errors="replace").splitlines()]
    raise InfernoError(f"{guest.name} has neither ps nor a shell to list its processes with")
