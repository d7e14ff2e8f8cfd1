//! Firecracker as a child: started, listened to, ended.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::collector::Collector;
use crate::config::Program;
use crate::host_log::{Entry, Level, Message, Source};
use crate::lines::{Line, Lines, Overlong};
use crate::ring::LineRing;
use crate::sys;

/// The longest piece of a console line that goes into one entry.
pub(crate) const MAX_CONSOLE_LINE_BYTES: usize = 16 * 1024;

/// What of a line of the console is shown: the host takes no exit_status.json over 16 KiB, and a pipe holds 64.
pub(crate) const MAX_SHOWN_CHARS: usize = 500;

/// Why there is no VMM.
#[derive(Debug)]
pub enum Error {
    /// fork or exec.
    Spawn(String, io::Error),
    /// The descriptors to watch it by.
    Watch(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(path, error) => write!(out, "cannot start {path}: {error}"),
            Self::Watch(error) => write!(out, "cannot watch firecracker: {error}"),
        }
    }
}

/// Firecracker, its two pipes and its last words.
#[derive(Debug)]
pub struct Vmm {
    child: Child,
    pidfd: OwnedFd,
    ended: Option<ExitStatus>,
    outputs: [Output; 2],
    console: LineRing,
}

#[derive(Debug)]
struct Output {
    pipe: Option<File>,
    lines: Lines,
    is_stderr: bool,
}

impl Vmm {
    /// Starts Firecracker with pipes of its own: it sets O_NONBLOCK on its stdout, which must not be kiln's.
    pub fn spawn(program: &Program, console_bytes: usize) -> Result<Self, Error> {
        let mut command = Command::new(&program.path);
        // Standard input is inherited: fd 0 is /dev/null, and the jail has no such file to open.
        command.args(&program.args).env_clear().stdin(Stdio::inherit());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::make_dependent(&mut command);
        let path = program.path.display().to_string();
        let mut child = command.spawn().map_err(|error| Error::Spawn(path, error))?;
        let stdout = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let pipes = [stdout, stderr];
        let watched = pipes
            .iter()
            .flatten()
            .try_for_each(sys::set_nonblocking)
            .and_then(|()| sys::pidfd(child.id()))
            .map_err(Error::Watch);
        let pidfd = watched.inspect_err(|_| drop(child.kill()))?;
        let [stdout, stderr] = pipes;
        let output = |pipe, is_stderr| Output {
            pipe,
            lines: Lines::new(MAX_CONSOLE_LINE_BYTES, Overlong::Split),
            is_stderr,
        };
        let outputs = [output(stdout, false), output(stderr, true)];
        Ok(Self { child, pidfd, ended: None, outputs, console: LineRing::new(console_bytes) })
    }

    /// Its PID on the host.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The descriptor that becomes readable at its end; none after `reap`.
    pub fn pidfd(&self) -> Option<i32> {
        self.ended.is_none().then(|| self.pidfd.as_raw_fd())
    }

    /// The pipes that are still open.
    pub fn pipes(&self) -> impl Iterator<Item = i32> {
        self.outputs.iter().filter_map(|output| output.pipe.as_ref().map(AsRawFd::as_raw_fd))
    }

