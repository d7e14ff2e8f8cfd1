//! The lines that kiln sends to the host's collector: NDJSON, in the bytes of tests/contract/host_log.ndjson.
#![forbid(unsafe_code)]

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The first line of a connection: tests/contract/log_protocol.json.
pub const HELLO: &[u8] = b"{\"protocol\": \"inferno-log/2\"}\n";
/// What a collector that speaks the same answers, as its first number.
pub const VERSION: usize = 2;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// kiln's own steps, only when asked for.
    Debug,
    /// What the process and the kernel say.
    Info,
    /// What deserves a look.
    Warn,
    /// What went wrong.
    Error,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The image's process.
    Stdout,
    /// The image's process.
    Stderr,
    /// PID 1 of the guest.
    Init,
    /// The guest's serial console.
    Kernel,
    /// This program.
    Kiln,
    /// The VMM.
    Firecracker,
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes that are not UTF-8, in base64 already.
    Base64(&'a str),
}

/// Whose line it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The VM's version, a ULID.
    pub vm_id: String,
    /// The run's id, a ULID.
    pub run: String,
}

/// One line, but for its time and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// How much it matters.
    pub level: Level,
    /// Who said it.
    pub source: Source,
    /// What was said.
    pub message: Message<'a>,
    /// Whether the line goes on in the next entry.
    pub partial: bool,
    /// How many lines are missing here.
    pub dropped: Option<u64>,
}

impl<'a> Entry<'a> {
    /// A whole line of text.
    pub fn text(level: Level, source: Source, text: &'a str) -> Self {
        Self { level, source, message: Message::Text(text), partial: false, dropped: None }
    }

    /// Appends the entry to `out` as one line of JSON with its newline.
    pub fn write(&self, out: &mut Vec<u8>, at: Timestamp, origin: &Origin) {
        let (key, payload) = match self.message {
            Message::Text(text) => ("message", text),
            Message::Base64(text) => ("message_b64", text),
        };
        let _ = write!(out, "{{\"timestamp\": \"{at}\", \"level\": ");
        append(out, &self.level);
        out.extend_from_slice(b", \"source\": ");
        append(out, &self.source);
        out.extend_from_slice(b", \"vm_id\": ");
        append(out, &origin.vm_id);
        out.extend_from_slice(b", \"run\": ");
        append(out, &origin.run);
        let _ = write!(out, ", \"{key}\": ");
        append(out, payload);
        if self.partial {
            out.extend_from_slice(b", \"partial\": true");
        }
        if let Some(lines) = self.dropped {
            let _ = write!(out, ", \"dropped\": {lines}");
        }
        out.extend_from_slice(b"}\n");
    }
}

fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("text and unit variants always serialise, and a Vec takes all");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};

    const GOLDEN: &str = include_str!("../../tests/contract/host_log.ndjson");

    fn write(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        let origin =
            Origin { vm_id: "01JD8ZK3V5N9Q2R7T4W6X8Y0AB".into(), run: "01JD8ZM0G7C4R1X6B9T2W5Y8HE".into() };
        entry.write(&mut out, Timestamp::now(), &origin);
        String::from_utf8(out).unwrap()
    }

    fn without_time(line: &str) -> &str {
        line.split_once(", ").unwrap().1.trim_end()
    }

    #[test]
    fn writes_the_golden_lines_byte_for_byte() {
        assert_eq!(GOLDEN.lines().count(), 4);
        for golden in GOLDEN.lines() {
            let fields: Map<String, Value> = serde_json::from_str(golden).unwrap();
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let message = text("message").map(Message::Text);
            let entry = Entry {
                level: serde_json::from_value(fields["level"].clone()).unwrap(),
                source: serde_json::from_value(fields["source"].clone()).unwrap(),
                message: message.or(text("message_b64").map(Message::Base64)).unwrap(),
                partial: fields.get("partial").is_some_and(|value| value == true),
                dropped: fields.get("dropped").and_then(Value::as_u64),
            };
            let written = write(&entry);
            assert_eq!(without_time(&written), without_time(golden));
            assert_eq!(written.find(", "), golden.find(", "), "the timestamp has the same length");
        }
    }

    #[test]
    fn the_hello_is_the_golden_one() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/contract/log_protocol.json")).unwrap();
        assert_eq!(HELLO, golden["hello"].as_str().unwrap().as_bytes());
        assert_eq!(golden["answer"], format!("{:08x}", u32::try_from(VERSION).unwrap().swap_bytes()));
    }

    #[test]
    fn a_message_cannot_end_its_line() {
        let line = write(&Entry::text(Level::Info, Source::Stdout, "a\n\"},{\u{0}\u{1b}[31m\u{2028}"));
        assert_eq!(line.matches('\n').count(), 1);
        let back: Map<String, Value> = serde_json::from_str(&line).unwrap();
        assert_eq!(back["message"], "a\n\"},{\u{0}\u{1b}[31m\u{2028}");
    }
}
