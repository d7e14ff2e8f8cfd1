//! What init writes to the log connection, one JSON object per line: tests/contract/guest_log.ndjson.
#![forbid(unsafe_code)]

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
    fn control_characters_stay_inside_their_line() {
        let bytes = log(Source::Stdout, b"a\0b\x1b[31m\r", false);
        assert_eq!(value(&bytes)["message"], "a\0b\x1b[31m\r");
    }
}
