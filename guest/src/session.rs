//! One stream: a process whose standard input, output and end are the host's, framed over one connection.
//!
//! Nothing here waits and nothing grows: the process's output is read only while little of it is unsent, and the host
//! sends only as much input as it was given leave for. When the host goes away, so does the process, unless the host said
//! that it leaves: then the process keeps its terminal, and what it writes there is thrown away.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::process::ExitStatus;
use std::time::Instant;

use crate::durations::Durations;
use crate::exit_report::ending;
use crate::frame::{self, FromHost, Malformed, Output};
use crate::http;
use crate::input::Input;
use crate::peer::{Passed, Peer};
use crate::sys::{self, PollFd, Started};

const READ_BYTES: usize = 16 * 1024;

/// A command of the host's and the stream that it is run over.
#[derive(Debug)]
pub struct Session {
    host: Option<Peer>,
    pid: i32,
    ended: Option<ExitStatus>,
    input: Input,
    outputs: Vec<(File, Output)>,
    terminal: Option<File>,
    durations: Durations,
    deadline: Option<Instant>,
    is_told: bool,
    is_left: bool,
}

impl Session {
    /// For a process that was just started; `socket` is non-blocking.
    pub fn new(socket: File, started: Started, durations: Durations) -> Self {
        let Started { pid, stdin, stdout, stderr, terminal } = started;
        // Only the processes have the other side open now, so that their end is the terminal's.
        let terminal = terminal.map(|terminal| terminal.master);
        let clone = |master: &File| master.try_clone().ok();
        let out = terminal.as_ref().and_then(clone).or(stdout.map(File::from));
        let pipe = terminal.as_ref().and_then(clone).or(stdin.map(File::from));
        let err = stderr.map(File::from);
        let outputs: Vec<_> = out
            .map(|file| (file, Output::Stdout))
            .into_iter()
            .chain(err.map(|file| (file, Output::Stderr)))
            .collect();
        for (file, _) in &outputs {
            // Takes a flag of an open descriptor, which cannot fail.
            let _ = sys::set_nonblocking(file);
        }
        let input = Input::new(pipe, terminal.is_some());
        let mut first = http::switching(frame::PROTOCOL);
        input.begin(&mut first);
        let host = Some(Peer::new(socket, first));
        let (ended, deadline) = (None, None);
        let (is_told, is_left) = (false, false);
        Self { host, pid, ended, input, outputs, terminal, durations, deadline, is_told, is_left }
    }

    /// Whether its process, which has not ended yet, is this one.
    pub fn is_of(&self, pid: i32) -> bool {
        self.pid == pid && self.ended.is_none()
    }

    /// Whether nothing is left to do: the process ended, and the host is gone or was told and hung up.
    pub fn is_over(&self) -> bool {
        self.ended.is_some() && self.host.is_none()
    }

    /// Whether the host has, or will never have, all that there is to say.
    pub fn is_told(&self) -> bool {
        self.ended.is_some() && self.host.as_ref().is_none_or(|host| self.is_told && host.is_sent())
    }

    /// When time changes something here; while the host takes nothing, nothing does.
    pub fn deadline(&self) -> Option<Instant> {
        if self.host.as_ref().is_none_or(Peer::has_room) { self.deadline } else { None }
    }

    /// What to poll.
    pub fn interests(&self, fds: &mut Vec<PollFd>) {
        if self.host.is_none() && !self.is_left {
            return;
        }
        fds.extend(self.host.as_ref().map(Peer::interest));
        fds.extend(self.input.interest());
        if self.host.as_ref().is_none_or(Peer::has_room) {
            let read =
                |(file, _): &(File, Output)| PollFd { fd: file.as_raw_fd(), events: sys::POLLIN, revents: 0 };
            fds.extend(self.outputs.iter().map(read));
        }
    }

    /// The process ended.
    pub fn on_end(&mut self, status: ExitStatus) {
        self.ended = Some(status);
        self.deadline = self.terminal.is_some().then(|| Instant::now() + self.durations.terminal);
    }

    /// The image's process ended. A shell at its terminal takes no notice of the SIGTERM that all get.
    pub fn on_machine_end(&self) {
        if self.terminal.is_some() && self.ended.is_none() {
            let _ = sys::kill(-self.pid, sys::SIGHUP);
        }
    }

