//! What init sends on the log connection, one JSON object per line: tests/contract/guest_log.ndjson.
//!
//! The bytes come from a guest that may be hostile: every bound of the contract is checked here.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::host_log::{Entry, Level, Message, Source};

/// The longest payload init puts into one record.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// The longest line: such a payload when JSON writes each byte as `\u0001`, and the fields around it.
pub const MAX_RECORD_BYTES: usize = 6 * MAX_PAYLOAD_BYTES + 256;

/// The length of the key that tells init's exit report from any other.
const KEY_DIGITS: usize = 32;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The first: who sends this key with an exit report is init.
    Hello {
        /// Hexadecimal digits.
        key: Cow<'a, str>,
    },
    /// A line of output, or a piece of one.
    Log {
        /// Which stream it came from.
        source: Source,
        /// The text.
        message: Payload<'a>,
        /// Whether the line goes on in the next record.
        partial: bool,
    },
    /// The image's process was executed.
    Started {
        /// Its PID in the guest.
        pid: u32,
    },
    /// The last: init has no more to say. Firecracker tells of no half-closed connection, so it is said in words.
    End,
}

/// The text of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes that are not UTF-8, in base64.
    Base64(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    message_b64: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    partial: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pid: Option<u32>,
    #[serde(borrow, default, deserialize_with = "present")]
    key: Option<Cow<'a, str>>,
}

/// A field that may be absent but, unlike with a bare `Option`, not null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl<'a> Record<'a> {
    /// Reads one line; the error says in a few words what is wrong, and holds nothing of the guest's bytes.
    pub fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        let raw: Raw<'a> = serde_json::from_slice(line).map_err(|_| "not an object of the known fields")?;
        let Raw { kind, source, message, message_b64, partial, pid, key } = raw;
        let is_bare = message.is_none() && message_b64.is_none();
        match (kind.as_ref(), source, partial, pid, key) {
            ("log", Some(source), Some(partial), None, None) => {
                let source = guest_source(&source).ok_or("unknown source")?;
                Ok(Self::Log { source, message: payload(message, message_b64)?, partial })
            }
            ("started", None, None, Some(pid), None) if is_bare => Ok(Self::Started { pid }),
            ("hello", None, None, None, Some(key)) if is_bare && is_key(&key) => Ok(Self::Hello { key }),
            ("end", None, None, None, None) if is_bare => Ok(Self::End),
            _ => Err("unknown type, or not its fields"),
        }
    }
}

fn is_key(text: &str) -> bool {
    text.len() == KEY_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Payload<'_> {
    /// The line for the host that a record of this source becomes.
    pub fn entry(&self, source: Source, partial: bool) -> Entry<'_> {
        let level = if source == Source::Stderr { Level::Warn } else { Level::Info };
        let message = match self {
            Self::Text(text) => Message::Text(text),
            Self::Base64(text) => Message::Base64(text),
        };
        Entry { level, source, message, partial, dropped: None }
    }
}

fn guest_source(name: &str) -> Option<Source> {
    match name {
        "stdout" => Some(Source::Stdout),
        "stderr" => Some(Source::Stderr),
        "init" => Some(Source::Init),
        _ => None,
    }
}

fn payload<'a>(
    text: Option<Cow<'a, str>>,
    base64: Option<Cow<'a, str>>,
) -> Result<Payload<'a>, &'static str> {
    match (text, base64) {
        (Some(text), None) if text.len() <= MAX_PAYLOAD_BYTES => Ok(Payload::Text(text)),
        (None, Some(base64)) if base64.len() <= MAX_PAYLOAD_BYTES.div_ceil(3) * 4 => {
            if is_base64(base64.as_bytes()) { Ok(Payload::Base64(base64)) } else { Err("not base64") }
        }
        (Some(_), None) | (None, Some(_)) => Err("payload too long"),
        _ => Err("not exactly one of message and message_b64"),
    }
}

