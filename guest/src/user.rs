//! Who the image's process is: Docker's `user[:group]`, looked up in the guest's own /etc/passwd and /etc/group.
//!
//! Parsed here, since a static C library has no getpwnam. The rules are those of runc's libcontainer/user.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;
use crate::sys;

/// runc's bound of a numeric id: it must fit an i32.
const MAX_ID: u32 = i32::MAX as u32;

/// Far above any real passwd or group.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A user as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory; "/" when the user is in no passwd.
    pub home: String,
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Looks a user up in the root that this process is in. Files that are not there have no entries.
pub fn look_up(spec: &str) -> Result<User, Failure> {
    let text = |path: &str| {
        read(Path::new(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    resolve(spec, &text("/etc/passwd"), &text("/etc/group"))
}

/// Reads a small file. A guest that puts a named pipe or something endless in its place shall not hold init up.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Looks a user up in the texts of passwd(5) and group(5).
pub fn resolve(spec: &str, passwd: &str, group: &str) -> Result<User, Failure> {
    let (user_part, group_part) = spec.split_once(':').unwrap_or((spec, ""));
    let user_part = if user_part.is_empty() { "0" } else { user_part };
    let number = id(user_part);
    let entry = passwd_entries(passwd).find(|entry| entry.name == user_part || number == Some(entry.uid));
    let (uid, mut gid, home, name) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home, Some(entry.name)),
        (None, Some(uid)) => (uid, 0, "", None),
        (None, None) => {
            return Err(Failure::new(format!("user {user_part:?} is not in the image's /etc/passwd")));
        }
    };
    let mut groups = Vec::new();
    if group_part.is_empty() {
        let of_user =
            |entry: &GroupEntry<'_>| entry.members.split(',').any(|member| Some(member.trim()) == name);
        groups = group_entries(group).filter(of_user).map(|entry| entry.gid).collect();
    } else {
        gid = group_id(group_part, group)?;
    }
    // Among them is the user's own, as Docker has it since CVE-2022-36109: a setgid program must not lose it.
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    let home = if home.is_empty() { "/" } else { home }.to_owned();
    Ok(User { uid, gid, groups, home })
}

fn group_id(part: &str, group: &str) -> Result<u32, Failure> {
    let number = id(part);
    let mut entries = group_entries(group);
    let found = entries.find(|entry| number.map_or(entry.name == part, |gid| gid == entry.gid));
    found
        .map(|entry| entry.gid)
        .or(number)
        .ok_or_else(|| Failure::new(format!("group {part:?} is not in the image's /etc/group")))
}

fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= MAX_ID)
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next(), fields.next()?, fields.next()?);
        let _gecos = fields.next();
        let home = fields.next().unwrap_or_default();
        Some(PasswdEntry { name, uid: id(uid)?, gid: id(gid)?, home })
    })
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, gid) = (fields.next()?, fields.next(), fields.next()?);
        Some(GroupEntry { name, gid: id(gid)?, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nnginx:x:101:102:nginx:/var/nginx:/bin/false\n\
                          nohome:x:7:8:::\n77:x:500:501::/digits:\n";
    const GROUP: &str = "root:x:0:root\nadm:x:4:nginx,other\nwheel:x:10: nginx\nnginx:x:102:\n99:x:700:\n";

    fn user(spec: &str) -> (u32, u32, Vec<u32>, String) {
        let user = resolve(spec, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.groups, user.home)
    }

    #[test]
    fn as_docker_does() {
        assert_eq!(user(""), (0, 0, vec![0], "/root".into()));
        assert_eq!(user("nginx"), (101, 102, vec![102, 4, 10], "/var/nginx".into()));
        assert_eq!(user("101"), (101, 102, vec![102, 4, 10], "/var/nginx".into()));
        assert_eq!(user("nginx:adm"), (101, 4, vec![4], "/var/nginx".into()));
        assert_eq!(user("nginx:4242"), (101, 4242, vec![4242], "/var/nginx".into()));
        assert_eq!(user("1234:5678"), (1234, 5678, vec![5678], "/".into()));
        assert_eq!(user("1234"), (1234, 0, vec![0], "/".into()));
        assert_eq!(user(":adm"), (0, 4, vec![4], "/root".into()));
        assert_eq!(user("nohome"), (7, 8, vec![8], "/".into()));
        assert_eq!(user("77"), (500, 501, vec![501], "/digits".into()));
    }

    #[test]
    fn an_image_without_passwd_has_root_and_numbers() {
        let root = User { uid: 0, gid: 0, groups: vec![0], home: "/".into() };
        assert_eq!(resolve("", "", ""), Ok(root));
        assert!(resolve("root", "", "").is_err());
        assert!(resolve("nobody:nogroup", PASSWD, GROUP).is_err());
        assert!(resolve("nginx:nogroup", PASSWD, GROUP).is_err());
    }

    #[test]
    fn ids_are_plain_and_bounded() {
        for spec in ["-1", "+1", "2147483648", "0x10", " 1", "4294967295"] {
            assert!(resolve(spec, PASSWD, GROUP).is_err(), "{spec}");
        }
        assert_eq!(user("2147483647").0, 2_147_483_647);
    }
}
