//! What kiln says on the log connection, the other way: lines of JSON, start.json first, then the secrets of this start
//! if there are any, then the time again and again.
//!
//! Only the host can be at the other end: init connected to it, before there was another process.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Failure};
use crate::sys::{self, PollFd};

/// kiln sends no longer line, but for secrets.
pub const MAX_BYTES: usize = 64 * 1024;

/// The connection, and what came of a line that is not whole.
#[derive(Debug)]
pub struct HostLines {
    connection: Option<File>,
    text: Vec<u8>,
}

impl HostLines {
    /// Of a connection that does not wait.
    pub fn new(connection: File) -> Self {
        Self { connection: Some(connection), text: Vec::new() }
    }

    /// The descriptor to wait for, until the connection has ended.
    pub fn fd(&self) -> Option<i32> {
        self.connection.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The next line, with its newline; `None` until there is one. A connection that ended, that failed, or whose line
    /// has no end, is given up.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.next_of(MAX_BYTES)
    }

    /// The next line, of so many bytes at most, waited for so long; `what` names it in a failure.
    pub fn await_line(&mut self, what: &str, most: usize, patience: Duration) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + patience;
        loop {
            match self.next_of(most) {
                Ok(Some(line)) => return Ok(line),
                Ok(None) => self.wait(what, until, patience)?,
                Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                    return Err(Failure::new(format!("{what}: {error}")));
                }
                Err(error) => return Err(error).doing(format_args!("receive {what}")),
            }
        }
    }

    fn wait(&self, what: &str, until: Instant, patience: Duration) -> Result<(), Failure> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new(format!("{what}: kiln sent none within {} s", patience.as_secs())));
        }
        let fd = self.fd().unwrap_or(-1); // which poll passes over
        let mut fds = [PollFd { fd, events: sys::POLLIN, revents: 0 }];
        sys::poll(&mut fds, Some(left)).doing(format_args!("wait for {what}"))
    }

    fn next_of(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let line = self.read_line(most);
        if line.is_err() {
            self.connection = None;
            self.text = Vec::new();
        }
        line
    }

    fn read_line(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let (mut chunk, mut looked_at) = ([0; 4096], 0);
        loop {
            if let Some(end) = self.text[looked_at..].iter().position(|byte| *byte == b'\n') {
                let end = looked_at + end;
                return Ok(Some(self.text.drain(..=end).collect()));
            }
            looked_at = self.text.len();
            if self.text.len() > most {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("it is over {} KiB", most / 1024),
                ));
            }
            let Some(connection) = &mut self.connection else { return Ok(None) };
            match connection.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "kiln ended the connection")),
                Ok(len) => self.text.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
