//! Who the image's process is: Docker's `user[:group]`, looked up in the guest's own /etc/passwd and /etc/group.
//!
//! Parsed here, since a static C library has no getpwnam. The rules are those of Docker and runc (moby/sys/user).
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

/// Whom a word of `user[:group]` means.
enum Wanted<'a> {
    Number(u32),
    Name(&'a str),
}

struct PasswdEntry<'a> {
    name: &'a str,
    /// User and group; `None` where one of them is not a number that a user can have.
    ids: Option<(u32, u32)>,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: Option<u32>,
    members: &'a str,
}

/// Looks a user up in the root that this process is in. Files that are not there have no entries.
pub fn look_up(spec: &str) -> Result<User, Failure> {
    let text = |path: &str| {
        read(Path::new(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    resolve(spec, &text("/etc/passwd"), &text("/etc/group"))
}

/// Reads a small file, of a large one the first lines that are whole. A guest that puts a named pipe or something
/// endless in its place shall not hold init up.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        // Half a line may have half a number: of 1000 the 10.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or_default());
    }
    Ok(bytes)
}

/// Looks a user up in the texts of passwd(5) and group(5).
///
/// Digits are always a number, even where a user has them for a name. What cannot be had is refused with the code of
/// a program that cannot be executed, as `docker exec` does.
pub fn resolve(spec: &str, passwd: &str, group: &str) -> Result<User, Failure> {
    let (user_part, group_part) = spec.split_once(':').unwrap_or((spec, ""));
    let (uid, own_gid, name) = user(if user_part.is_empty() { "0" } else { user_part }, passwd)?;
    let mut groups = Vec::new();
    let gid = if group_part.is_empty() {
        let of_user =
            |entry: &GroupEntry<'_>| entry.members.split(',').any(|member| Some(member.trim()) == name);
        groups = group_entries(group).filter(of_user).filter_map(|entry| entry.gid).collect();
        own_gid
    } else {
        group_id(group_part, group)?
    };
    // Among them is the user's own, as Docker has it since CVE-2022-36109: a setgid program must not lose it.
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    // Docker hands runc the number alone, which looks for its first entry.
    let home = passwd_entries(passwd).find(|entry| entry.ids.is_some_and(|ids| ids.0 == uid));
    let home = home.map(|entry| entry.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(User { uid, gid, groups, home })
}

/// A user's number, group, and name if it has one.
fn user<'a>(part: &str, passwd: &'a str) -> Result<(u32, u32, Option<&'a str>), Failure> {
    let mut entries = passwd_entries(passwd);
    match wanted("user", part)? {
        Wanted::Number(uid) => Ok(entries
            .find_map(|entry| entry.ids.filter(|ids| ids.0 == uid).map(|ids| (uid, ids.1, Some(entry.name))))
            .unwrap_or((uid, 0, None))),
        Wanted::Name(name) => {
            let found = entries.find(|entry| entry.name == name);
            let found = found.ok_or_else(|| missing("user", name, "passwd"))?;
            let (uid, gid) = found.ids.ok_or_else(|| unusable("user", name, "passwd"))?;
            Ok((uid, gid, Some(found.name)))
        }
    }
}

fn group_id(part: &str, group: &str) -> Result<u32, Failure> {
    match wanted("group", part)? {
        Wanted::Number(gid) => Ok(gid),
        Wanted::Name(name) => {
            let found = group_entries(group).find(|entry| entry.name == name);
            let found = found.ok_or_else(|| missing("group", name, "group"))?;
            found.gid.ok_or_else(|| unusable("group", name, "group"))
        }
    }
}

fn wanted<'a>(what: &str, part: &'a str) -> Result<Wanted<'a>, Failure> {
    let digits = part.strip_prefix(['+', '-']).unwrap_or(part);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Wanted::Name(part));
    }
    number(part).map(Wanted::Number).ok_or_else(|| {
        Failure::not_executable(format!("{what} {part} is out of range: numbers go from 0 to {MAX_ID}"))
    })
}

fn missing(what: &str, name: &str, file: &str) -> Failure {
    Failure::not_executable(format!("{what} {name:?} is not in the image's /etc/{file}"))
}

fn unusable(what: &str, name: &str, file: &str) -> Failure {
    let text = format!(
        "{what} {name:?} of the image's /etc/{file} has a number that is missing, or not one from 0 to {MAX_ID}"
    );
    Failure::not_executable(text)
}

fn number(text: &str) -> Option<u32> {
    text.parse::<i64>().ok().and_then(|id| u32::try_from(id).ok()).filter(|id| *id <= MAX_ID)
}

