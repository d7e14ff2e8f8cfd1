"""--tmpfs as Docker reads it, and what the kernel makes of what is handed on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.spec import tmpfs
from inferno.spec.tmpfs import Tmpfs


@pytest.mark.parametrize(
    ("word", "made"),
    [
        ("/run", Tmpfs("/run")),
        ("/run:", Tmpfs("/run")),
        ("/a/./b//", Tmpfs("/a/b")),
        ("/a:size=64m,mode=700,exec", Tmpfs("/a", 0o700, ("size=67108864",), ("exec",))),
        ("/a:mode=01777", Tmpfs("/a", 0o1777)),
        ("/a:mode=0", Tmpfs("/a", 0)),
        ("/a:rw,nosuid,nodev,noexec", Tmpfs("/a")),
        ("/a:suid,dev,exec,ro,noatime", Tmpfs("/a", None, (), ("suid", "dev", "exec", "ro", "noatime"))),
        ("/a:exec,noexec,ro,rw,suid", Tmpfs("/a", None, (), ("suid",))),
        ("/a:defaults,async,relatime,rprivate,,", Tmpfs("/a")),
        ("/a:uid=1000,gid=1000", Tmpfs("/a", None, ("uid=1000", "gid=1000"))),
        ("/a:uid=007,uid=2147483647", Tmpfs("/a", None, ("uid=2147483647",))),
        ("/a:size=50%", Tmpfs("/a", None, ("size=50%",))),
        ("/a:size=4096", Tmpfs("/a", None, ("size=4096",))),
        ("/a:size=1G,size=2K", Tmpfs("/a", None, ("size=2048",))),
        ("/a:size=0", Tmpfs("/a", None, ("size=0",))),
        ("/a:nr_inodes=18014398509481983", Tmpfs("/a", None, ("nr_inodes=18014398509481983",))),
        ("/a:nr_inodes=1k,nr_blocks=2m", Tmpfs("/a", None, ("nr_inodes=1024", "nr_blocks=2097152"))),
    ],
)
def test_options_are_dockers_and_the_last_of_a_kind_holds(word: str, made: Tmpfs) -> None:
    assert tmpfs.read(word) == made


@pytest.mark.parametrize(
    ("word", "says"),
    [
        *((word, "is not an absolute path") for word in ("", "run", "/a/../b", "/a\0b", ":size=1")),
        *(
            (word, "nothing can be mounted on")
            for word in ("/", "//", "/.:exec", "/proc", "/proc/sys", "/dev/", "/sys")
        ),
        *(
            (f"/a:size={size}", "is not a size")
            for size in ("", "5x", "-1", "1.5g", "%", "50.5%", "10000%", "k", "1kk")
        ),
        *((f"/a:{name}={n}", "is not a size") for name in ("nr_inodes", "nr_blocks") for n in ("", "50%", "x", "٣")),
        ("/a:nr_inodes=18014398509481984", "is not a size"),
        *(
            (f"/a:mode={mode}", "is not an octal number up to 7777")
            for mode in ("", "9", "10000", "u=rwx", "-1", "7" * 99)
        ),
        *(
            (f"/a:uid={uid}", "uid .* is not a number from 0 to 2147483647")
            for uid in ("", "web", "-1", "+1", "2147483648")
        ),
        *((f"/a:gid={gid}", "gid .* is not a number from 0 to") for gid in ("4294967296", "9" * 5000, "0x10", "1 ")),
        ("/a:size", "unknown option 'size'"),
        ("/a:exec=1", "unknown option 'exec=1'"),
        ("/a:bind", "unknown option 'bind'"),
        ("/a:shared", "unknown option 'shared'"),
        ("/a:huge=always", "unknown option 'huge=always'"),
        ("/a:mpol=bind:0", "a guest has one"),
    ],
)
def test_what_the_kernel_would_not_take_is_refused_by_name(word: str, says: str) -> None:
    with pytest.raises(UsageError, match=rf"^--tmpfs (?s:.*){says}"):
        tmpfs.read(word)


def test_a_folder_comes_before_those_in_it_and_a_path_once() -> None:
    words = ["/a/b/c", "/a:size=1m", "/b", "/a/b", "/a:size=2m"]
    assert [(one.path, one.options) for one in tmpfs.each(words)] == [
        ("/a", ("size=2097152",)),
        ("/b", ()),
        ("/a/b", ()),
        ("/a/b/c", ()),
    ]


@pytest.mark.root
@pytest.mark.parametrize(
    "options",
    [
        "size=50%",
        "size=0",
        "size=64m,nr_inodes=1k",
        "nr_blocks=10",
        "nr_inodes=18014398509481983",
        "uid=1000,gid=1000,mode=750",
        "mode=1777",
    ],
)
def test_the_kernel_takes_what_is_handed_on(tmp_path: Path, options: str) -> None:
    made = tmpfs.read(f"/a:{options}")
    data = [*made.options, *([f"mode={made.mode:o}"] if made.mode is not None else [])]
    script = f"mount -t tmpfs -o {','.join(data)} none {tmp_path} && stat -c %u:%g:%a {tmp_path}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True)
    wanted = "1000:1000:750" if "uid" in options else "0:0:1777"
    assert done.stdout.strip() == wanted
