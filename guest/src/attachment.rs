//! One host at the image's process: it sees what that writes, and gives it input. One that goes away from a terminal is
//! not missed; one that had the standard input ends that. Output goes to the log all the same: docs/guest-api.md.
#![forbid(unsafe_code)]

use std::fs::File;
use std::process::ExitStatus;

use crate::api::Size;
use crate::exit_report::ending;
use crate::frame::{self, FromHost, Malformed, Output};
use crate::http;
use crate::input::Input;
use crate::peer::Peer;
use crate::sys::{self, PollFd};

/// A host that watches the image's process, its stream, and what of it is still to be sent.
#[derive(Debug)]
pub struct Attachment {
    host: Option<Peer>,
    pid: i32,
    terminal: Option<File>,
    input: Input,
    ended: Option<ExitStatus>,
    is_told: bool,
}

impl Attachment {
    /// To the terminal of this process.
    pub fn to_terminal(socket: File, terminal: File, pid: i32) -> std::io::Result<Self> {
        let input = Input::new(Some(terminal.try_clone()?), true);
        Ok(Self { terminal: Some(terminal), ..Self::to_pipe(socket, input, pid) })
    }

    /// To this process, the pipe to whose standard input becomes this host's.
    pub fn to_pipe(socket: File, input: Input, pid: i32) -> Self {
        let mut first = http::switching(frame::PROTOCOL);
        input.begin(&mut first);
        let host = Some(Peer::new(socket, first));
        Self { host, pid, terminal: None, input, ended: None, is_told: false }
    }

    /// Gives the terminal, if there is one, the size of the host's.
    pub fn resize(&self, size: Size) {
        if let Some(terminal) = &self.terminal {
            let _ = sys::resize_terminal(terminal, size.rows, size.cols);
        }
    }

    /// Whether the host is gone.
    pub fn is_over(&self) -> bool {
        self.host.is_none()
    }

    /// Whether the host has all that there is to say, or is gone.
    pub fn is_told(&self) -> bool {
        self.host.as_ref().is_none_or(|host| self.is_told && host.is_sent())
    }

    /// Whether more may be shown to it.
    pub fn has_room(&self) -> bool {
        self.host.as_ref().is_none_or(Peer::has_room)
    }

    /// What to poll.
    pub fn interests(&self, fds: &mut Vec<PollFd>) {
        fds.extend(self.host.as_ref().map(Peer::interest));
        fds.extend(self.input.interest());
    }

    /// The process wrote this.
    pub fn show(&mut self, output: Output, bytes: &[u8]) {
        if let Some(host) = &mut self.host {
            host.append(|out| {
                bytes.chunks(frame::MAX_PAYLOAD_BYTES).for_each(|part| frame::output(out, output, part));
            });
        }
    }

    /// The process ended.
    pub fn on_end(&mut self, status: ExitStatus) {
        self.ended = Some(status);
    }

    /// All that was written is shown: if the process ended, that comes next.
    pub fn tell_end(&mut self) {
        if let (Some(host), Some(status), false) = (&mut self.host, self.ended, self.is_told) {
            let (exit_code, signal) = ending(status);
            host.append(|out| frame::exit(out, exit_code, signal));
            self.is_told = true;
        }
    }

    /// Goes as far as it can; `is_ready` tells what poll said of a descriptor.
    pub fn advance(&mut self, is_ready: impl Fn(i32) -> bool) {
        let is_heard = self.host.as_ref().is_some_and(|host| is_ready(host.fd()));
        if is_heard && self.listen().is_err() {
            self.host = None;
        }
        let Some(host) = &mut self.host else { return };
        self.input.write();
        self.input.grant(host);
        if host.send().is_err() {
            self.host = None;
        }
    }

    fn listen(&mut self) -> Result<(), Malformed> {
        let Some(host) = &mut self.host else { return Ok(()) };
        let (input, terminal, pid) = (&mut self.input, self.terminal.as_ref(), self.pid);
        let (is_told, has_ended) = (self.is_told, self.ended.is_some());
        host.listen(|frame| {
            match frame {
                // It was on its way when the end was.
                FromHost::Stdin(_) if is_told => {}
                FromHost::Signal(_) if has_ended => {}
                FromHost::Stdin(bytes) => input.take(bytes)?,
                FromHost::StdinEnd => input.end(),
                FromHost::Resize { rows, cols } => {
                    if let Some(terminal) = terminal {
                        let _ = sys::resize_terminal(terminal, rows, cols);
                    }
                }
                FromHost::Signal(signal) => drop(sys::kill(pid, signal)),
                // As when it goes away: the process goes on anyway. What was typed before is the process's, as far as it
                // takes it now.
                FromHost::Detach => {
                    input.write();
                    return Err(Malformed);
                }
            }
            Ok(())
        })
    }
}
