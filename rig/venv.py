"""The rig's venv: a disk of its own over the system, so that a changed dependency rebuilds seconds, not minutes.

It holds what the project's locks pin, and says where the project itself is: in /inferno, the checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from rig.cache import CHECKOUT, cached, digest, digest_of_code, locked
from rig.program import RigError, command
from rig.system import make_disk

LOCKS = ("requirements.lock", "requirements-dev.lock")
# What looks at the code runs outside, never in the rig.
OUTSIDE_ONLY = ("ast-serialize", "coverage", "librt", "mypy", "ruff", "types-")
SCRIPT = "#!/opt/venv/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def venv(system: Path) -> Path:
    """The disk with /opt/venv, for the dependencies of now."""
    project = _project()
    key = digest(system.name, digest_of_code(Path(__file__)), pins(), _entry_points(project))
    return cached("venv", key, "the rig's venv", lambda making: _build(making, system, project)) / "venv.ext4"


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return project


def pins() -> str:
    """The packages that the rig takes of the locks, each with its hashes, as pip reads them."""
    text = "".join((CHECKOUT / name).read_text() for name in LOCKS)
    found = re.findall(r"^[\w.-]+==.*(?:\n    .*)*", text, re.MULTILINE)
    return "".join(f"{pin}\n" for pin in found if not pin.startswith(OUTSIDE_ONLY))


def _entry_points(project: dict[str, Any]) -> str:
    """entry_points.txt, as an installer writes it: scripts, and what plugs into other programs."""
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    return "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items()) for group, rows in groups.items())


def _build(making: Path, system: Path, project: dict[str, Any]) -> None:
    """Through chroot: under emulation pip would take minutes."""
    tree = system / "tree"
    inside = tree / "opt/venv"
    with locked("chroot"):
        shutil.rmtree(inside, ignore_errors=True)
        # For pip alone: the system's disk was packed before, with files of its own.
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", tree / "etc" / name)
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **_pip_settings(tree)}
        command("chroot", tree, "python3", "-m", "venv", "/opt/venv", env=environ)
        (inside / "requirements.lock").write_text(pins())
        pip = ("/opt/venv/bin/python3", "-m", "pip", "install", "-q", "--no-deps", "--require-hashes")
        command("chroot", tree, *pip, "-r", "/opt/venv/requirements.lock", env=environ)
        _install_project(inside, project)
        command("chroot", tree, "python3", "-m", "compileall", "-q", "/opt/venv/lib", env=environ)
        size = (256 << 20) + 2 * int(command("du", "-sb", inside).split()[0])
        make_disk(making / "venv.ext4", size, inside, "-O", "^has_journal")
        shutil.rmtree(inside)
        inside.mkdir()


def _pip_settings(tree: Path) -> dict[str, str]:
    """What pip is told here of an index, a proxy or a certificate, by environment or file, holds in the chroot too."""
    given = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}
    argv = [sys.executable, "-m", "pip", "config", "list"]
    shown = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        found = re.match(r"global\.([a-z-]+)='(.*)'$", line)
        if found:
            given.setdefault("PIP_" + found[1].upper().replace("-", "_"), found[2])
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        path = given.get(name) or os.environ.get(name)
        if path and Path(path).is_file():
            shutil.copy(path, tree / "etc/rig-certificates.pem")
            given[name] = "/etc/rig-certificates.pem"
    return given


def _install_project(inside: Path, project: dict[str, Any]) -> None:
    """The checkout by a .pth, its scripts, and the metadata that names its entry points."""
    site = next((inside / "lib").glob("python3*")) / "site-packages"
    (site / "inferno.pth").write_text("/inferno\n")
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(_entry_points(project))
    for name, target in project.get("scripts", {}).items():
        module, _, function = target.partition(":")
        if not function.isidentifier():
            raise RigError(f"pyproject.toml: the script {name} names no function")
        script = inside / "bin" / name
        script.write_text(SCRIPT.format(module=module, function=function))
        script.chmod(0o755)
