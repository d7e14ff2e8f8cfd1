//! Keys for ssh: people's, for the image's user to let them in, and the guest's own, made here and told to nobody.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::etc;
use crate::failure::{Doing, Failure};
use crate::lookup;
use crate::mounts::make_directory;
use crate::user::{self, User};

const DAEMONS: [&str; 4] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];
const MAKERS: &str = "/usr/local/bin:/usr/bin:/bin";
const HOST_KEYS: &str = "/etc/ssh";
/// What others may not do with anything on the way to the keys: StrictModes, sshd_config(5).
const OTHERS_WRITE: u32 = 0o022;

/// Lets the holders of these public keys in as `user`, by a file with the rights that sshd insists on. What the image
/// has there already stays.
pub fn authorize(keys: &[String], user: &User) -> Result<(), Failure> {
    let home = Path::new(&user.home);
    own(home, user, 0o700)?;
    let folder = home.join(".ssh");
    own(&folder, user, 0o700)?;
    let file = folder.join("authorized_keys");
    let mut text =
        user::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in keys {
        if !text.lines().any(|line| line == key) {
            text.push_str(key);
            text.push('\n');
        }
    }
    etc::write(&file, 0o600, &text)?;
    chown(&file, Some(user.uid), Some(user.gid)).doing(format_args!("own {}", file.display()))
}

/// Makes a directory of the user's when it is missing, and takes away what sshd would not have: another owner than the
/// user or root, and others' right to write.
fn own(path: &Path, user: &User, mode: u32) -> Result<(), Failure> {
    let what = format!("own {}", path.display());
    let is_new = !path.exists();
    make_directory(path, mode)?;
    let status = fs::metadata(path).doing(&what)?;
    if is_new || (status.uid() != 0 && status.uid() != user.uid) {
        chown(path, Some(user.uid), Some(user.gid)).doing(&what)?;
    }
    if status.mode() & OTHERS_WRITE != 0 {
        let mode = status.mode() & 0o7777 & !OTHERS_WRITE;
        fs::set_permissions(path, Permissions::from_mode(mode)).doing(&what)?;
    }
    Ok(())
}

/// Makes the folder without which an sshd does not start, and which its service would make.
pub fn make_folder() -> Result<(), Failure> {
    if has_daemon() { make_directory(Path::new("/run/sshd"), 0o755) } else { Ok(()) }
}

fn has_daemon() -> bool {
    DAEMONS.iter().any(|path| Path::new(path).exists())
}

/// What is to be executed to make the guest's own keys: nothing unless it has an sshd, a way to make them, and none.
pub fn maker() -> Option<PathBuf> {
    if !has_daemon() || has_host_keys(Path::new(HOST_KEYS)).unwrap_or(true) {
        return None;
    }
    lookup::program("ssh-keygen", MAKERS, Path::new("/")).ok()
}

fn has_host_keys(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("ssh_host_") && name.ends_with("_key")
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(home: &Path) -> User {
        // Ours, so that no root is needed.
        let me = fs::metadata("/proc/self").unwrap();
        User { uid: me.uid(), gid: me.gid(), groups: vec![], home: home.display().to_string() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn keys_are_added_once_and_nobody_else_may_write() {
        let top = std::env::temp_dir().join(format!("inferno-ssh-{}", std::process::id()));
        let home = top.join("home");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o2775)).unwrap();
        fs::set_permissions(home.join(".ssh"), Permissions::from_mode(0o777)).unwrap();
        let file = home.join(".ssh/authorized_keys");
        fs::write(&file, "ssh-ed25519 AAAA image's").unwrap();
        let keys = ["ssh-ed25519 BBBB me".to_owned(), "ssh-ed25519 AAAA image's".to_owned()];
        for _ in 0..2 {
            authorize(&keys, &user(&home)).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "ssh-ed25519 AAAA image's\nssh-ed25519 BBBB me\n");
            assert_eq!((mode(&home), mode(&home.join(".ssh")), mode(&file)), (0o2755, 0o755, 0o600));
        }
        let new = top.join("new");
        authorize(&keys, &user(&new)).unwrap();
        assert_eq!(
            (mode(&new), mode(&new.join(".ssh")), mode(&new.join(".ssh/authorized_keys"))),
            (0o700, 0o700, 0o600)
        );
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_guest_that_has_a_key_of_its_own_gets_no_other() {
        let folder = std::env::temp_dir().join(format!("inferno-host-keys-{}", std::process::id()));
        assert!(!has_host_keys(&folder).unwrap());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ssh_host_ed25519_key.pub"), "").unwrap();
        assert!(!has_host_keys(&folder).unwrap());
        fs::write(folder.join("ssh_host_ed25519_key"), "").unwrap();
        assert!(has_host_keys(&folder).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
