//! The file systems a process expects, and the links among them: what the OCI runtime spec lists for Linux.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use crate::failure::{Doing, Failure};
use crate::run::{Tmpfs, TmpfsFlag};
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

/// What udev opens to everybody, and devtmpfs alone does not; the drivers ask for the rights that they need.
const EVERYBODYS: [&str; 2] = ["/dev/fuse", "/dev/net/tun"];

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
    for path in EVERYBODYS {
        if fs::metadata(path).is_ok() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666))
                .doing(format_args!("open {path}"))?;
        }
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

/// Mounts a file system in memory, for which what the image has there makes way.
pub fn make_tmpfs(asked: &Tmpfs) -> Result<(), Failure> {
    let what = format!("mount a tmpfs on {}", asked.path);
    let path = Path::new(&asked.path);
    // As runc has it: a folder of the image's keeps its mode, /tmp and what nobody knows are everybody's.
    let own = fs::metadata(path).map_or(0o1777, |status| status.permissions().mode() & 0o7777);
    make_directory(path, 0o755)?;
    let mode = format!("mode={:o}", asked.mode.unwrap_or(own));
    let options: Vec<&str> =
        std::iter::once(mode.as_str()).chain(asked.options.iter().map(String::as_str)).collect();
    let text = |text: String| CString::new(text).map_err(|_| Failure::new(format!("{what}: a NUL in it")));
    let data = text(options.join(","))?;
    let target = text(asked.path.clone())?;
    sys::mount(c"tmpfs", &target, c"tmpfs", flags(&asked.flags), &data).doing(&what)
}

fn flags(asked: &[TmpfsFlag]) -> u64 {
    asked.iter().fold(SEALED, |flags, flag| match flag {
        TmpfsFlag::Ro => flags | sys::MS_RDONLY,
        TmpfsFlag::Exec => flags & !sys::MS_NOEXEC,
        TmpfsFlag::Suid => flags & !sys::MS_NOSUID,
        TmpfsFlag::Dev => flags & !sys::MS_NODEV,
        TmpfsFlag::Noatime => flags | sys::MS_NOATIME,
        TmpfsFlag::Nodiratime => flags | sys::MS_NODIRATIME,
        TmpfsFlag::Strictatime => flags | sys::MS_STRICTATIME,
    })
}

/// Makes /run a mount of its own where it is a folder of the root's. An init system mounts an empty file system over one
/// that is not, and hides what was mounted below; what the image has there stays.
pub fn make_run_a_mount() -> Result<(), Failure> {
    let what = "make /run a mount of its own";
    make_directory(Path::new("/run"), 0o755)?;
    if fs::metadata("/run").doing(what)?.dev() != fs::metadata("/").doing(what)?.dev() {
        return Ok(());
    }
    sys::mount(c"/run", c"/run", c"", sys::MS_BIND | sys::MS_REC, c"").doing(what)
}

/// Makes the root one for reading alone; what is mounted on it stays as it is, its own folders that are volumes too:
/// the mount is made so, not the file system behind it.
pub fn make_read_only() -> Result<(), Failure> {
    sys::mount(c"", c"/", c"", sys::MS_REMOUNT | sys::MS_BIND | sys::MS_RDONLY, c"")
        .doing("make the root read-only")
}

/// Unmounts what was mounted on the root, the latest first, which writes its last bytes. Errors are no matter: what is
/// still in use is detached, and the root itself is made read-only later.
pub fn leave() {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in table.lines().rev().filter_map(target).filter(|target| is_data(target)) {
        if sys::unmount(&target, 0).is_err() {
            let _ = sys::unmount(&target, sys::MNT_DETACH);
        }
    }
}

/// Whether a mount is none of init's own, on which the way to the host and to the kernel depends.
fn is_data(target: &CStr) -> bool {
    let path = target.to_bytes();
    let below = |top: &[u8]| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
    path != b"/" && ![&b"/dev"[..], b"/proc", b"/sys"].into_iter().any(below)
}

/// The second field of a line of fstab(5), in which octal numbers stand for what would end it.
fn target(line: &str) -> Option<CString> {
    let mut bytes = line.split(' ').nth(1)?.bytes();
    let mut path = Vec::new();
    while let Some(byte) = bytes.next() {
        let digits = if byte == b'\\' { [bytes.next(), bytes.next(), bytes.next()] } else { [None; 3] };
        path.push(match digits {
            [Some(a @ b'0'..=b'3'), Some(b @ b'0'..=b'7'), Some(c @ b'0'..=b'7')] => {
                (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
            }
            _ => byte,
        });
    }
    CString::new(path).ok()
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

/// The same with mode 0755, and all that is made becomes the user's.
pub fn make_directory_for(path: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    let what = format!("make directory {}", path.display());
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.is_dir()).collect();
    for folder in missing.into_iter().rev() {
        fs::create_dir(folder).doing(&what)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).doing(&what)?;
        lchown(folder, Some(uid), Some(gid)).doing(&what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_for_a_user_is_the_users_and_what_was_there_is_not() {
        let top = std::env::temp_dir().join(format!("inferno-cwd-{}", std::process::id()));
        fs::create_dir_all(top.join("there")).unwrap();
        symlink("there", top.join("link")).unwrap();
        fs::write(top.join("file"), "").unwrap();
        fs::set_permissions(top.join("there"), fs::Permissions::from_mode(0o700)).unwrap();
        let me = fs::metadata("/proc/self").unwrap();
        let make = |path: &str| make_directory_for(&top.join(path), me.uid(), me.gid());
        for path in ["there", "link/a/b", "there/a/b", "y/z"] {
            make(path).unwrap();
        }
        let mode = |path: &str| fs::metadata(top.join(path)).unwrap().mode() & 0o7777;
        assert_eq!(
            [mode("there"), mode("there/a"), mode("there/a/b"), mode("y/z")],
            [0o700, 0o755, 0o755, 0o755]
        );
        for path in ["file", "file/x"] {
            let refused = make(path).unwrap_err().text;
            assert!(
                refused.starts_with("make directory ") && refused.ends_with(": file exists"),
                "{refused}"
            );
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_tmpfs_is_sealed_but_for_what_was_asked() {
        assert_eq!(flags(&[]), SEALED);
        assert_eq!(flags(&[TmpfsFlag::Exec, TmpfsFlag::Suid, TmpfsFlag::Dev]), 0);
        let further = [TmpfsFlag::Ro, TmpfsFlag::Noatime, TmpfsFlag::Nodiratime, TmpfsFlag::Strictatime];
        let bits = sys::MS_RDONLY | sys::MS_NOATIME | sys::MS_NODIRATIME | sys::MS_STRICTATIME;
        assert_eq!(flags(&further), SEALED | bits);
    }

    #[test]
    fn what_holds_data_is_known_by_its_place() {
        let names =
            |line: &str| target(line).map(|name| (name.to_string_lossy().into_owned(), is_data(&name)));
        let data = |path: &str| Some((path.to_owned(), true));
        assert_eq!(names("/dev/vdc /srv/my\\040data ext4 rw 0 0"), data("/srv/my data"));
        assert_eq!(names("/dev/vdd /var/lib/a\\134b ext4 rw 0 0"), data("/var/lib/a\\b"));
        assert_eq!(names("tmpfs /device tmpfs rw 0 0"), data("/device"));
        for path in ["/", "/dev", "/dev/pts", "/proc", "/sys/fs/cgroup"] {
            assert_eq!(names(&format!("x {path} x rw 0 0")), Some((path.to_owned(), false)));
        }
        assert_eq!(names("torn"), None);
    }
}
