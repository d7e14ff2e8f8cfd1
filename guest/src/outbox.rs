//! What is to be sent to the host's log and was not yet. Never drops a line while there is somebody to send it to.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::guest_log::{self, Source};
use crate::sys::{self, PollFd};

/// Above this no more output is read, so that a process that floods waits for the host.
const HIGH_WATER_BYTES: usize = 256 * 1024;

/// The log connection and what waits for it.
#[derive(Debug)]
pub struct Outbox {
    connection: Option<File>,
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// For a connection, which becomes non-blocking; without one, everything is dropped.
    pub fn new(connection: Option<File>) -> Self {
        let connection = connection.filter(|socket| sys::set_nonblocking(socket).is_ok());
        Self { connection, bytes: Vec::new(), sent: 0 }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        if self.connection.is_some() {
            self.bytes.extend_from_slice(record);
        }
    }

    /// Adds a line of init's own.
    pub fn say(&mut self, text: &str) {
        self.push(&guest_log::log(Source::Init, text.as_bytes(), false));
    }

    /// Whether more output may be read.
    pub fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < HIGH_WATER_BYTES
    }

    /// Whether all was sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// What to poll: for room while something waits, else only for the host's going away.
    pub fn interest(&self) -> Option<PollFd> {
        let connection = self.connection.as_ref()?;
        let events = if self.is_empty() { 0 } else { sys::POLLOUT };
        Some(PollFd { fd: connection.as_raw_fd(), events, revents: 0 })
    }

    /// Sends what the connection takes now.
    pub fn flush(&mut self) {
        while let Some(connection) = &mut self.connection {
            if self.sent == self.bytes.len() {
                break;
            }
            let end = self.bytes.len().min(self.sent + sys::VSOCK_WRITE_BYTES);
            match connection.write(&self.bytes[self.sent..end]) {
                Ok(0) => self.give_up(),
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.give_up(),
            }
        }
        // Moved only when much was sent, so that each byte is moved about once.
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent > HIGH_WATER_BYTES / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// The host went away: nobody will read, and the process must not wait for ever.
    fn give_up(&mut self) {
        self.connection = None;
        self.bytes = Vec::new();
        self.sent = 0;
    }

    /// Sends all; gives up after `patience` without progress. The connection stays open until this is dropped.
    pub fn finish(&mut self, patience: Duration) {
        let mut last = (self.bytes.len(), Instant::now());
        loop {
            self.flush();
            let left = self.bytes.len() - self.sent;
            if left == 0 || (left >= last.0 && last.1.elapsed() >= patience) {
                break;
            }
            if left < last.0 {
                last = (left, Instant::now());
            }
            let Some(interest) = self.interest() else { break };
            let mut fds = [interest];
            if sys::poll(&mut fds, Some(patience)).is_err() {
                break;
            }
            self.notice(&fds[0]);
        }
    }

    /// Looks at what poll said of the connection: POLLERR and POLLHUP come unasked when the host went away.
    pub fn notice(&mut self, polled: &PollFd) {
        let is_ours = self.connection.as_ref().is_some_and(|connection| connection.as_raw_fd() == polled.fd);
        if is_ours && polled.revents & (sys::POLLERR | sys::POLLHUP) != 0 {
            self.give_up();
        }
    }
}