/// Lines with something in them. One with a NUL is of no text file, and a name or home of it could not be passed on.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains('\0'))
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    lines(text).map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next().unwrap_or_default(), fields.next());
        let ids = fields.next().and_then(number).zip(fields.next().and_then(number));
        let _gecos = fields.next();
        PasswdEntry { name, ids, home: fields.next().unwrap_or_default() }
    })
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    lines(text).map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next().unwrap_or_default(), fields.next());
        let gid = fields.next().and_then(number);
        GroupEntry { name, gid, members: fields.next().unwrap_or_default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    const PASSWD: &str = concat!(
        "# comment\n\n+::::\n-nis:x:5:5\nbroken\n",
        "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:102:nginx:/var/nginx:/bin/false\r\n",
        "nohome:x:7:8:::\n  spaces:x:9:9::/spaces:  \n77:x:500:501::/digits:\n500:x:501:501::/second:\n",
        "1000:x:0:0::/root:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n99999999999999999999:x:0:0::/:\n",
        "nogid:x:1001\nnoid:x:::/noid:\nletters:x:abc:0::/:\nbig:x:4294967296:4294967296::/big:\nminus:x:-1:-1::/:\n",
        "zeros:x:0001002:01002::/zeros:/bin/sh:and:more\nsecond:x:101:103::/second:\nhalf:x:1003:\n",
        "nul\0:x:1004:1004::/nul:\nlast:x:1005:1005::/last:/bin/sh",
    );
    const GROUP: &str = concat!(
        "# adm:x:1:nginx\n\n+:::\nbroken\nroot:x:0:root\nadm:x:4:nginx,other\nwheel:x:10: nginx\nnginx:x:102:\r\n",
        "99:x:700:77\n4294967296:x:0:\nnogid:x::nginx\nletters:x:abc:nginx\nbig:x:4294967296:nginx\nminus:x:-4:nginx\n",
        "short:x:20\nadm:x:40:\nmany:x:50:a,,b,last:x:y\n1005:x:0:\nthird:x:60:second,nginx\nlast:x:70:last",
    );

    /// What is asked; who that is: user, group, all groups, home, "-" where it is refused; and who it is for Docker, "="
    /// where that is the same. Docker's column is what moby/sys/user 0.5.0 answered to these very texts, with the home
    /// that runc then finds for the number. It differs where a number is missing or bad: Docker takes it for 0, which
    /// makes root of a torn line (of the remark in the first line, too, whose home is then root's); here such a line
    /// gives nobody anything. It differs in a group's member after a space, which glibc finds as well, and in a NUL.
    #[rustfmt::skip]
    const AS_DOCKER: &[(&str, &str, &str)] = &[
        ("", "0 0 0 /root", "0 0 0 /"),
        (":", "0 0 0 /root", "0 0 0 /"),
        ("root", "0 0 0 /root", "0 0 0 /"),
        ("nginx", "101 102 102,4,10,60 /var/nginx", "101 102 102,4,0,0,4294967296,-4,60 /var/nginx"),
        ("nginx:", "101 102 102,4,10,60 /var/nginx", "101 102 102,4,0,0,4294967296,-4,60 /var/nginx"),
        ("101", "101 102 102,4,10,60 /var/nginx", "101 102 102,4,0,0,4294967296,-4,60 /var/nginx"),
        ("+101", "101 102 102,4,10,60 /var/nginx", "101 102 102,4,0,0,4294967296,-4,60 /var/nginx"),
        ("0000101", "101 102 102,4,10,60 /var/nginx", "101 102 102,4,0,0,4294967296,-4,60 /var/nginx"),
        ("nginx:adm", "101 4 4 /var/nginx", "="),
        ("nginx:4242", "101 4242 4242 /var/nginx", "="),
        ("nginx:0004", "101 4 4 /var/nginx", "="),
        ("1234:5678", "1234 5678 5678 /", "="),
        ("1234", "1234 0 0 /", "="),
        ("1234:adm", "1234 4 4 /", "="),
        (":adm", "0 4 4 /root", "0 4 4 /"),
        (":4242", "0 4242 4242 /root", "0 4242 4242 /"),
        ("nohome", "7 8 8 /", "="),
        ("spaces", "9 9 9 /spaces", "="),
        ("77", "77 0 0 /", "="),
        ("99:99", "99 99 99 /", "="),
        ("1000", "1000 0 0 /", "="),
        ("500", "500 501 501,700 /digits", "="),
        ("501", "501 501 501 /second", "="),
        ("0", "0 0 0 /root", "0 0 0 /"),
        ("1000:4294967296", "-", "="),
        ("4294967296", "-", "="),
        ("1:4294967296", "-", "="),
        ("2147483647", "2147483647 0 0 /", "="),
        ("2147483648", "-", "="),
        ("1:2147483648", "-", "="),
        ("4294967295", "-", "="),
        ("18446744073709551616", "-", "="),
        ("99999999999999999999", "-", "="),
        ("-1", "-", "="),
        ("1:-1", "-", "="),
        ("-0", "0 0 0 /root", "0 0 0 /"),
        ("0x10", "-", "="),
        (" 1", "-", "="),
        ("1 ", "-", "="),
        ("1.0", "-", "="),
        ("1e3", "-", "="),
        ("٣", "-", "="),
        ("nobody", "-", "="),
        ("NGINX", "-", "="),
        ("nginx:nogroup", "-", "="),
        ("nginx:ADM", "-", "="),
        ("nogid", "-", "1001 0 0 /"),
        ("1001", "1001 0 0 /", "="),
        ("noid", "-", "0 0 0 /"),
        ("letters", "-", "0 0 0 /"),
        ("big", "-", "4294967296 4294967296 4294967296 -"),
        ("minus", "-", "-1 -1 -1 -"),
        ("zeros", "1002 1002 1002 /zeros", "="),
        ("1002", "1002 1002 1002 /zeros", "="),
        ("second", "101 103 103,60 /var/nginx", "="),
        ("half", "-", "1003 0 0 /"),
        ("1003", "1003 0 0 /", "="),
        ("1004", "1004 0 0 /", "1004 1004 1004 /nul"),
        ("last", "1005 1005 1005,50,70 /last", "="),
        ("1005", "1005 1005 1005,50,70 /last", "="),
        ("last:last", "1005 70 70 /last", "="),
        ("last:1005", "1005 1005 1005 /last", "="),
        ("nginx:nogid", "-", "101 0 0 /var/nginx"),
        ("nginx:letters", "-", "101 0 0 /var/nginx"),
        ("nginx:big", "-", "101 4294967296 4294967296 /var/nginx"),
        ("nginx:minus", "-", "101 -4 -4 /var/nginx"),
        ("nginx:short", "101 20 20 /var/nginx", "="),
        ("nginx:many", "101 50 50 /var/nginx", "="),
        ("nginx:99", "101 99 99 /var/nginx", "="),
        ("#", "-", "="),
        ("# comment", "-", "0 0 0 /"),
        ("+", "-", "0 0 0 /"),
        ("-nis", "5 5 5 /", "="),
        ("broken", "-", "0 0 0 /"),
        ("1:2:3", "-", "="),
        ("nginx:adm:x", "-", "="),
        ("a:b", "-", "="),
    ];

    #[test]
    fn as_docker_does_but_for_torn_lines() {
        for (spec, ours, theirs) in AS_DOCKER {
            assert_eq!(said(spec), *ours, "{spec:?}");
            assert_ne!(ours, theirs, "{spec:?}: = says so");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_as_a_program_is_with_a_reason() {
        let range = "is out of range: numbers go from 0 to 2147483647";
        let bad = "of the image's /etc/passwd has a number that is missing, or not one from 0 to 2147483647";
        for (spec, why) in [
            ("4294967296", format!("user 4294967296 {range}")),
            ("1:4294967296", format!("group 4294967296 {range}")),
            ("-1", format!("user -1 {range}")),
            ("nobody", "user \"nobody\" is not in the image's /etc/passwd".to_owned()),
            ("root:none", "group \"none\" is not in the image's /etc/group".to_owned()),
            ("big", format!("user \"big\" {bad}")),
        ] {
            assert_eq!(resolve(spec, PASSWD, GROUP), Err(Failure { code: 126, text: why }), "{spec:?}");
        }
    }

    #[test]
    fn an_image_without_passwd_has_root_and_numbers() {
        let root = User { uid: 0, gid: 0, groups: vec![0], home: "/".into() };
        assert_eq!(resolve("", "", ""), Ok(root));
        assert_eq!(resolve("1000:0", "", "").map(|user| (user.uid, user.gid)), Ok((1000, 0)));
        assert!(resolve("root", "", "").is_err());
    }

    #[test]
    fn whatever_stands_there_instead_of_a_file_has_no_entries() {
        let folder = std::env::temp_dir().join(format!("inferno-passwd-{}", std::process::id()));
        fs::create_dir_all(folder.join("folder")).unwrap();
        fs::write(folder.join("file"), "text").unwrap();
        symlink("file", folder.join("link")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        assert!(Command::new("mkfifo").arg(folder.join("fifo")).status().unwrap().success());
        for (name, found) in
            [("file", "text"), ("link", "text"), ("folder", ""), ("fifo", ""), ("loop", ""), ("none", "")]
        {
            assert_eq!(read(&folder.join(name)).unwrap_or_default(), found.as_bytes(), "{name}");
        }
        assert_eq!(read(Path::new("/dev/zero")).unwrap(), b"");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn of_an_endless_file_the_whole_lines_count() {
        let file = std::env::temp_dir().join(format!("inferno-endless-{}", std::process::id()));
        let line = "u:x:1000:1000::/:\n";
        let text = line.repeat(usize::try_from(MAX_BYTES).unwrap() / line.len() + 1);
        fs::write(&file, &text).unwrap();
        let found = String::from_utf8(read(&file).unwrap()).unwrap();
        assert!(found.len() > text.len() / 2 && found.lines().all(|found| found == line.trim_end()));
        fs::write(&file, vec![b'x'; text.len()]).unwrap();
        assert_eq!(read(&file).unwrap(), b"", "one line that never ends");
        fs::remove_file(file).unwrap();
    }

    fn said(spec: &str) -> String {
        let Ok(user) = resolve(spec, PASSWD, GROUP) else { return "-".into() };
        let groups: Vec<_> = user.groups.iter().map(u32::to_string).collect();
        format!("{} {} {} {}", user.uid, user.gid, groups.join(","), user.home)
    }
}
