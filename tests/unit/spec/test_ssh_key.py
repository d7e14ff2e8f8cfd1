"""Public keys as --ssh-key takes them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.spec import ssh_key
from tests import images


def key(kind: str = "ssh-ed25519", comment: str = "me@example.org", says: str | None = None) -> str:
    name = (says or kind).encode()
    data = len(name).to_bytes(4, "big") + name + b"\0\0\0\x20" + bytes(32)
    return f"{kind} {base64.b64encode(data).decode()} {comment}".rstrip()


def test_keys_and_files_of_keys_become_lines_each_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.pub"
    options = f'no-pty,from="10.0.0.*,172.16.*" {key(comment="three")}'
    file.write_text(f"# ours\n\n{key(comment='two')}\n  {options}\r\n{key()}\n")
    assert ssh_key.lines([key(), str(file), ""]) == [key(), key(comment="two"), options]
    for kind in ("ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"):
        assert ssh_key.lines([key(kind, "")]) == [key(kind, "")]
    assert ssh_key.lines([]) == ssh_key.lines([""]) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "is a private key"),
        ("hello\n", "this is not a public key: 'hello'"),
        (f"{key()}\nssh-ed25519 AAAA\n", "this is not a public key: 'ssh-ed25519 AAAA'"),
        (key(says="ssh-rsa"), "this is not a public key"),
        (key(comment="a\x1b[2J"), "this is not a public key"),
        (f"{key()}\n" * 2000, "has more than 65536 bytes"),
        ("\udcff", "it is not text"),
    ],
)
def test_what_is_none_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match="ssh-key") as error:
        ssh_key.lines([str(file)])
    assert says in error.value.text


def test_a_file_that_is_not_there_and_a_torn_key_are_told_apart() -> None:
    with pytest.raises(UsageError, match="No such file"):
        ssh_key.lines(["/no/such/file"])
    for name in ("~nobody-of-this-name/.ssh/id_ed25519.pub", "a\0b"):
        with pytest.raises(UsageError, match="there is no such file"):
            ssh_key.lines([name])
    with pytest.raises(UsageError, match="this is not a public key"):
        ssh_key.lines(["ssh-ed25519 AAAA me"])


@pytest.mark.root
def test_a_vm_has_its_own_keys_or_those_of_the_settings(tmp_path: Path) -> None:
    image = f"oci:{images.busybox(tmp_path / 'layout')}"
    (tmp_path / "id.pub").write_text(f"{key(comment='settings')}\n")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path / "root")}

    def made(*words: str, status: int = 0) -> tuple[object, bool]:
        command = [Path(sys.executable).parent / "infernoctl", "create", "web1", "--image", image, *words]
        done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        run = json.loads((tmp_path / "root/vms/web1/current/initramfs/inferno/run.json").read_text())
        return run["ssh_keys"], run["process"]["tty"]

    assert made() == ([], False)
    assert made("-t", "--ssh-key", key()) == ([key()], True)
    env["INFERNO_SSH_KEYS"] = str(tmp_path / "id.pub")
    assert made() == ([key()], True)
    assert made("--no-tty", "--ssh-key", "") == ([key(comment="settings")], False)
    made("--ssh-key", "/no/such/file", status=2)