    /// Goes as far as it can; `is_ready` tells what poll said of a descriptor.
    pub fn advance(&mut self, is_ready: impl Fn(i32) -> bool) {
        if self.host.as_ref().is_some_and(|host| is_ready(host.fd())) && self.listen().is_err() {
            self.hang_up();
        }
        if self.is_left {
            self.go_on_alone(is_ready);
            return;
        }
        let Some(host) = &mut self.host else {
            self.insist();
            return;
        };
        self.input.write();
        self.input.grant(host);
        self.outputs.retain_mut(|(file, output)| {
            !is_ready(file.as_raw_fd()) || !host.has_room() || host.pass_on(file, *output) != Passed::End
        });
        self.tell_end();
        if self.host.as_mut().is_some_and(|host| host.send().is_err()) {
            self.hang_up();
        }
    }

    /// Takes what the host sent. An error: it is gone, or does not keep to the protocol.
    fn listen(&mut self) -> Result<(), Malformed> {
        let Some(host) = &mut self.host else { return Ok(()) };
        let (input, terminal, pid) = (&mut self.input, self.terminal.as_ref(), self.pid);
        let (is_told, has_ended, is_left) = (self.is_told, self.ended.is_some(), &mut self.is_left);
        host.listen(|frame| {
            match frame {
                // It was on its way when the end was.
                FromHost::Stdin(_) | FromHost::Detach if is_told => {}
                FromHost::Stdin(bytes) => input.take(bytes)?,
                FromHost::StdinEnd => input.end(),
                FromHost::Resize { rows, cols } => {
                    if let Some(terminal) = terminal {
                        let _ = sys::resize_terminal(terminal, rows, cols);
                    }
                }
                FromHost::Signal(signal) if !has_ended => drop(sys::kill(-pid, signal)),
                FromHost::Signal(_) => {}
                // A pipe that nobody reads any more would end the process.
                FromHost::Detach if terminal.is_none() => return Err(Malformed),
                FromHost::Detach => *is_left = true,
            }
            Ok(())
        })?;
        if self.is_left {
            self.host = None; // The host sees by it that this was heard.
        }
        Ok(())
    }

    /// What was typed before the host left still arrives; what the process writes is thrown away, so that it never waits.
    fn go_on_alone(&mut self, is_ready: impl Fn(i32) -> bool) {
        self.input.write();
        self.outputs.retain_mut(|(file, _)| {
            !is_ready(file.as_raw_fd())
                || match file.read(&mut [0; READ_BYTES]) {
                    Ok(len) => len > 0,
                    Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
                }
        });
    }

    /// Once the process ended, passes on what it left in its pipes, then how it ended. Others that hold the pipes
    /// open are not waited for.
    fn tell_end(&mut self) {
        let (Some(host), Some(status)) = (&mut self.host, self.ended) else { return };
        if self.is_told {
            return;
        }
        let has_time = self.deadline.is_some_and(|at| at > Instant::now());
        self.outputs.retain_mut(|(file, output)| {
            loop {
                if !host.has_room() {
                    return true;
                }
                match host.pass_on(file, *output) {
                    Passed::Some => {}
                    // A terminal's last bytes come by way of a kernel thread, and its end after them.
                    Passed::Nothing => return has_time,
                    Passed::End => return false,
                }
            }
        });
        if self.outputs.is_empty() {
            let (exit_code, signal) = ending(status);
            host.append(|out| frame::exit(out, exit_code, signal));
            self.is_told = true;
            self.deadline = None;
            self.input.close();
            self.terminal = None;
        }
    }

    /// The host went away: as when a terminal's line is cut.
    fn hang_up(&mut self) {
        self.host = None;
        self.input.close();
        self.outputs.clear();
        self.terminal = None;
        self.deadline = None;
        if self.ended.is_none() {
            let _ = sys::kill(-self.pid, sys::SIGHUP);
            // One that is stopped would not notice.
            let _ = sys::kill(-self.pid, sys::SIGCONT);
            self.deadline = Some(Instant::now() + self.durations.stream);
        }
    }

    fn insist(&mut self) {
        if self.ended.is_none() && self.deadline.is_some_and(|at| at <= Instant::now()) {
            let _ = sys::kill(-self.pid, sys::SIGKILL);
            self.deadline = None;
        }
    }
}
