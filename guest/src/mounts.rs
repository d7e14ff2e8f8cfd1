//! The file systems a process expects, and the links among them: what the OCI runtime spec lists for Linux.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::failure::{Doing, Failure};
use crate::sys;

/// One mount.
#[derive(Clone, Copy, Debug)]
pub struct Mount {
    /// Where; made when it is missing.
    pub target: &'static CStr,
    /// What.
    pub fs: &'static CStr,
    /// MS_* flags.
    pub flags: u64,
    /// The file system's own options.
    pub data: &'static CStr,
}

const SEALED: u64 = sys::MS_NOSUID | sys::MS_NODEV | sys::MS_NOEXEC;

/// What init itself needs, in this order; mounted in the initramfs and again in the root.
pub const BASIC: [Mount; 3] = [
    Mount { target: c"/dev", fs: c"devtmpfs", flags: sys::MS_NOSUID, data: c"mode=0755" },
    Mount { target: c"/proc", fs: c"proc", flags: SEALED, data: c"" },
    Mount { target: c"/sys", fs: c"sysfs", flags: SEALED, data: c"" },
];

/// What else is mounted in the root. Group 5 is tty everywhere, and what Docker passes.
pub const FURTHER: [Mount; 4] = [
    Mount {
        target: c"/dev/pts",
        fs: c"devpts",
        flags: sys::MS_NOSUID | sys::MS_NOEXEC,
        data: c"newinstance,ptmxmode=0666,mode=0620,gid=5",
    },
    Mount { target: c"/dev/shm", fs: c"tmpfs", flags: SEALED, data: c"mode=1777" },
    Mount { target: c"/dev/mqueue", fs: c"mqueue", flags: SEALED, data: c"" },
    Mount { target: c"/sys/fs/cgroup", fs: c"cgroup2", flags: SEALED, data: c"" },
];

const RUN: Mount =
    Mount { target: c"/run", fs: c"tmpfs", flags: sys::MS_NOSUID | sys::MS_NODEV, data: c"mode=0755" };

/// Names in /dev that devtmpfs does not make.
pub const LINKS: [(&str, &str); 5] = [
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

impl Mount {
    /// Mounts it.
    pub fn make(&self) -> Result<(), Failure> {
        let path = self.target.to_string_lossy();
        make_directory(Path::new(path.as_ref()), 0o755)?;
        sys::mount(self.fs, self.target, self.fs, self.flags, self.data).doing(format_args!("mount {path}"))
    }
}

/// Mounts all, in the root that this process is in.
///
/// /run becomes a tmpfs only where the image has nothing in it: Docker mounts none, so what an image put there
/// must stay; an empty one is memory's, as on any Linux, and starts empty.
pub fn populate() -> Result<(), Failure> {
    for mount in BASIC.iter().chain(&FURTHER) {
        mount.make()?;
    }
    if fs::read_dir("/run").map_or(true, |mut entries| entries.next().is_none()) {
        RUN.make()?;
    }
    if fs::symlink_metadata("/tmp").is_err() {
        make_directory(Path::new("/tmp"), 0o1777)?;
    }
    for (path, target) in LINKS {
        // devtmpfs makes a ptmx of its own, which knows nothing of our devpts.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing(format_args!("remove {path}"));
            }
            _ => symlink(target, path).doing(format_args!("link {path}"))?,
        }
    }
    Ok(())
}

/// Makes a directory and its parents unless it is there; `mode` is the last one's.
pub fn make_directory(path: &Path, mode: u32) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let what = format!("make directory {}", path.display());
    fs::create_dir_all(path).doing(&what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(&what)
}
