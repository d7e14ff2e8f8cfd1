//! What became of the VM and its process: gathered while it runs, told three ways (file, exit code, reason).
#![forbid(unsafe_code)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::exit_report::{CODE_NO_PROCESS, ExitReport};
use crate::exit_status::ExitStatus;
use crate::vmm::{Vmm, printable};

/// Lines of the console that go with the reason of a failed start.
const LAST_LINES: usize = 20;
/// As a shell shows a process that was killed: what `docker kill` leaves.
const CODE_KILLED: u8 = 128 + 9;

/// How the VM and its process ended, as far as is known.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When the process was executed.
    pub started_at: Option<Timestamp>,
    /// Why kiln killed Firecracker, if it did.
    pub killed_because: Option<String>,
    exited_at: Option<Timestamp>,
    report: Option<ExitReport>,
    vm_exit_code: Option<u8>,
    vm_signal: Option<i32>,
    vm_error: Option<String>,
    last_lines: Vec<String>,
}

impl Outcome {
    /// There was no VM at all.
    pub fn not_begun(reason: String) -> Self {
        Self { vm_error: Some(reason), exited_at: Some(Timestamp::now()), ..Self::default() }
    }

    /// Init told how the process ended.
    pub fn reported(&mut self, report: ExitReport) {
        self.exited_at = Some(Timestamp::now());
        self.report = Some(report);
    }

    /// The VM ended.
    pub fn vmm_ended(&mut self, vmm: &Vmm) {
        self.exited_at.get_or_insert_with(Timestamp::now);
        self.last_lines = vmm.last_lines(LAST_LINES);
        if let Some(status) = vmm.ended() {
            self.vm_exit_code = status.code().and_then(|code| u8::try_from(code).ok());
            self.vm_signal = status.signal();
            if self.report.is_none() || !status.success() {
                self.vm_error = Some(vmm.reason(status));
            }
        }
        if self.killed_because.is_some() {
            self.vm_error.clone_from(&self.killed_because);
        }
    }

    /// kiln's own exit code.
    pub fn code(&self) -> u8 {
        match (&self.report, &self.killed_because) {
            (Some(report), _) => report.code(),
            (None, Some(_)) => CODE_KILLED,
            (None, None) => CODE_NO_PROCESS,
        }
    }

    /// Why the process never ran, in one line; `None` when it did run.
    pub fn failed_start(&self) -> Option<String> {
        if self.started_at.is_some() {
            return None;
        }
        let said = self.report.as_ref().and_then(|report| report.error.as_ref());
        let unsaid = || format!("the guest reported exit code {} before the process started", self.code());
        Some(match (said, &self.vm_error) {
            (Some(error), _) => printable(error),
            (None, Some(error)) => error.clone(),
            (None, None) => unsaid(),
        })
    }

    /// The last lines of the console, safe to show; none when init told the reason itself.
    pub fn last_lines(&self) -> &[String] {
        let is_told = self.report.as_ref().is_some_and(|report| report.error.is_some());
        if is_told { &[] } else { &self.last_lines }
    }

    /// Writes exit_status.json; the error is one line.
    pub fn record(&self, path: &Path) -> Result<(), String> {
        self.status().write(path).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// The file's content.
    pub fn status(&self) -> ExitStatus {
        let report = self.report.as_ref();
        ExitStatus {
            vm_exit_code: self.vm_exit_code,
            vm_signal: self.vm_signal,
            vm_error: self.vm_error.clone(),
            exit_code: report.and_then(|report| report.exit_code),
            signal: report.and_then(|report| report.signal),
            oom_killed: report.is_some_and(|report| report.oom_killed),
            error: report.and_then(|report| report.error.as_deref().map(printable)),
            started_at: self.started_at.map(|at| at.to_string()),
            exited_at: self.exited_at.map(|at| at.to_string()),
        }
    }
}

/// From now on a panic, which takes the VM with it, leaves its reason in exit_status.json: nobody reads what it says.
pub fn record_panics(path: PathBuf) {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let reason = printable(&format!("kiln {info}").replace('\n', " "));
        let _ = Outcome::not_begun(reason).record(&path);
        say(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_its_reason() {
        let path = std::env::temp_dir().join(format!("kiln-panic-{}.json", std::process::id()));
        let before = std::panic::take_hook();
        record_panics(path.clone());
        let panicked = std::panic::catch_unwind(|| panic!("on\npurpose")).is_err();
        std::panic::set_hook(before);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(panicked);
        assert!(text.contains("\"vm_error\": \"kiln panicked at kiln/src/run_outcome.rs:"), "{text}");
        assert!(text.contains(" on purpose\""), "{text}");
    }
}
