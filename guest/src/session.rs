//! One stream: a process whose standard input, output and end are the host's, framed over one connection.
//!
//! Nothing here waits and nothing grows: the process's output is read only while little of it is unsent, and the host
//! sends only as much input as it was given leave for. When the host goes away, so does the process.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::frame::{self, FromHost, Malformed, Output};
use crate::http;
use crate::record::ending;
use crate::sys::{self, PollFd, Started};

/// Standard input that may be on its way or waiting for the process.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Leave is given anew in pieces no smaller than this, unless all was taken.
const GRANT_BYTES: u32 = 16 * 1024;
/// Above this no more output is read, so that the process waits for the host.
const HIGH_WATER_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// How long a terminal may take to come to its end after its process did.
const TERMINAL_DRAIN: Duration = Duration::from_secs(1);
/// What a terminal in its usual mode takes for the end of input: VEOF, Control-D.
const END_OF_INPUT: u8 = 4;

/// See the module.
#[derive(Debug)]
pub struct Session {
    host: Option<Host>,
    pid: i32,
    ended: Option<ExitStatus>,
    input: Input,
    outputs: Vec<(File, Output)>,
    terminal: Option<File>,
    grace: Duration,
    deadline: Option<Instant>,
    is_told: bool,
}

/// The connection, and what is on its way.
#[derive(Debug)]
struct Host {
    socket: File,
    received: Vec<u8>,
    unsent: VecDeque<u8>,
}

/// The process's standard input.
#[derive(Debug)]
struct Input {
    pipe: Option<File>,
    waiting: VecDeque<u8>,
    /// What the host may still send.
    window: u32,
    /// What was taken since leave was last given.
    taken: u32,
    is_over: bool,
}

impl Session {
    /// For a process that was just started; `socket` is non-blocking. `grace` is how long it may outlive the host.
    pub fn new(socket: File, started: Started, grace: Duration) -> Self {
        let Started { pid, stdin, stdout, stderr, terminal } = started;
        let clone = |master: &File| master.try_clone().ok();
        let out = terminal.as_ref().and_then(clone).or(stdout.map(File::from));
        let pipe = terminal.as_ref().and_then(clone).or(stdin.map(File::from));
        let err = stderr.map(File::from);
        let outputs: Vec<_> = out
            .map(|file| (file, Output::Stdout))
            .into_iter()
            .chain(err.map(|file| (file, Output::Stderr)))
            .collect();
        for file in outputs.iter().map(|(file, _)| file).chain(&pipe) {
            // Takes a flag of an open descriptor, which cannot fail.
            let _ = sys::set_nonblocking(file);
        }
        let mut first = http::switching(frame::PROTOCOL);
        let window = if pipe.is_some() { WINDOW_BYTES } else { 0 };
        if window > 0 {
            frame::window(&mut first, window);
        }
        let host = Host { socket, received: Vec::new(), unsent: first.into() };
        let input = Input { pipe, waiting: VecDeque::new(), window, taken: 0, is_over: false };
        let (ended, deadline) = (None, None);
        Self { host: Some(host), pid, ended, input, outputs, terminal, grace, deadline, is_told: false }
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
        self.ended.is_some() && self.host.as_ref().is_none_or(|host| self.is_told && host.unsent.is_empty())
    }

    /// When time changes something here; while the host takes nothing, nothing does.
    pub fn deadline(&self) -> Option<Instant> {
        if self.host.as_ref().is_none_or(Host::has_room) { self.deadline } else { None }
    }

    /// What to poll.
    pub fn interests(&self, fds: &mut Vec<PollFd>) {
        let Some(host) = &self.host else { return };
        let mut add = |file: &File, events| fds.push(PollFd { fd: file.as_raw_fd(), events, revents: 0 });
        add(&host.socket, if host.unsent.is_empty() { sys::POLLIN } else { sys::POLLIN | sys::POLLOUT });
        if let (Some(pipe), false) = (&self.input.pipe, self.input.waiting.is_empty()) {
            add(pipe, sys::POLLOUT);
        }
        if host.has_room() {
            self.outputs.iter().for_each(|(file, _)| add(file, sys::POLLIN));
        }
    }

    /// The process ended.
    pub fn on_end(&mut self, status: ExitStatus) {
        self.ended = Some(status);
        self.deadline = self.terminal.is_some().then(|| Instant::now() + TERMINAL_DRAIN);
    }

    /// The image's process ended. A shell at its terminal takes no notice of the SIGTERM that all get.
    pub fn on_machine_end(&self) {
        if self.terminal.is_some() && self.ended.is_none() {
            let _ = sys::kill(-self.pid, sys::SIGHUP);
        }
    }

