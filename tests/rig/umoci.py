"""Bases beside what an independent unpacker makes of the same image: umoci, in the rig."""

from __future__ import annotations

from tests.rig.typed import Host

COMPARE = """
set -e
ref=$1 layout=$2
digest=$(infernoctl images pull --quiet "$ref" >&2; infernoctl images show "$ref" --json | jq -r .digest | cut -d: -f2)
rm -rf /tmp/umoci && umoci unpack --image "$layout" /tmp/umoci > /dev/null
mkdir -p /tmp/base && mount -t erofs -o ro,loop "/var/lib/inferno/images/$digest/rootfs.erofs" /tmp/base
python3 tests/rig/listing.py /tmp/umoci/rootfs > /tmp/theirs
python3 tests/rig/listing.py /tmp/base > /tmp/ours
umount /tmp/base
wc -l < /tmp/ours
diff /tmp/theirs /tmp/ours
"""


def compare(host: Host, name: str) -> int:
    """By both, /extra/NAME has the same files; returns how many. Raises AssertionError with what differs."""
    argv = ["sh", "-c", COMPARE, "sh", f"oci:/extra/{name}", f"/extra/{name}:latest"]
    done = host.rig.run(argv, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    return int(done.stdout.split()[0])
