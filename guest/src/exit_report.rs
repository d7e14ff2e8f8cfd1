//! How the image's process ended, as kiln is told it: the body of `POST /exit`, tests/contract/exit_report.json.
#![forbid(unsafe_code)]

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Serialize;

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

    #[test]
    fn writes_the_golden_exit_report() {
        let report = ExitReport { exit_code: Some(42), ..ExitReport::default() };
        let value = |bytes| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(value(&report.to_json()), value(include_bytes!("../../tests/contract/exit_report.json")));
    }
}
