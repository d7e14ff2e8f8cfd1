//! The records that init writes: lines of the log connection, and the exit report.
#![forbid(unsafe_code)]

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Serialize;

use crate::base64;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// This program.
    Init,
}

/// One line of the log connection.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Record<'a> {
    Hello {
        key: &'a str,
    },
    Log {
        source: Source,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_b64: Option<String>,
        partial: bool,
    },
    Started {
        pid: i32,
    },
    End,
}

/// The first record: who sends this key with an exit report is init.
pub fn hello(key: &str) -> Vec<u8> {
    line(&Record::Hello { key })
}

/// The last record. Firecracker passes no half-closed connection on, so it is said in words.
pub fn end() -> Vec<u8> {
    line(&Record::End)
}

/// A line of output, or a piece of one when `partial`; bytes that are not UTF-8 go as base64.
pub fn log(source: Source, payload: &[u8], partial: bool) -> Vec<u8> {
    let text = std::str::from_utf8(payload).ok();
    let message_b64 = text.is_none().then(|| base64::encode(payload));
    line(&Record::Log { source, message: text, message_b64, partial })
}

/// The process was executed.
pub fn started(pid: i32) -> Vec<u8> {
    line(&Record::Started { pid })
}

fn line(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(record).expect("strings and numbers always serialise");
    bytes.push(b'\n');
    bytes
}

/// How the image's process ended, or why there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExitReport {
    /// Its exit code, when it exited.
    pub exit_code: Option<u8>,
    /// The signal that killed it, when one did.
    pub signal: Option<u8>,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
    /// Why it could not be started, or the kernel's line about why it killed it.
    pub error: Option<String>,
}

/// A process's exit code, or the signal that killed it.
pub fn ending(status: ExitStatus) -> (Option<u8>, Option<u8>) {
    let byte = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
    (byte(status.code()), byte(status.signal()))
}

impl ExitReport {
    /// As it crosses.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn value(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn writes_the_golden_log() {
        let golden = include_str!("../../tests/contract/guest_log.ndjson");
        let written = [
            hello("00112233445566778899aabbccddeeff"),
            log(Source::Init, b"root: overlay of /dev/vda and /dev/vdb", false),
            started(42),
            log(Source::Stdout, "grüß dich".as_bytes(), false),
            log(Source::Stderr, &[0xff, 0xfe], false),
            log(Source::Stdout, b"first half ", true),
            end(),
        ];
        assert_eq!(golden.lines().count(), written.len());
        for (golden, written) in golden.lines().zip(written) {
            assert_eq!(value(golden.as_bytes()), value(&written));
            assert_eq!(written.iter().position(|byte| *byte == b'\n'), Some(written.len() - 1));
        }
    }

    #[test]
    fn writes_the_golden_exit_report() {
        let report = ExitReport { exit_code: Some(42), ..ExitReport::default() };
        assert_eq!(value(&report.to_json()), value(include_bytes!("../../tests/contract/exit_report.json")));
    }

    #[test]
    fn control_characters_stay_inside_their_line() {
        let bytes = log(Source::Stdout, b"a\0b\x1b[31m\r", false);
        assert_eq!(value(&bytes)["message"], "a\0b\x1b[31m\r");
    }
}
