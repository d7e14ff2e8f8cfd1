//! What the guest's /etc says of this machine, and the files the user asked for.
//!
//! Runs inside the guest's root, so that no path and no link of an image leads out of it.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};
use crate::mounts::make_directory;
use crate::run::{Host, Run};
use crate::start::{Resolv, Start};
use crate::sys;
use crate::user;

const MACHINE_ID: &str = "/etc/machine-id";

/// Writes all of it.
pub fn write_all(run: &Run, start: &Start) -> Result<(), Failure> {
    sys::set_hostname(&run.hostname).doing("set the host name")?;
    write(Path::new("/etc/hostname"), 0o644, &format!("{}\n", run.hostname))?;
    write(Path::new("/etc/hosts"), 0o644, &hosts(start.etc_hosts.iter().chain(&run.etc_hosts)))?;
    if wants_machine_id(Path::new("/")) {
        write(Path::new(MACHINE_ID), 0o444, &format!("{}\n", run.machine_id))?;
    }
    if let Some(text) = resolv(&start.etc_resolv) {
        write(Path::new("/etc/resolv.conf"), 0o644, &text)?;
    }
    make_mtab(Path::new("/"))?;
    for file in &run.files {
        write(Path::new(&file.path), file.mode, &file.content)?;
    }
    Ok(())
}

/// Whether the image leaves its machine-id(5) to what starts it: a file that says so, or none beside a systemd.
fn wants_machine_id(root: &Path) -> bool {
    let file = root.join("etc/machine-id");
    match user::read(&file) {
        Ok(text) => matches!(text.trim_ascii(), b"" | b"uninitialized"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            ["usr/lib/systemd/systemd", "lib/systemd/systemd"].iter().any(|path| root.join(path).exists())
        }
        Err(_) => false,
    }
}

/// A link for programs that ask /etc what is mounted, unless the image has anything there.
fn make_mtab(root: &Path) -> Result<(), Failure> {
    let link = root.join("etc/mtab");
    match fs::symlink_metadata(&link) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            symlink("/proc/self/mounts", &link).doing("link /etc/mtab")
        }
        _ => Ok(()),
    }
}

/// hosts(5): what Docker writes, then what was asked for.
pub fn hosts<'a>(entries: impl IntoIterator<Item = &'a Host>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for Host { address, names } in entries {
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    text
}

/// resolv.conf(5); `None` when nothing was asked for: then the image's own stays.
pub fn resolv(asked: &Resolv) -> Option<String> {
    let mut text = String::new();
    if !asked.search.is_empty() {
        let _ = writeln!(text, "search {}", asked.search.join(" "));
    }
    for server in &asked.nameservers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !asked.options.is_empty() {
        let _ = writeln!(text, "options {}", asked.options.join(" "));
    }
    (!text.is_empty()).then_some(text)
}

/// Puts a file in place of whatever has its name, a link too: what the link led to stays as it is.
pub fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let what = format!("write {}", path.display());
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new(format!("{what}: not a file's name")));
    };
    make_directory(directory, 0o755)?;
    let mut temporary = PathBuf::from(directory);
    temporary.push(format!(".{}.inferno", name.to_string_lossy()));
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            fs::rename(&temporary, path)
        });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.doing(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let host = Host { address: "172.16.0.2".into(), names: vec!["web1".into(), "web1.example".into()] };
        assert!(hosts([&host]).ends_with("allrouters\n172.16.0.2\tweb1 web1.example\n"));
        let asked = Resolv {
            nameservers: vec!["9.9.9.9".into(), "1.1.1.1".into()],
            search: vec!["example.org".into()],
            options: vec!["ndots:1".into()],
        };
        let text = "search example.org\nnameserver 9.9.9.9\nnameserver 1.1.1.1\noptions ndots:1\n";
        assert_eq!(resolv(&asked).as_deref(), Some(text));
        assert_eq!(resolv(&Resolv { nameservers: vec![], search: vec![], options: vec![] }), None);
    }

    #[test]
    fn a_machine_id_is_given_only_where_it_is_missing() {
        let root = std::env::temp_dir().join(format!("inferno-machine-id-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        assert!(!wants_machine_id(&root), "nobody asks for one");
        fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
        fs::write(root.join("usr/lib/systemd/systemd"), "").unwrap();
        assert!(wants_machine_id(&root));
        for (text, wants) in [
            ("", true),
            ("\n", true),
            ("uninitialized\n", true),
            ("00112233445566778899aabbccddeeff\n", false),
        ] {
            fs::write(root.join("etc/machine-id"), text).unwrap();
            assert_eq!(wants_machine_id(&root), wants, "{text:?}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn an_mtab_of_the_images_own_stays() {
        let root = std::env::temp_dir().join(format!("inferno-mtab-{}", std::process::id()));
        let link = root.join("etc/mtab");
        fs::create_dir_all(root.join("etc")).unwrap();
        for own in ["/nowhere/at/all", "../proc/mounts"] {
            symlink(own, &link).unwrap();
            make_mtab(&root).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(own));
            fs::remove_file(&link).unwrap();
        }
        for _ in 0..2 {
            make_mtab(&root).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("/proc/self/mounts"));
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let directory = std::env::temp_dir().join(format!("inferno-etc-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("elsewhere"), "theirs").unwrap();
        symlink("elsewhere", directory.join("resolv.conf")).unwrap();
        symlink("/nowhere/at/all", directory.join("dangling")).unwrap();
        for name in ["resolv.conf", "dangling", "new/below/it"] {
            write(&directory.join(name), 0o4640, "ours").unwrap();
            let status = fs::symlink_metadata(directory.join(name)).unwrap();
            assert!(status.is_file());
            assert_eq!(status.permissions().mode() & 0o7777, 0o4640);
        }
        assert_eq!(fs::read_to_string(directory.join("elsewhere")).unwrap(), "theirs");
        assert!(write(&directory.join("new"), 0o644, "x").unwrap_err().text.contains("write "));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4, "no temporary file is left");
        fs::remove_dir_all(&directory).unwrap();
    }
}
