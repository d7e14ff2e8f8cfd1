//! run.json: what the host asks of this guest. All fields are required, and none else is taken.
#![forbid(unsafe_code)]

use std::fs;
use std::net::Ipv4Addr;

use serde::{Deserialize, Deserializer};

use crate::failure::{Doing, Failure};
use crate::format;

/// Where the initrd holds it.
pub const PATH: &str = "/inferno/run.json";
/// The one that is read here.
pub const FORMAT: u32 = 2;

/// run.json. All fields are required, and no other is taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// `FORMAT`.
    pub format: u32,
    /// The VM's name.
    pub id: String,
    /// The guest's host name.
    pub hostname: String,
    /// For /etc/machine-id: 32 hexadecimal digits.
    pub machine_id: String,
    /// What to run.
    pub process: Process,
    /// Addresses of the interfaces.
    pub ips: Vec<Ip>,
    /// Where the root file system is.
    pub root: Root,
    /// Whether the root file system is for reading alone once the process starts.
    pub read_only: bool,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Folders that the image declares as volumes, absolute.
    pub volumes: Vec<String>,
    /// For /etc/hosts.
    pub etc_hosts: Vec<Host>,
    /// Lines for authorized_keys of the process's user.
    pub ssh_keys: Vec<String>,
    /// Files to write into the guest.
    pub files: Vec<File>,
    /// What to log.
    pub log: Log,
    /// Where output goes to.
    pub vsock_stdout_port: u32,
    /// Where the exit report goes to.
    pub vsock_exit_port: u32,
    /// Where init listens.
    pub vsock_api_port: u32,
}

/// The image's process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The program and its arguments; at least one.
    pub args: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// As Docker's: empty, or `NAME|UID[:GROUP|GID]`.
    pub user: String,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Whether it has a terminal, which controls its session.
    pub tty: bool,
    /// Whether a host may give it standard input. A terminal has that anyway.
    pub stdin: bool,
    /// Who is PID 1.
    pub init: Init,
}

/// Who is PID 1, as far as the image's process can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// The process where it is, or becomes, an init system; else this init.
    Auto,
    /// The process.
    Process,
    /// This init.
    Inferno,
}

/// A resource limit, setrlimit(2).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// Of what.
    pub name: Resource,
    /// What holds now; null is unlimited.
    #[serde(deserialize_with = "required")]
    pub soft: Option<u64>,
    /// What the process may raise it to.
    #[serde(deserialize_with = "required")]
    pub hard: Option<u64>,
}

/// What can be limited, by Docker's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "setrlimit(2) has them")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// A file system in memory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// Absolute; made when it is missing.
    pub path: String,
    /// Permission bits of its root; null are those of the directory that it covers, 1777 where there is none.
    #[serde(deserialize_with = "required")]
    pub mode: Option<u32>,
    /// `NAME=VALUE` each, for the file system: tmpfs(5).
    pub options: Vec<String>,
    /// What is otherwise than set-user-id bits, devices and programs being of no effect on it.
    pub flags: Vec<TmpfsFlag>,
}

/// A flag of mount(2), by the word of mount(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mount(8) has them")]
pub enum TmpfsFlag {
    Ro,
    Exec,
    Suid,
    Dev,
    Noatime,
    Nodiratime,
    Strictatime,
}

impl Tmpfs {
    fn is_sound(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'=' | b'%');
        self.path.starts_with('/')
            && !self.path.contains('\0')
            && self.mode.is_none_or(|mode| mode <= 0o7777)
            && self.options.iter().all(|option| option.bytes().all(is_plain))
    }
}

/// A nullable field that must be there: serde takes a missing `Option` for null otherwise.
pub fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// One address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ip {
    /// Name of the interface.
    pub interface: String,
    /// IPv4 address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, bits.
    pub prefix_len: u8,
    /// Gateway of the default route.
    pub gateway: Ipv4Addr,
}

/// The root file system.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Root {
    /// A shared read-only base and a writable layer of this run's own.
    Overlay {
        /// Device of the base.
        base: String,
        /// Its file system.
        base_fs: String,
        /// Device of the writable layer.
        scratch: String,
        /// Its file system.
        scratch_fs: String,
    },
    /// One writable device.
    Ext4 {
        /// The device.
        device: String,
    },
}

/// A line of /etc/hosts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its address.
    pub address: String,
    /// Its names.
    pub names: Vec<String>,
}

/// A file to write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute, inside the guest's root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its text.
    pub content: String,
}

/// What to log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Whether init tells its steps.
    pub debug: bool,
}

impl Run {
    /// Reads `PATH`.
    pub fn load() -> Result<Self, Failure> {
        Self::parse(&fs::read(PATH).doing(format_args!("read {PATH}"))?)
    }

