//! Bytes from the host for a process's standard input, for each of which it had leave.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;

use crate::frame::{self, Malformed};
use crate::peer::Peer;
use crate::sys::{self, PollFd};

/// Standard input that may be on its way or waiting for the process.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Leave is given anew in pieces no smaller than this, unless all was taken.
const GRANT_BYTES: u32 = 16 * 1024;
/// What a terminal in its usual mode takes for the end of input: VEOF, Control-D.
const END_OF_INPUT: u8 = 4;

/// The standard input of a process, and the host's bytes that it has not taken yet.
#[derive(Debug)]
pub struct Input {
    pipe: Option<File>,
    is_terminal: bool,
    waiting: VecDeque<u8>,
    /// What the host may still send.
    window: u32,
    /// What was taken since leave was last given.
    taken: u32,
    is_over: bool,
}

impl Input {
    /// To a pipe or terminal, which becomes non-blocking; without one the host has no leave for a single byte.
    pub fn new(pipe: Option<File>, is_terminal: bool) -> Self {
        if let Some(file) = &pipe {
            // Takes a flag of an open descriptor, which cannot fail.
            let _ = sys::set_nonblocking(file);
        }
        let window = if pipe.is_some() { WINDOW_BYTES } else { 0 };
        Self { pipe, is_terminal, waiting: VecDeque::new(), window, taken: 0, is_over: false }
    }

    /// Says how much the host may send to begin with.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if self.window > 0 {
            frame::window(out, self.window);
        }
    }

    /// What to poll, while something waits.
    pub fn interest(&self) -> Option<PollFd> {
        let pipe = self.pipe.as_ref().filter(|_| !self.waiting.is_empty())?;
        Some(PollFd { fd: pipe.as_raw_fd(), events: sys::POLLOUT, revents: 0 })
    }

    /// Takes bytes in, for which the host must have had leave.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let len = u32::try_from(bytes.len()).map_err(|_| Malformed)?;
        self.window = self.window.checked_sub(len).ok_or(Malformed)?;
        if self.is_over {
            return Err(Malformed);
        }
        self.waiting.extend(bytes);
        Ok(())
    }

    /// No more comes: a pipe is closed once it has all, a terminal is told as by the key for it.
    pub fn end(&mut self) {
        if self.is_terminal && !self.is_over {
            self.waiting.push_back(END_OF_INPUT);
        }
        self.is_over = true;
    }

    /// Nobody reads any more.
    pub fn close(&mut self) {
        self.pipe = None;
    }

    /// Gives the process what it takes. One that reads no more costs the host nothing: the rest is thrown away.
    pub fn write(&mut self) {
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

    /// Gives leave anew for what the process took.
    pub fn grant(&mut self, host: &mut Peer) {
        let is_due = self.taken >= GRANT_BYTES || (self.taken > 0 && self.waiting.is_empty());
        if is_due && !self.is_over {
            host.append(|out| frame::window(out, self.taken));
            self.window += self.taken;
            self.taken = 0;
        }
    }
}
