"""Bases beside what an independent unpacker makes of the same image: umoci, in the rig."""

from __future__ import annotations

from collections.abc import Collection

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
diff /tmp/theirs /tmp/ours || [ $? = 1 ]
"""


def compare(host: Host, name: str, lost_times: Collection[str] = ()) -> int:
    """By both, /extra/NAME has the same files; returns how many. Raises AssertionError with what differs.

    `lost_times` are directories that umoci leaves with the time of its unpacking: it makes the missing parents of an
    entry, and gives only the entry's own parent its time back. The specification has it unchanged, as no layer says
    otherwise.
    """
    argv = ["sh", "-c", COMPARE, "sh", f"oci:/extra/{name}", f"/extra/{name}:latest"]
    done = host.rig.run(argv, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    count, *differing = done.stdout.splitlines()
    theirs, ours = ([line[2:] for line in differing if line.startswith(mark)] for mark in ("< ", "> "))
    assert [_but_lost(line, lost_times) for line in theirs] == [_but_lost(line, lost_times) for line in ours]
    return int(count)


def _but_lost(line: str, lost_times: Collection[str]) -> str:
    """A line of a listing, without its last word, the time, where umoci loses that."""
    return line.rpartition(" ")[0] if line.partition(" ")[0] in lost_times else line
