"""`infernoctl ssh-config`: what ssh needs to know to reach VMs over vsock, where their images have an sshd.

ssh's own connection is `exec` of `sshd -i` in the guest: no daemon and no network there. Where it has no host keys, the
first connection makes one, which is new in each run, as its root is; the way to it is this host's own kernel.
"""

from __future__ import annotations

import contextlib
import os
import sys

from inferno.base import templates
from inferno.base.errors import UsageError
from inferno.base.ssh_text import WORD
from inferno.console.typed import Typed
from inferno.image import local_images
from inferno.life import status
from inferno.settings import Settings, load_settings
from inferno.spec.create_options import Spec
from inferno.state import vm_record

# sshd wants its folder, a key, and to be called by its whole path. One key will do for us, of the kind that is made at
# once (RSA's take seconds); in /run, which mostly is a tmpfs, so that it can be written where the root cannot; whole,
# though two connect at once.
_SSHD = (
    "mkdir -p /run/sshd; key=/run/sshd/ssh_host_key; set --;"
    " ls /etc/ssh/ssh_host_*_key > /dev/null 2>&1 || { set -- -h $key; [ -f $key ] || {"
    " ssh-keygen -q -t ed25519 -N '' -f $key.$$ < /dev/null && mv $key.$$ $key; rm -f $key.$$*; } > /dev/null 2>&1; };"
    ' PATH=$PATH:/usr/sbin:/usr/local/sbin; exec "$(command -v sshd || echo sshd)" -i "$@"'
)


def ssh_config(typed: Typed) -> int:
    """A Host entry for each VM named, or for all: `infernoctl ssh-config >> ~/.ssh/config`."""
    user = typed.text("user")
    if user is not None and not WORD.fullmatch(user):
        raise UsageError(f"--user {user!r} is not the name of a user")
    settings = load_settings()
    for name in dict.fromkeys(typed.operands) or [row.name for row in status.list_all(settings)]:
        row = status.row(settings, name)
        print(_entry(settings, name, user or _user(settings, vm_record.of(row).spec)), end="")
    return 0


def _user(settings: Settings, spec: Spec) -> str:
    """Who the image's process is, where that has a name: to whom --ssh-key lets people in."""
    stamp = local_images.stamp(spec.image, settings, spec.platform)
    asked = spec.user
    if not asked and stamp is not None:
        with contextlib.suppress(FileNotFoundError):
            asked = local_images.config(stamp.digest, settings).user
    name = (asked or "").partition(":")[0]
    return name if WORD.fullmatch(name) and not name.isdigit() else "root"


def _entry(settings: Settings, name: str, user: str) -> str:
    program = os.path.abspath(sys.argv[0])
    words = ["env", f"INFERNO_ROOT={settings.root}", program, "exec", "-i", "-u", "0", name, "--", "sh", "-c", _SSHD]
    if os.geteuid() != 0:
        words.insert(0, "sudo")
    return templates.render("host.ssh", {"vm": name, "user": user, "proxy": words})