    /// Reads a text.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        format::check(text, "run.json", FORMAT)?;
        let run: Self =
            serde_json::from_slice(text).map_err(|error| Failure::new(format!("run.json: {error}")))?;
        run.check()?;
        Ok(run)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.process.args.first().is_none_or(String::is_empty) {
            return Err(Failure::new("run.json: process.args names no program"));
        }
        if let Some(ip) = self.ips.iter().find(|ip| ip.prefix_len > 32) {
            return Err(Failure::new(format!("run.json: ips: prefix_len {} is over 32", ip.prefix_len)));
        }
        if let Some(file) = self.files.iter().find(|file| !file.path.starts_with('/') || file.mode > 0o7777) {
            return Err(Failure::new(format!("run.json: files: {:?}: bad path or mode", file.path)));
        }
        if self.machine_id.len() != 32
            || !self.machine_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(Failure::new("run.json: machine_id: not 32 hexadecimal digits"));
        }
        if self.ssh_keys.iter().any(|key| key.is_empty() || key.contains(['\n', '\r', '\0'])) {
            return Err(Failure::new("run.json: ssh_keys: not a line"));
        }
        if let Some(path) = self.volumes.iter().find(|path| !path.starts_with('/')) {
            return Err(Failure::new(format!("run.json: volumes: {path:?}: bad path")));
        }
        if let Some(one) = self.tmpfs.iter().find(|one| !one.is_sound()) {
            return Err(Failure::new(format!("run.json: tmpfs: {:?}: bad path, mode or option", one.path)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/contract/run.json");

    #[test]
    fn reads_the_golden_file() {
        let run = Run::parse(GOLDEN.as_bytes()).unwrap();
        assert_eq!(run.hostname, "web1");
        assert_eq!(run.process.env[1], "GREETING=grüß dich=1");
        assert_eq!(run.ips[0].gateway, Ipv4Addr::new(172, 16, 0, 1));
        assert_eq!(run.files[0].mode, 0o644);
        let limit = run.process.rlimits[0];
        assert_eq!((limit.name, limit.soft, limit.hard), (Resource::Nofile, Some(1024), None));
        assert!(run.read_only);
        assert_eq!(run.process.init, Init::Process);
        assert_eq!((run.tmpfs[0].mode, &run.tmpfs[0].flags[..]), (Some(0o750), &[TmpfsFlag::Exec][..]));
        assert_eq!(run.tmpfs[0].options, ["size=50%", "uid=1000"]);
        assert!(matches!(run.root, Root::Overlay { ref base_fs, .. } if base_fs == "erofs"));
    }

    #[test]
    fn takes_every_field_and_no_other() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let mut checked = 0;
        for pointer in [
            "",
            "/process",
            "/process/rlimits/0",
            "/ips/0",
            "/root",
            "/tmpfs/0",
            "/etc_hosts/0",
            "/files/0",
            "/log",
        ] {
            let fields = golden.pointer(pointer).unwrap().as_object().unwrap();
            for name in fields.keys() {
                let mut less = golden.clone();
                less.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
                assert!(Run::parse(less.to_string().as_bytes()).is_err(), "{pointer} without {name}");
                checked += 1;
            }
            let mut more = golden.clone();
            more.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("surprise".into(), 1.into());
            assert!(Run::parse(more.to_string().as_bytes()).is_err(), "{pointer} with a surprise");
        }
        assert_eq!(checked, 17 + 8 + 3 + 4 + 5 + 4 + 2 + 3 + 1);
    }

    #[test]
    fn a_device_root_has_one_device() {
        let mut value: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        value["root"] = serde_json::json!({"kind": "ext4", "device": "/dev/vda"});
        let run = Run::parse(value.to_string().as_bytes()).unwrap();
        assert!(matches!(run.root, Root::Ext4 { device } if device == "/dev/vda"));
    }

    #[test]
    fn another_format_is_named_as_such() {
        let another = GOLDEN.replace("\"format\": 2", "\"format\": 3");
        let refused = Run::parse(another.as_bytes()).unwrap_err();
        assert_eq!(refused.text, "run.json: it has format 3, and this init reads 2: create the VM again");
    }

    #[test]
    fn refuses_nothing_to_run() {
        let mut value: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        value["process"]["args"] = serde_json::json!([]);
        assert!(Run::parse(value.to_string().as_bytes()).is_err());
    }

    #[test]
    fn there_are_three_answers_to_who_is_pid_1() {
        for (word, init) in [("auto", Init::Auto), ("process", Init::Process), ("inferno", Init::Inferno)] {
            let text = GOLDEN.replace("\"init\": \"process\"", &format!("\"init\": \"{word}\""));
            assert_eq!(Run::parse(text.as_bytes()).unwrap().process.init, init);
        }
        assert!(Run::parse(GOLDEN.replace("\"process\"\n", "\"tini\"\n").as_bytes()).is_err());
    }

    #[test]
    fn an_option_of_a_tmpfs_is_one() {
        let mut value: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for (name, bad) in [
            ("path", "cache".into()),
            ("path", "/a\0".into()),
            ("mode", 0o10000.into()),
            ("options", serde_json::json!(["size=1,uid=0"])),
            ("flags", serde_json::json!(["bind"])),
        ] {
            let good = value["tmpfs"][0][name].take();
            value["tmpfs"][0][name] = bad;
            assert!(Run::parse(value.to_string().as_bytes()).is_err(), "{name}");
            value["tmpfs"][0][name] = good;
        }
    }

    #[test]
    fn a_machine_id_is_plain() {
        let mut value: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for id in ["", "0123456789abcdef0123456789abcdeF", "0123456789abcdef0123456789abcdef0"] {
            value["machine_id"] = id.into();
            assert!(Run::parse(value.to_string().as_bytes()).is_err(), "{id}");
        }
    }

    #[test]
    fn a_key_is_one_line() {
        let mut value: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for keys in [serde_json::json!([""]), serde_json::json!(["ssh-ed25519 A\nssh-ed25519 B"])] {
            value["ssh_keys"] = keys;
            assert!(Run::parse(value.to_string().as_bytes()).is_err());
        }
    }
}