/// The standard alphabet, padded: RFC 4648, section 4.
fn is_base64(text: &[u8]) -> bool {
    let body = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    text.len() % 4 == 0 && body.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/contract/guest_log.ndjson");

    fn log(source: Source, text: &str, partial: bool) -> Record<'_> {
        Record::Log { source, message: Payload::Text(text.into()), partial }
    }

    #[test]
    fn reads_the_golden_records() {
        let records: Vec<Record<'_>> =
            GOLDEN.lines().map(|line| Record::parse(line.as_bytes()).unwrap()).collect();
        assert_eq!(
            records,
            [
                Record::Hello { key: "00112233445566778899aabbccddeeff".into() },
                log(Source::Init, "root: overlay of /dev/vda and /dev/vdb", false),
                Record::Started { pid: 42 },
                log(Source::Stdout, "grüß dich", false),
                Record::Log {
                    source: Source::Stderr,
                    message: Payload::Base64("//4=".into()),
                    partial: false
                },
                log(Source::Stdout, "first half ", true),
                Record::End,
            ]
        );
    }

    #[test]
    fn what_the_contract_does_not_hold_is_refused() {
        for line in [
            "",
            "{}",
            "[]",
            "null",
            "\u{feff}{}",
            r#"{"type":"log","source":"kiln","message":"forged","partial":false}"#,
            r#"{"type":"log","source":"kernel","message":"forged","partial":false}"#,
            r#"{"type":"log","source":"stdout","message":"x"}"#,
            r#"{"type":"log","source":"stdout","partial":false}"#,
            r#"{"type":"log","source":"stdout","message":null,"partial":false}"#,
            r#"{"type":"log","source":"stdout","message":"x","message_b64":"eA==","partial":false}"#,
            r#"{"type":"log","source":"stdout","message":"x","message":"y","partial":false}"#,
            r#"{"type":"log","source":"stdout","message":"x","partial":false,"vm_id":"other"}"#,
            r#"{"type":"log","source":"stdout","message":"x","partial":false,"timestamp":"1970"}"#,
            r#"{"type":"log","source":"stdout","message":"x","partial":false,"pid":1}"#,
            r#"{"type":"log","source":"stdout","message":"x","partial":"false"}"#,
            r#"{"type":"log","source":"stdout","message":"x","partial":false} {}"#,
            r#"{"type":"log","source":"stdout","message_b64":"//4","partial":false}"#,
            r#"{"type":"log","source":"stdout","message_b64":"/ 4=","partial":false}"#,
            r#"{"type":"log","source":"stdout","message_b64":"====","partial":false}"#,
            r#"{"type":"started"}"#,
            r#"{"type":"started","pid":-1}"#,
            r#"{"type":"started","pid":1,"message":"x"}"#,
            r#"{"type":"stopped","pid":1}"#,
            r#"{"type":"end","pid":1}"#,
            r#"{"type":"hello"}"#,
            r#"{"type":"hello","key":""}"#,
            r#"{"type":"hello","key":"00112233445566778899AABBCCDDEEFF"}"#,
            r#"{"type":"hello","key":"00112233445566778899aabbccddeeff0"}"#,
            r#"{"type":"started","pid":1,"key":"00112233445566778899aabbccddeeff"}"#,
        ] {
            assert!(Record::parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(
            Record::parse(b"{\"type\":\"log\",\"source\":\"stdout\",\"message\":\"\xff\",\"partial\":false}")
                .is_err()
        );
    }

    #[test]
    fn payloads_up_to_the_limit_fit_whatever_they_hold() {
        let line = |text: &str| {
            format!(
                r#"{{"type":"log","source":"stdout","message":{},"partial":false}}"#,
                serde_json::json!(text)
            )
        };
        let longest = line(&"\u{1}".repeat(MAX_PAYLOAD_BYTES));
        assert!(longest.len() <= MAX_RECORD_BYTES);
        assert!(Record::parse(longest.as_bytes()).is_ok());
        assert_eq!(
            Record::parse(line(&"x".repeat(MAX_PAYLOAD_BYTES + 1)).as_bytes()),
            Err("payload too long")
        );
    }

    #[test]
    fn stderr_is_a_warning() {
        let text = Payload::Text("x".into());
        assert_eq!(text.entry(Source::Stderr, false).level, Level::Warn);
        assert_eq!(text.entry(Source::Stdout, true).level, Level::Info);
        assert!(text.entry(Source::Init, true).partial);
    }
}
