//! Secrets of this start: files in the guest's memory, and variables. kiln sends them behind start.json, where that says so.
//!
//! No failure shows what is in them.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::base64;
use crate::failure::{Doing, Failure};
use crate::host_lines::HostLines;
use crate::mounts::make_directory;
use crate::sys;
use crate::user::User;

/// kiln sends no longer line of them.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Where the files are, as Docker has them.
const FOLDER: &str = "/run/secrets";
/// More than all files take, each of which takes whole pages; they never leave the memory for a swap file.
const OPTIONS: &std::ffi::CStr = c"mode=0755,size=2m,noswap";
const SEALED: u64 = sys::MS_NOSUID | sys::MS_NODEV | sys::MS_NOEXEC;

/// The message (tests/contract/secrets.json). All fields are required, and no other is taken.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Files.
    pub files: Vec<Secret>,
    /// Variables, `NAME=value` each; they come behind those of run.json.
    pub env: Vec<String>,
}

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its name in the folder.
    pub name: String,
    /// Its bytes, which JSON has as base64.
    #[serde(deserialize_with = "bytes")]
    pub content: Vec<u8>,
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    base64::decode(&text).ok_or_else(|| D::Error::custom("not base64"))
}

impl Secrets {
    /// Waits so long for them: the line behind start.json.
    pub fn receive(lines: &mut HostLines, patience: Duration) -> Result<Self, Failure> {
        Self::parse(&lines.await_line("secrets", MAX_BYTES, patience)?)
    }

    /// Reads a text.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        // Not in the parser's words, which may quote a value.
        let read: Self = serde_json::from_slice(text).map_err(|error| {
            Failure::new(format!("secrets: what kiln sent is not known, at column {}", error.column()))
        })?;
        let is_plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        if read.files.iter().all(|file| is_plain(&file.name)) {
            Ok(read)
        } else {
            Err(Failure::new("secrets: a name is not that of a file"))
        }
    }

    /// Makes the files, in memory and for reading alone: the user's, and nobody else's but root's. What the image has
    /// in their folder is covered.
    pub fn make(&self, user: &User) -> Result<(), Failure> {
        mount(Path::new(FOLDER))?;
        write_all(Path::new(FOLDER), &self.files, user.uid, user.gid)?;
        sys::mount(c"", c"/run/secrets", c"", sys::MS_REMOUNT | sys::MS_RDONLY | SEALED, OPTIONS)
            .doing("make the secrets read-only")
    }
}

fn mount(folder: &Path) -> Result<(), Failure> {
    // A link of the image's would lead elsewhere, and a file is in the way.
    if fs::symlink_metadata(folder).is_ok_and(|found| !found.is_dir()) {
        fs::remove_file(folder).doing("make room for the secrets")?;
    }
    make_directory(folder, 0o755)?;
    let below = fs::metadata(folder).doing("look at the folder of the secrets")?.dev();
    sys::mount(c"tmpfs", c"/run/secrets", c"tmpfs", SEALED, OPTIONS).doing("mount the secrets")?;
    if fs::metadata(folder).doing("look at the folder of the secrets")?.dev() == below {
        return Err(Failure::new("secrets: /run/secrets does not lead into memory"));
    }
    Ok(())
}

fn write_all(folder: &Path, files: &[Secret], uid: u32, gid: u32) -> Result<(), Failure> {
    for Secret { name, content } in files {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o400).open(folder.join(name));
        made.and_then(|file| fill(file, content, uid, gid)).doing(format_args!("write the secret {name}"))?;
    }
    Ok(())
}

fn fill(mut file: File, content: &[u8], uid: u32, gid: u32) -> std::io::Result<()> {
    file.write_all(content)?;
    fchown(&file, Some(uid), Some(gid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    use std::thread;

    const GOLDEN: &str = include_str!("../../tests/contract/secrets.json");
    const START: &str = include_str!("../../tests/contract/start.json");
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    fn refused(text: &str) -> String {
        Secrets::parse(text.as_bytes()).err().expect("it is refused").text
    }

    #[test]
    fn reads_the_golden_message() {
        let read = Secrets::parse(GOLDEN.as_bytes()).unwrap();
        assert_eq!(read.files[0].name, "db_password");
        assert_eq!(read.files[0].content, b"hunter2\xff\n");
        assert_eq!(read.env, ["TOKEN=gr\u{fc}\u{df} dich=1"]);
    }

    #[test]
    fn takes_every_field_and_no_other() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for pointer in ["", "/files/0"] {
            for name in golden.pointer(pointer).unwrap().as_object().unwrap().keys() {
                let mut less = golden.clone();
                less.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
                refused(&less.to_string());
            }
            let mut more = golden.clone();
            more.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("surprise".into(), 1.into());
            refused(&more.to_string());
        }
    }

    #[test]
    fn no_refusal_shows_a_value() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for (pointer, value) in [
            ("/files", "hunter2".into()),
            ("/files/0/content", "hunter2".into()),
            ("/env", "hunter2".into()),
            ("/env/0", serde_json::json!({"hunter2": 1})),
        ] {
            let mut other = golden.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let said = refused(&other.to_string());
            assert!(said.starts_with("secrets: what kiln sent is not known, at column "), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert!(!refused(&GOLDEN[..40]).contains("hunter2"));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\\u0000b"] {
            let said = refused(&GOLDEN.replace("db_password", name));
            assert_eq!(said, "secrets: a name is not that of a file", "{name}");
        }
    }

    #[test]
    fn a_long_message_comes_whole_behind_start_json() {
        let (ours, mut kilns) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut lines = HostLines::new(File::from(OwnedFd::from(ours)));
        let content = "A".repeat(1_000_000);
        let long = format!("{{\"files\":[{{\"name\":\"x\",\"content\":\"{content}\"}}],\"env\":[]}}\n");
        let sender = thread::spawn(move || {
            kilns.write_all(START.as_bytes()).unwrap();
            kilns.write_all(long.as_bytes()).unwrap();
            kilns.write_all(b"{\"clock_us\":1}\n").unwrap();
            kilns.write_all(&vec![b' '; MAX_BYTES + 4096]).unwrap();
            kilns
        });
        assert!(!crate::start::Start::receive(&mut lines, LONG).unwrap().secrets);
        assert_eq!(Secrets::receive(&mut lines, LONG).unwrap().files[0].content.len(), 750_000);
        assert_eq!(lines.await_line("the time", 4096, LONG).unwrap(), b"{\"clock_us\":1}\n");
        let said = Secrets::receive(&mut lines, LONG).err().unwrap().text;
        assert_eq!(said, "secrets: it is over 1024 KiB");
        drop(sender.join());
    }

    #[test]
    fn files_are_their_users_for_reading_alone() {
        let folder = std::env::temp_dir().join(format!("inferno-secrets-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let me = fs::metadata("/proc/self").unwrap();
        let read = Secrets::parse(GOLDEN.as_bytes()).unwrap();
        write_all(&folder, &read.files, me.uid(), me.gid()).unwrap();
        let made = folder.join("db_password");
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o400);
        assert_eq!(fs::read(&made).unwrap(), b"hunter2\xff\n");
        let again = write_all(&folder, &read.files, me.uid(), me.gid()).unwrap_err().text;
        assert_eq!(again, "write the secret db_password: file exists");
        fs::remove_dir_all(&folder).unwrap();
    }
}
