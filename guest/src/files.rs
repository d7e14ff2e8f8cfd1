//! Files in and out as a tar stream: init's second life, as a process of its own between a stream's pipes.
//!
//! init starts itself anew for it (`Launcher::files`), so that a large copy waits for disks without anybody else
//! waiting, and ends with its caller like any command. Status 0, or 1 and one line on standard error.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use crate::failure::{Doing, Failure};
use crate::sys;
use crate::tar::{self, Entry, Kind};

/// By this name, as argv[0], init knows what it was started for.
pub const NAME: &str = "inferno-files";
/// Followed by the path, and then maybe by `FOLLOW`.
pub const SEND: &str = "send";
/// Followed by a directory.
pub const RECEIVE: &str = "receive";
/// The path itself, when it is a link, is not sent as one.
pub const FOLLOW: &str = "follow";
const BUFFER_BYTES: usize = 64 * 1024;

/// Does what this process was started for, if it was for this; returns its exit status.
pub fn run_if_asked() -> Option<i32> {
    let args: Vec<_> = std::env::args_os().collect();
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let words = args.strip_prefix(&[OsStr::new(NAME)])?;
    let done = match words {
        [verb, path] if *verb == SEND => send(Path::new(path), false, io::stdout().lock()),
        [verb, path, follow] if *verb == SEND && *follow == FOLLOW => {
            send(Path::new(path), true, io::stdout().lock())
        }
        [verb, path] if *verb == RECEIVE => receive(Path::new(path), io::stdin().lock()),
        _ => Err(Failure::new("not a way to be started")),
    };
    match done {
        Ok(()) => Some(0),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{failure}");
            Some(1)
        }
    }
}

/// Writes a file or a whole directory as an archive in which it is named as its path ends.
pub fn send(path: &Path, follow: bool, out: impl Write) -> Result<(), Failure> {
    let name = path.file_name().map_or_else(|| b".".to_vec(), |name| name.as_bytes().to_vec());
    let status = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let status = status.doing(path.display())?;
    let mut sender = Sender { out: BufWriter::with_capacity(BUFFER_BYTES, out), linked: HashMap::new() };
    sender.send(path, name, &status)?;
    tar::write_end(&mut sender.out).and_then(|()| sender.out.flush()).doing("write the archive")
}

struct Sender<W: Write> {
    out: BufWriter<W>,
    /// Device and inode of files with several names, and the name that was sent.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Sender<W> {
    fn send(&mut self, path: &Path, name: Vec<u8>, status: &Metadata) -> Result<(), Failure> {
        let Some(mut entry) = describe(path, name, status).doing(path.display())? else {
            return Ok(());
        };
        if entry.kind != Kind::Directory && status.nlink() > 1 {
            match self.linked.get(&(status.dev(), status.ino())) {
                Some(first) => entry = Entry { kind: Kind::HardLink, link: first.clone(), size: 0, ..entry },
                None => drop(self.linked.insert((status.dev(), status.ino()), entry.name.clone())),
            }
        }
        match entry.kind {
            Kind::File => self.send_file(path, &entry),
            Kind::Directory => self.send_directory(path, entry),
            _ => self.head(&entry),
        }
    }

    fn head(&mut self, entry: &Entry) -> Result<(), Failure> {
        tar::write_entry(&mut self.out, entry).doing("write the archive")
    }

    fn send_directory(&mut self, path: &Path, mut entry: Entry) -> Result<(), Failure> {
        let mut name = entry.name.clone();
        name.push(b'/');
        entry.name.clone_from(&name);
        self.head(&entry)?;
        let mut names = fs::read_dir(path)
            .and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
            })
            .doing(path.display())?;
        names.sort();
        for child in names {
            let path = path.join(&child);
            match fs::symlink_metadata(&path) {
                Ok(status) => self.send(&path, [&name, child.as_bytes()].concat(), &status)?,
                // Somebody removed it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).doing(path.display()),
            }
        }
        Ok(())
    }

    /// Sends as many bytes as the head says: one that grows meanwhile is cut, one that shrinks is an error.
    fn send_file(&mut self, path: &Path, entry: &Entry) -> Result<(), Failure> {
        // Not to be stuck when somebody puts a named pipe in its place.
        let file =
            OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path).doing(path.display())?;
        self.head(entry)?;
        let copied = io::copy(&mut file.take(entry.size), &mut self.out).doing(path.display())?;
        if copied < entry.size {
            return Err(Failure::new(format!("{}: it shrank while it was read", path.display())));
        }
        self.out.write_all(tar::padding(entry.size)).doing("write the archive")
    }
}

