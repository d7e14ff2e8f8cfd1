//! Files in and out as a tar stream: init's second life, as a process of its own between a stream's pipes.
//!
//! init starts itself anew for it (`Launcher::files`), so that a large copy waits for disks without anybody else
//! waiting, and ends with its caller like any command. Status 0, or 1 and one line on standard error. With 0, standard
//! error has the paths of the sockets that were not sent, each before a NUL.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
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
/// A file that says to have no more is read before its head is written: files of /proc say 0, those of /sys 4096, and
/// others change while they are read.
const READ_FIRST_BYTES: u64 = 64 * 1024;
/// The most that a file that says to have nothing may have: its bytes are in memory until all are read.
const MOST_UNSAID_BYTES: u64 = 16 << 20;
/// So many sockets are told of: the host shows some of them, and keeps 64 KiB.
const MOST_SOCKETS: usize = 1000;
/// Zeroes of at least so many bytes become a hole: what ext4 has as a block.
const HOLE_BYTES: u16 = 4096;

/// Does what this process was started for, if it was for this; returns its exit status.
pub fn run_if_asked() -> Option<i32> {
    let args: Vec<_> = std::env::args_os().collect();
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let words = args.strip_prefix(&[OsStr::new(NAME)])?;
    let done = match words {
        [verb, path] if *verb == SEND => send_and_tell(path, false),
        [verb, path, follow] if *verb == SEND && *follow == FOLLOW => send_and_tell(path, true),
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

fn send_and_tell(path: &OsStr, follow: bool) -> Result<(), Failure> {
    let mut told = Vec::new();
    for socket in send(Path::new(path), follow, io::stdout().lock())? {
        told.extend(socket.into_os_string().into_vec());
        told.push(0);
    }
    // All was sent, also where the host reads this no more.
    let _ = io::stderr().write_all(&told);
    Ok(())
}

/// Writes a file or a whole directory as an archive in which it is named as its path ends. Returns the paths of
/// sockets, which no archive holds.
pub fn send(path: &Path, follow: bool, out: impl Write) -> Result<Vec<PathBuf>, Failure> {
    let name = path.file_name().map_or_else(|| b".".to_vec(), |name| name.as_bytes().to_vec());
    let status = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let status = status.doing(path.display())?;
    let mut sender = Sender {
        out: BufWriter::with_capacity(BUFFER_BYTES, out),
        linked: HashMap::new(),
        device: status.dev(),
        sockets: Vec::new(),
    };
    sender.send(path, name, &status)?;
    tar::write_end(&mut sender.out).and_then(|()| sender.out.flush()).doing("write the archive")?;
    Ok(sender.sockets)
}

struct Sender<W: Write> {
    out: BufWriter<W>,
    /// Device and inode of files with several names, and the name that was sent.
    linked: HashMap<(u64, u64), Vec<u8>>,
    /// Of what the copy began with.
    device: u64,
    /// What was not sent; the first `MOST_SOCKETS` of them.
    sockets: Vec<PathBuf>,
}

impl<W: Write> Sender<W> {
    fn send(&mut self, path: &Path, name: Vec<u8>, status: &Metadata) -> Result<(), Failure> {
        let Some(mut entry) = describe(path, name, status).doing(path.display())? else {
            if self.sockets.len() < MOST_SOCKETS {
                self.sockets.push(path.to_owned());
            }
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
            Kind::Directory => self.send_directory(path, entry, status.dev()),
            _ => self.head(&entry),
        }
    }

    fn head(&mut self, entry: &Entry) -> Result<(), Failure> {
        tar::write_entry(&mut self.out, entry).doing("write the archive")
    }

    /// Whether what is in a directory on this device is sent: of another file system only when it is on a disk, as a
    /// volume is. The kernel's own (/proc, /sys, /dev) and those in memory have a major number of 0 (do_anon_bdev), and
    /// are sent as the empty directories that they are mounted on, unless the copy began there.
    fn enters(&self, device: u64) -> bool {
        device == self.device || sys::device_numbers(device).0 != 0
    }

    fn send_directory(&mut self, path: &Path, mut entry: Entry, device: u64) -> Result<(), Failure> {
        let mut name = entry.name.clone();
        name.push(b'/');
        entry.name.clone_from(&name);
        self.head(&entry)?;
        if !self.enters(device) {
            return Ok(());
        }
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

    /// Sends as many bytes as the head says. A small file is read first, so that its head says what it has; a larger
    /// one that grows meanwhile is cut, and one that shrinks is an error.
    fn send_file(&mut self, path: &Path, entry: &Entry) -> Result<(), Failure> {
        // Not to be stuck when somebody puts a named pipe in its place.
        let opened = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path);
        let file = match opened {
            // Somebody removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.doing(path.display())?,
        };
        if entry.size <= READ_FIRST_BYTES {
            return self.send_small(path, entry, file);
        }
        self.head(entry)?;
        let copied = io::copy(&mut file.take(entry.size), &mut self.out).doing(path.display())?;
        if copied < entry.size {
            return Err(Failure::new(format!("{}: it shrank while it was read", path.display())));
        }
        self.out.write_all(tar::padding(entry.size)).doing("write the archive")
    }

    fn send_small(&mut self, path: &Path, entry: &Entry, file: File) -> Result<(), Failure> {
        let most = if entry.size == 0 { MOST_UNSAID_BYTES } else { READ_FIRST_BYTES };
        let mut content = Vec::new();
        file.take(most + 1).read_to_end(&mut content).doing(path.display())?;
        if content.len() as u64 > most {
            if entry.size == 0 {
                let says =
                    format!("{}: it says that it is empty, and has more than {most} bytes", path.display());
                return Err(Failure::new(says));
            }
            content.truncate(usize::try_from(READ_FIRST_BYTES).unwrap_or(usize::MAX));
        }
        let size = content.len() as u64;
        self.head(&Entry { size, ..entry.clone() })?;
        self.out
            .write_all(&content)
            .and_then(|()| self.out.write_all(tar::padding(size)))
            .doing("write the archive")
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
        if entry.kind == Kind::File && is_written_into(directory, &path) {
            write_into(&path, &mut reader, entry.size).doing(what())?;
            continue;
        }
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

/// Whether a file right in the directory goes into what has its name, as `cp` in a shell has it: a device or a pipe.
/// What nothing can be written into, a socket, is an error then. Deeper down all are replaced, as files are.
fn is_written_into(directory: &Path, path: &Path) -> bool {
    let kind = fs::symlink_metadata(path).map(|found| found.file_type());
    path.parent() == Some(directory)
        && kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir() && !kind.is_symlink())
}

/// A pipe that nobody reads is waited for; the host has a limit on that.
fn write_into(path: &Path, from: &mut impl Read, size: u64) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let written = io::copy(from, &mut file)?;
    if written == size { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn write_file(path: &Path, from: &mut impl Read, size: u64) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let (mut buffer, mut written) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let length = fill(from, &mut buffer)?;
        if length == 0 {
            break;
        }
        for part in buffer[..length].chunks(HOLE_BYTES.into()) {
            if part.len() == usize::from(HOLE_BYTES) && part.iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Current(HOLE_BYTES.into()))?;
            } else {
                file.write_all(part)?;
            }
        }
        written += length as u64;
    }
    // A hole at the end is not yet a part of it.
    file.set_len(written)?;
    if written == size { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// As much as there is room for, less only at the end.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
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
