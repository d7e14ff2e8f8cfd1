"""Run in the rig: makes the current version of a VM one of the release before.

`python tests/rig/as_before.py NAME FOLDER` puts the kiln and init that lie in the folder in place of the VM's, and
gives its kiln.json, run.json and version.json the shape of then: without a number, with the resolvers of the create,
and with the stop signal in the spec.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from inferno.settings import load_settings
from inferno.state.paths import Paths
from inferno.version import versions
from inferno.wire import cpio
from inferno.wire.shared import KILN_CONFIG, RUN_CONFIG


def main(name: str, programs: Path) -> None:
    version = versions.current(Paths(load_settings().root), name)
    assert version is not None
    record = versions.read(version)
    assert record is not None
    kiln, run = (json.loads((version.dir / where).read_text()) for where in (KILN_CONFIG, f"initramfs/{RUN_CONFIG}"))
    for config in (kiln, run):
        del config["format"]
    run["etc_resolv"] = {"nameservers": ["192.0.2.77"], "search": [], "options": []}
    initrd = io.BytesIO()
    folders = [cpio.Entry(folder, 0o755) for folder in ("dev", "proc", "sys", "inferno")]
    init = cpio.Entry("inferno/init", 0o755, (programs / "init").read_bytes())
    cpio.write(initrd, [*folders, init, cpio.Entry(RUN_CONFIG, 0o400, json.dumps(run).encode())])
    described = json.loads(version.record.read_text())
    described["spec"]["stop_signal"] = described["stop_signal"]
    for field in ("format", "image", "stop_signal"):
        del described[field]
    replace(version.record, json.dumps(described).encode(), 0o444)
    replace(version.file(KILN_CONFIG), json.dumps(kiln).encode(), 0o444)
    replace(version.file(record.exec_name), (programs / "kiln").read_bytes(), 0o755)
    replace(version.file("initrd.cpio"), initrd.getvalue(), 0o444)


def replace(path: Path, content: bytes, mode: int) -> None:
    """A file of its own: what is there is linked to from other versions as well."""
    made = path.with_name(f".{path.name}.tmp")
    made.write_bytes(content)
    made.chmod(mode)
    made.replace(path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