    /// Goes as far as it can; `is_ready` tells what poll said of a descriptor.
    pub fn advance(&mut self, is_ready: impl Fn(i32) -> bool) {
        if self.host.as_ref().is_some_and(|host| is_ready(host.socket.as_raw_fd())) && self.listen().is_err()
        {
            self.hang_up();
        }
        let Some(host) = &mut self.host else {
            self.insist();
            return;
        };
        self.input.write();
        self.input.grant(&mut host.unsent);
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
        let mut chunk = [0; READ_BYTES];
        match host.socket.read(&mut chunk) {
            Ok(0) => return Err(Malformed),
            Ok(len) => host.received.extend_from_slice(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(Malformed),
        }
        let mut read = 0;
        while let Some((frame, len)) = frame::parse(&host.received[read..])? {
            match frame {
                // It was on its way when the end was.
                FromHost::Stdin(_) if self.is_told => {}
                FromHost::Stdin(bytes) => self.input.take(bytes)?,
                FromHost::StdinEnd => self.input.end(self.terminal.is_some()),
                FromHost::Resize { rows, cols } => {
                    if let Some(terminal) = &self.terminal {
                        let _ = sys::resize_terminal(terminal, rows, cols);
                    }
                }
                FromHost::Signal(signal) if self.ended.is_none() => drop(sys::kill(-self.pid, signal)),
                FromHost::Signal(_) => {}
            }
            read += len;
        }
        host.received.drain(..read);
        Ok(())
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
            self.input.pipe = None;
            self.terminal = None;
        }
    }

    /// The host went away: as when a terminal's line is cut.
    fn hang_up(&mut self) {
        self.host = None;
        self.input.pipe = None;
        self.outputs.clear();
        self.terminal = None;
        self.deadline = None;
        if self.ended.is_none() {
            let _ = sys::kill(-self.pid, sys::SIGHUP);
            // One that is stopped would not notice.
            let _ = sys::kill(-self.pid, sys::SIGCONT);
            self.deadline = Some(Instant::now() + self.grace);
        }
    }

    fn insist(&mut self) {
        if self.ended.is_none() && self.deadline.is_some_and(|at| at <= Instant::now()) {
            let _ = sys::kill(-self.pid, sys::SIGKILL);
            self.deadline = None;
        }
    }
}

/// What became of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    Some,
    Nothing,
    End,
}

impl Host {
    fn has_room(&self) -> bool {
        self.unsent.len() < HIGH_WATER_BYTES
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.unsent.extend(bytes);
    }

    fn pass_on(&mut self, file: &mut File, output: Output) -> Passed {
        let mut chunk = [0; READ_BYTES];
        match file.read(&mut chunk) {
            Ok(len) if len > 0 => {
                self.append(|out| frame::output(out, output, &chunk[..len]));
                Passed::Some
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Passed::Nothing
            }
            // A terminal whose other side is closed says EIO.
            _ => Passed::End,
        }
    }

    fn send(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            let bytes = self.unsent.as_slices().0;
            match self.socket.write(&bytes[..bytes.len().min(sys::VSOCK_WRITE_BYTES)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Input {
    /// Takes bytes in, for which the host must have had leave.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let len = u32::try_from(bytes.len()).map_err(|_| Malformed)?;
        self.window = self.window.checked_sub(len).ok_or(Malformed)?;
        if self.is_over {
            return Err(Malformed);
        }
        self.waiting.extend(bytes);
        Ok(())
    }

    fn end(&mut self, is_terminal: bool) {
        if is_terminal && !self.is_over {
            self.waiting.push_back(END_OF_INPUT);
        }
        self.is_over = true;
    }

    /// Gives the process what it takes. One that reads no more costs the host nothing: the rest is thrown away.
    fn write(&mut self) {
        while !self.waiting.is_empty() {
            let bytes = self.waiting.as_slices().0;
            let len = match self.pipe.as_mut().map(|pipe| pipe.write(bytes)) {
                Some(Ok(len)) if len > 0 => len,
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => return,
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                _ => {
                    self.pipe = None;
                    self.waiting.len()
                }
            };
            self.waiting.drain(..len);
            self.taken = self.taken.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        }
        if self.is_over {
            self.pipe = None;
        }
    }

    fn grant(&mut self, unsent: &mut VecDeque<u8>) {
        let is_due = self.taken >= GRANT_BYTES || (self.taken > 0 && self.waiting.is_empty());
        if is_due && !self.is_over {
            let mut frame = Vec::new();
            frame::window(&mut frame, self.taken);
            unsent.extend(frame);
            self.window += self.taken;
            self.taken = 0;
        }
    }
}