    /// How it ended, once `reap` has seen it.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.ended
    }

    /// Looks whether it ended.
    pub fn reap(&mut self) {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
    }

    /// Ends it: SIGKILL, since Firecracker handles no other signal and its state is not worth saving.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Forwards what the pipes hold, one read each.
    pub fn read(&mut self, collector: &mut Collector) {
        for output in &mut self.outputs {
            output.read(&mut self.console, collector);
        }
    }

    /// The last lines of both pipes, safe to show on a terminal, and short.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let shown = |line: &String| printable(line).chars().take(MAX_SHOWN_CHARS).collect();
        self.console.last(count).iter().map(shown).collect()
    }

    /// Why a VM ended that sent no report.
    pub fn reason(&self, status: ExitStatus) -> String {
        let lines = self.last_lines(usize::MAX);
        let after =
            |mark: &str| lines.iter().rev().find_map(|line| line.split_once(mark)).map(|(_, rest)| rest);
        let (what, detail) = match (status.code(), status.signal()) {
            (Some(0), _) => match after("Kernel panic - ") {
                Some(words) => ("kernel panic".to_owned(), Some(words)),
                None => {
                    ("the guest was restarted from inside, without a report of its process".to_owned(), None)
                }
            },
            (Some(code), _) => (
                format!("firecracker ended with {code} ({})", meaning(code)),
                after(" error: ").or(lines.last().map(String::as_str)),
            ),
            (None, signal) => (format!("firecracker was killed by signal {}", signal.unwrap_or(0)), None),
        };
        detail.map_or(what.clone(), |line| format!("{what}: {line}"))
    }
}

impl Output {
    fn read(&mut self, console: &mut LineRing, collector: &mut Collector) {
        let mut bytes = [0; 4096];
        let Some(pipe) = &mut self.pipe else { return };
        let len = match pipe.read(&mut bytes) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => 0,
        };
        let is_stderr = self.is_stderr;
        let sink = |line: Line<'_>| keep_and_forward(&line, is_stderr, console, collector);
        if len > 0 {
            self.lines.feed(&bytes[..len], sink);
        } else {
            self.lines.finish(sink);
            self.pipe = None;
        }
    }
}

fn keep_and_forward(line: &Line<'_>, is_stderr: bool, console: &mut LineRing, collector: &mut Collector) {
    let (bytes, partial) = match line {
        Line::Whole(bytes) => (*bytes, false),
        Line::Piece(bytes) => (*bytes, true),
        Line::TooLong => return,
    };
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    if text.is_empty() && !partial {
        return;
    }
    let mut kept = text.as_bytes().to_vec();
    kept.push(b'\n');
    console.push(&kept);
    let (level, source) = match (is_stderr, is_firecrackers(text)) {
        (true, _) => (Level::Error, Source::Firecracker),
        (false, true) => (Level::Info, Source::Firecracker),
        (false, false) => (Level::Info, Source::Kernel),
    };
    collector.push_console(&Entry { level, source, message: Message::Text(text), partial, dropped: None });
}

/// Firecracker's log shares its stdout with the guest's serial console: `2026-11-24T14:17:02.123456789 [id:main] …`.
/// A guest can write such lines on its console; they tell of no other VM, however they came there.
fn is_firecrackers(line: &str) -> bool {
    let Some((time, rest)) = line.split_once(' ') else {
        return false;
    };
    time.len() == 29 && time.as_bytes()[10] == b'T' && time.as_bytes()[19] == b'.' && rest.starts_with('[')
}

/// Text of the guest with nothing in it that could drive a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Firecracker's exit codes: `FcExitCode` in firecracker/src/vmm/src/lib.rs.
fn meaning(code: i32) -> &'static str {
    match code {
        1 => "it could not build the VM",
        134 => "it panicked",
        148 => "seccomp: a system call it may not make",
        149 => "SIGBUS",
        150 => "SIGSEGV",
        151 => "SIGXFSZ: a file over its size limit",
        152 => "bad configuration",
        153 => "bad arguments",
        154 => "SIGXCPU",
        155 => "SIGPIPE",
        156 => "SIGHUP",
        157 => "SIGILL",
        _ => "unexpected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firecrackers_lines_are_told_from_the_consoles() {
        assert!(is_firecrackers(
            "2026-11-24T14:17:02.123456789 [anonymous-instance:main] Running Firecracker v1.12.1"
        ));
        assert!(!is_firecrackers("[    0.000000] Linux version 6.12.117"));
        assert!(!is_firecrackers("2026-11-24T14:17:02.123456789"));
        assert!(!is_firecrackers(""));
    }

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{7}\u{9b}b"), "a\u{fffd}[2J\u{fffd}\u{fffd}b");
    }
}
