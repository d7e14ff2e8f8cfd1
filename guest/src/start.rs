//! start.json: what holds for one start alone. kiln sends it, one line, as soon as init has connected to its log.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde::Deserialize;

use crate::failure::Failure;
use crate::format;
use crate::host_lines::{self, HostLines};
use crate::run::Host;

/// The one that is read here.
pub const FORMAT: u32 = 2;

/// start.json. All fields are required, and no other is taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// `FORMAT`.
    pub format: u32,
    /// The run's id, a ULID: kiln writes it into the log.
    pub run: String,
    /// Whether secrets follow, as the next line.
    pub secrets: bool,
    /// For /etc/resolv.conf.
    pub etc_resolv: Resolv,
    /// For /etc/hosts, before the guest's own lines: the first line for a name holds.
    pub etc_hosts: Vec<Host>,
}

/// /etc/resolv.conf.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolv {
    /// Addresses.
    pub nameservers: Vec<String>,
    /// Domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

impl Start {
    /// Waits so long for it: the first line that kiln says.
    pub fn receive(lines: &mut HostLines, patience: Duration) -> Result<Self, Failure> {
        Self::parse(&lines.await_line("start.json", host_lines::MAX_BYTES, patience)?)
    }

    /// Reads a text.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        format::check(text, "start.json", FORMAT)?;
        serde_json::from_slice(text).map_err(|error| Failure::new(format!("start.json: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    const GOLDEN: &str = include_str!("../../tests/contract/start.json");
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    /// init's end of the log connection, and kiln's.
    fn pair() -> (HostLines, UnixStream) {
        let (ours, kilns) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (HostLines::new(File::from(OwnedFd::from(ours))), kilns)
    }

    #[test]
    fn reads_the_golden_file_however_it_arrives() {
        let (mut log, mut kiln) = pair();
        let sender = thread::spawn(move || {
            for byte in GOLDEN.as_bytes() {
                kiln.write_all(&[*byte]).unwrap();
            }
            kiln
        });
        let start = Start::receive(&mut log, LONG).unwrap();
        drop(sender.join().unwrap());
        assert_eq!(start.run, "01JD8ZM0G7C4R1X6B9T2W5Y8HE");
        assert_eq!(start.etc_resolv.nameservers, ["9.9.9.9"]);
        assert_eq!((start.etc_resolv.search.len(), start.etc_resolv.options.len()), (1, 1));
        assert_eq!(start.etc_hosts[0].names, ["db"]);
    }

    #[test]
    fn what_kiln_says_next_is_kept_for_later() {
        let (mut log, mut kiln) = pair();
        kiln.write_all(format!("{GOLDEN}{{\"clock_us\":1}}\n{{").as_bytes()).unwrap();
        assert_eq!(Start::receive(&mut log, LONG).unwrap().run, "01JD8ZM0G7C4R1X6B9T2W5Y8HE");
        assert_eq!(log.next_line().unwrap().unwrap(), b"{\"clock_us\":1}\n");
        assert!(log.next_line().unwrap().is_none(), "it is not whole");
        kiln.write_all(b"}\n").unwrap();
        assert_eq!(log.next_line().unwrap().unwrap(), b"{}\n");
        drop(kiln);
        assert!(log.fd().is_some() && log.next_line().is_err());
        assert!(log.fd().is_none() && log.next_line().unwrap().is_none(), "an end is told once");
    }

    #[test]
    fn takes_every_field_and_no_other() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        for pointer in ["", "/etc_resolv", "/etc_hosts/0"] {
            for name in golden.pointer(pointer).unwrap().as_object().unwrap().keys() {
                let mut less = golden.clone();
                less.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
                assert!(Start::parse(less.to_string().as_bytes()).is_err(), "{pointer} without {name}");
            }
            let mut more = golden.clone();
            more.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("surprise".into(), 1.into());
            assert!(Start::parse(more.to_string().as_bytes()).is_err(), "{pointer} with a surprise");
        }
    }

    #[test]
    fn what_never_comes_or_never_ends_is_said() {
        let (mut log, kiln) = pair();
        assert_eq!(
            Start::receive(&mut log, Duration::ZERO).unwrap_err().text,
            "start.json: kiln sent none within 0 s"
        );
        drop(kiln);
        assert_eq!(Start::receive(&mut log, LONG).unwrap_err().text, "start.json: kiln ended the connection");
        let (mut log, mut kiln) = pair();
        kiln.write_all(&vec![b' '; host_lines::MAX_BYTES + 1]).unwrap();
        assert_eq!(Start::receive(&mut log, LONG).unwrap_err().text, "start.json: it is over 64 KiB");
        let (mut log, mut kiln) = pair();
        kiln.write_all(b"{\"format\":3}\n").unwrap();
        assert_eq!(
            Start::receive(&mut log, LONG).unwrap_err().text,
            "start.json: it has format 3, and this init reads 2: create the VM again"
        );
    }
}