/// `None` for what no archive holds: a socket.
fn describe(path: &Path, name: Vec<u8>, status: &Metadata) -> io::Result<Option<Entry>> {
    let kind = status.file_type();
    let kind = if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_char_device() {
        Kind::CharDevice
    } else if kind.is_block_device() {
        Kind::BlockDevice
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        return Ok(None);
    };
    let link = if kind == Kind::Link { fs::read_link(path)?.into_os_string().into_vec() } else { Vec::new() };
    Ok(Some(Entry {
        kind,
        name,
        link,
        mode: status.mode() & 0o7777,
        uid: status.uid(),
        gid: status.gid(),
        size: if kind == Kind::File { status.size() } else { 0 },
        mtime: status.mtime(),
        device: sys::device_numbers(status.rdev()),
    }))
}

/// Puts what an archive holds into a directory. Names that lead out of it are refused; links in it are the guest's
/// own and are followed as everywhere.
pub fn receive(directory: &Path, from: impl Read) -> Result<(), Failure> {
    if !fs::metadata(directory).doing(directory.display())?.is_dir() {
        return Err(Failure::new(format!("{}: not a directory", directory.display())));
    }
    let mut reader = tar::Reader::new(from);
    // A directory's own times and rights come last: it may be read-only.
    let mut directories = Vec::new();
    while let Some(entry) = reader.next_entry().doing("read the archive")? {
        let path = directory.join(relative(&entry.name)?);
        let what = || path.display().to_string();
        make_room(&path, entry.kind).doing(what())?;
        match entry.kind {
            Kind::File => write_file(&path, &mut reader, entry.size).doing(what())?,
            Kind::Directory => make_directory(&path).doing(what())?,
            Kind::Link => symlink(OsStr::from_bytes(&entry.link), &path).doing(what())?,
            Kind::HardLink => {
                fs::hard_link(directory.join(relative(&entry.link)?), &path).doing(what())?;
                continue;
            }
            Kind::CharDevice => sys::make_node(&path, sys::S_IFCHR, entry.device).doing(what())?,
            Kind::BlockDevice => sys::make_node(&path, sys::S_IFBLK, entry.device).doing(what())?,
            Kind::Fifo => sys::make_node(&path, sys::S_IFIFO, (0, 0)).doing(what())?,
        }
        if entry.kind == Kind::Directory {
            directories.push((path, entry));
        } else {
            dress(&path, &entry).doing(what())?;
        }
    }
    reader.finish().doing("read the archive")?;
    for (path, entry) in directories.iter().rev() {
        dress(path, entry).doing(path.display())?;
    }
    Ok(())
}

/// The path that a name in an archive stands for, below the directory: `./a//b/` is `a/b`.
fn relative(name: &[u8]) -> Result<PathBuf, Failure> {
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let name = String::from_utf8_lossy(name);
                return Err(Failure::new(format!("{name}: the name leads out of the directory")));
            }
        }
    }
    Ok(path)
}

/// Makes the directories above, and takes away what has the name, unless both are directories.
fn make_room(path: &Path, kind: Kind) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::symlink_metadata(path) {
        Ok(_) if kind == Kind::Directory && path.is_dir() => Ok(()),
        Ok(found) if found.is_dir() => {
            Err(io::Error::new(ErrorKind::IsADirectory, "a directory is in the way"))
        }
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { fs::create_dir(path) }
}

fn write_file(path: &Path, from: &mut impl Read, size: u64) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let written = io::copy(from, &mut file)?;
    if written == size { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Owner first: a change of it takes set-user-id away.
fn dress(path: &Path, entry: &Entry) -> io::Result<()> {
    let is_link = entry.kind == Kind::Link;
    let path = if is_link { path.to_owned() } else { fs::canonicalize(path)? };
    lchown(&path, Some(entry.uid), Some(entry.gid))?;
    if !is_link {
        fs::set_permissions(&path, Permissions::from_mode(entry.mode))?;
    }
    sys::set_mtime(&path, entry.mtime)
}
