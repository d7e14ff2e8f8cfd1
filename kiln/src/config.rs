//! kiln.json and kiln's arguments, read strictly: every field required, unknown fields refused, no defaults.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::format;

/// The one that is read here.
pub const FORMAT: u32 = 3;
/// Far above any real kiln.json; a bound only so that nothing unbounded is read.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;
/// Rings are memory that every VM may cost.
const MAX_RING_KIB: usize = 16 * 1024;

/// kiln.json; paths are as seen inside the jail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `FORMAT`.
    pub format: u32,
    /// The VM's version, a ULID; also the jailer's `--id`.
    pub id: String,
    /// The program to supervise.
    pub firecracker: Program,
    /// Firecracker's vsock socket; kiln listens on this path with `_<port>` appended.
    pub vsock_uds_path: PathBuf,
    /// The vsock port on which init sends log records.
    pub vsock_stdout_port: u32,
    /// The vsock port on which init reports the process's end.
    pub vsock_exit_port: u32,
    /// The collector's socket; may be absent, or replaced at any time.
    pub log_socket_path: PathBuf,
    /// The starter's datagram socket; may be absent.
    pub notify_socket_path: PathBuf,
    /// Where the outcome is written.
    pub exit_status_path: PathBuf,
    /// What to log.
    pub log: Log,
    /// How much of the console is kept for the reason of a failed start, KiB.
    pub console_ring_kib: usize,
    /// How many log lines are kept while the collector does not take them, KiB.
    pub log_ring_kib: usize,
}

/// A program and its arguments, without argv[0].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
}

/// What to log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Whether kiln's own steps are logged too.
    pub debug: bool,
}

/// Why kiln could not take up its work.
#[derive(Debug)]
pub enum Error {
    /// An argument that needs a value has none, or one that is not UTF-8.
    Argument(&'static str),
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file is not what it has to be.
    Parse(PathBuf, serde_json::Error),
    /// A field has a value that cannot work.
    Invalid(PathBuf, String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => write!(out, "{name}: a value is missing"),
            Self::Read(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Parse(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Invalid(path, what) => write!(out, "{}: {what}", path.display()),
        }
    }
}

/// A file's bytes, which must not be more than `most`.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let len = File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut text))
        .map_err(|error| Error::Read(path.into(), error))?;
    if len as u64 > most {
        return Err(Error::Invalid(path.into(), format!("it is over {} KiB", most / 1024)));
    }
    Ok(text)
}

/// The `--id` that the jailer passed on. Its other arguments are clock readings, and later versions may add more.
pub fn jail_id(args: impl Iterator<Item = OsString>) -> Result<String, Error> {
    let mut rest = args.skip_while(|arg| arg != "--id").skip(1);
    rest.next().and_then(|id| id.into_string().ok()).ok_or(Error::Argument("--id"))
}

impl Config {
    /// Reads and checks kiln.json for the jail `id`.
    pub fn read(path: &Path, id: &str) -> Result<Self, Error> {
        Self::parse(&read(path, MAX_CONFIG_BYTES)?, path, id)
    }

    /// Reads and checks a text, which is that of a file of this name.
    pub fn parse(text: &[u8], path: &Path, id: &str) -> Result<Self, Error> {
        let invalid = |what| Error::Invalid(path.into(), what);
        format::check(text, FORMAT).map_err(invalid)?;
        let config: Self = serde_json::from_slice(text).map_err(|error| Error::Parse(path.into(), error))?;
        config.check(id).map_err(invalid)?;
        Ok(config)
    }

    fn check(&self, id: &str) -> Result<(), String> {
        if self.id != id {
            return Err(format!("id is {:?}, but the jail is {id:?}", self.id));
        }
        if self.vsock_stdout_port == self.vsock_exit_port {
            return Err("vsock_stdout_port and vsock_exit_port are the same".into());
        }
        for (name, path) in [
            ("firecracker.path", &self.firecracker.path),
            ("vsock_uds_path", &self.vsock_uds_path),
            ("log_socket_path", &self.log_socket_path),
            ("notify_socket_path", &self.notify_socket_path),
            ("exit_status_path", &self.exit_status_path),
        ] {
            if !path.is_absolute() || path.file_name().is_none() {
                return Err(format!("{name} is not an absolute path of a file"));
            }
        }
        for (name, kib) in [("console_ring_kib", self.console_ring_kib), ("log_ring_kib", self.log_ring_kib)]
        {
            if !(1..=MAX_RING_KIB).contains(&kib) {
                return Err(format!("{name} is {kib}, not 1 to {MAX_RING_KIB}"));
            }
        }
        Ok(())
    }

    /// The socket on which the guest's connections to a vsock port arrive.
    pub fn port_socket(&self, port: u32) -> PathBuf {
        let mut path = self.vsock_uds_path.clone().into_os_string();
        path.push(format!("_{port}"));
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/contract/kiln.json");
    const ID: &str = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text.as_bytes(), Path::new("/kiln.json"), ID).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_the_golden_file() {
        let config = parse(GOLDEN).unwrap();
        assert_eq!(config.firecracker.path, Path::new("/firecracker"));
        assert_eq!(config.firecracker.args[0], "--id");
        assert_eq!(config.port_socket(config.vsock_stdout_port), Path::new("/control.sock_10000"));
        assert_eq!(config.port_socket(config.vsock_exit_port), Path::new("/control.sock_10001"));
        assert_eq!((config.console_ring_kib, config.log_ring_kib, config.log.debug), (64, 256, false));
    }

    #[test]
    fn every_field_is_required_and_no_other_is_known() {
        let golden: serde_json::Map<String, serde_json::Value> = serde_json::from_str(GOLDEN).unwrap();
        for key in golden.keys() {
            let mut less = golden.clone();
            less.remove(key);
            let error = parse(&serde_json::to_string(&less).unwrap()).unwrap_err();
            let missing = format!("missing field `{key}`");
            // Without a number it is of the first format.
            let says = if key == "format" { "it has format 1, and this kiln reads 3" } else { &missing };
            assert!(error.contains(says), "{error}");
        }
        let mut more = golden;
        more.insert("surprise".into(), true.into());
        let error = parse(&serde_json::to_string(&more).unwrap()).unwrap_err();
        assert!(error.contains("unknown field `surprise`"), "{error}");
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (from, to, says) in [
            ("\"format\": 3", "\"format\": 4", "it has format 4, and this kiln reads 3: create the VM again"),
            ("X8Y0AB\",\n  \"fire", "X8Y0AC\",\n  \"fire", "but the jail is"),
            ("10001", "10000", "are the same"),
            ("\"/exit_status.json\"", "\"exit_status.json\"", "exit_status_path is not an absolute"),
            ("\"console_ring_kib\": 64", "\"console_ring_kib\": 0", "console_ring_kib is 0"),
            ("\"log_ring_kib\": 256", "\"log_ring_kib\": 99999", "log_ring_kib is 99999"),
        ] {
            assert!(GOLDEN.contains(from), "{from}");
            let error = parse(&GOLDEN.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_id_is_found_among_what_the_jailer_passes() {
        let args = |list: &[&str]| jail_id(list.iter().map(OsString::from).collect::<Vec<_>>().into_iter());
        let jailer =
            ["/kiln", "--id", "A", "--start-time-us", "1", "--start-time-cpu-us", "2", "--new-thing", "3"];
        assert_eq!(args(&jailer).unwrap(), "A");
        assert!(args(&["/kiln"]).is_err());
        assert!(args(&["/kiln", "--id"]).is_err());
    }
}
