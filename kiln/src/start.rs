//! start.json: what holds for one start alone. kiln takes the run's id from it, and hands all of it on to init.
//!
//! Root writes it into the jail that each start lays out anew, and kiln reads it before there is a Firecracker, which
//! could replace it. It holds no secret: those come by another way (`secrets`).
#![forbid(unsafe_code)]

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config::{self, Error};
use crate::format;

/// The one that is read here.
pub const FORMAT: u32 = 2;
/// A bound for what is read, and what a new connection to the guest takes at once.
pub const MAX_BYTES: u64 = 64 * 1024;
/// The length of a ULID.
const RUN_CHARS: usize = 26;

/// start.json, read and checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The run's id, a ULID.
    pub run: String,
    /// Whether the starter has secrets to hand over.
    pub secrets: bool,
    /// The file, one line with its newline.
    pub line: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(rename = "format")]
    _format: u32,
    run: String,
    secrets: bool,
    // init's to read.
    #[serde(rename = "etc_resolv")]
    _etc_resolv: IgnoredAny,
    #[serde(rename = "etc_hosts")]
    _etc_hosts: IgnoredAny,
}

impl Start {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(config::read(path, MAX_BYTES)?, path)
    }

    /// Checks a text, which is that of a file of this name.
    pub fn parse(line: Vec<u8>, path: &Path) -> Result<Self, Error> {
        let invalid = |what: String| Error::Invalid(path.into(), what);
        format::check(&line, FORMAT).map_err(invalid)?;
        let Fields { run, secrets, .. } =
            serde_json::from_slice(&line).map_err(|error| Error::Parse(path.into(), error))?;
        if run.len() != RUN_CHARS || !run.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
            return Err(invalid(format!("run is {run:?}, not a ULID")));
        }
        if line.iter().position(|byte| *byte == b'\n') != Some(line.len() - 1) {
            return Err(invalid("it is not one line".into()));
        }
        Ok(Self { run, secrets, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/contract/start.json");

    fn parse(text: &str) -> Result<Start, String> {
        Start::parse(text.into(), Path::new("/start.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_the_golden_file() {
        let start = parse(GOLDEN).unwrap();
        assert_eq!(start.run, "01JD8ZM0G7C4R1X6B9T2W5Y8HE");
        assert_eq!(start.line, GOLDEN.as_bytes());
        assert!(!start.secrets);
        assert!(parse(&GOLDEN.replace("false", "true")).unwrap().secrets);
    }

    #[test]
    fn every_field_is_required_and_no_other_is_known() {
        let golden: serde_json::Map<String, serde_json::Value> = serde_json::from_str(GOLDEN).unwrap();
        let line = |fields: &serde_json::Map<_, _>| serde_json::to_string(fields).unwrap() + "\n";
        assert!(parse(&line(&golden)).is_ok());
        for key in golden.keys() {
            let mut less = golden.clone();
            less.remove(key);
            let error = parse(&line(&less)).unwrap_err();
            let missing = format!("missing field `{key}`");
            // Without a number it is of the first format.
            let says = if key == "format" { "it has format 1, and this kiln reads 2" } else { &missing };
            assert!(error.contains(says), "{error}");
        }
        let mut more = golden;
        more.insert("surprise".into(), 1.into());
        assert!(parse(&line(&more)).unwrap_err().contains("unknown field `surprise`"));
    }

    #[test]
    fn what_cannot_be_handed_on_is_refused() {
        for (from, to, says) in [
            ("\"format\":2", "\"format\":9", "it has format 9, and this kiln reads 2"),
            ("01JD8ZM0G7C4R1X6B9T2W5Y8HE", "web1", "not a ULID"),
            ("01JD8ZM0G7C4R1X6B9T2W5Y8HE", "01JD8ZM0G7C4R1X6B9T2W5Y8H\\\"", "not a ULID"),
            (",", ",\n", "not one line"),
            ("}\n", "}", "not one line"),
            ("}\n", "}\n{}\n", "trailing characters"),
        ] {
            assert!(GOLDEN.contains(from), "{from}");
            let error = parse(&GOLDEN.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
