//! exit_status.json: how the VM and its process ended.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// What the file's name has more until all of it is written.
pub(crate) const UNFINISHED_SUFFIX: &str = ".tmp";

/// The file, in the order of tests/contract/exit_status.json.
#[derive(Debug, Serialize)]
pub struct ExitStatus {
    /// Firecracker's exit code.
    pub vm_exit_code: Option<u8>,
    /// The signal that ended Firecracker.
    pub vm_signal: Option<i32>,
    /// Why the VM ended, when it did not end well.
    pub vm_error: Option<String>,
    /// The process's exit code.
    pub exit_code: Option<u8>,
    /// The signal that ended the process.
    pub signal: Option<u8>,
    /// Whether the guest's kernel killed it for memory.
    pub oom_killed: bool,
    /// Why the process could not be started, or the kernel's line about why it killed it.
    pub error: Option<String>,
    /// When the process was executed.
    pub started_at: Option<String>,
    /// When the process ended, or else the VM.
    pub exited_at: Option<String>,
}

impl ExitStatus {
    /// Writes the file whole or not at all.
    ///
    /// Not synced: it tells of a run whose jail is derived data, and a host that lost power lost the run too.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(UNFINISHED_SUFFIX);
        let _ = fs::remove_file(&temporary);
        fs::File::create_new(&temporary)?.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_golden_file_byte_for_byte() {
        let status = ExitStatus {
            vm_exit_code: Some(0),
            vm_signal: None,
            vm_error: None,
            exit_code: None,
            signal: Some(15),
            oom_killed: false,
            error: None,
            started_at: Some("2026-11-24T14:17:02.123456Z".into()),
            exited_at: Some("2026-11-24T14:17:09.000001Z".into()),
        };
        let directory = std::env::temp_dir().join(format!("kiln-status-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("exit_status.json");
        fs::write(&path, "what an earlier run left").unwrap();
        status.write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let left: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(text, include_str!("../../tests/contract/exit_status.json"));
        assert_eq!(left, ["exit_status.json"]);
    }
}
