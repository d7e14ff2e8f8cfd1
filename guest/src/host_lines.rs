//! What kiln says on the log connection, the other way: lines of JSON, start.json first, then the time again and again.
//!
//! Only the host can be at the other end: init connected to it, before there was another process.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;

/// kiln sends no longer line.
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
        let line = self.read_line();
        if line.is_err() {
            self.connection = None;
            self.text = Vec::new();
        }
        line
    }

    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.text.drain(..=end).collect()));
            }
            if self.text.len() > MAX_BYTES {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("it is over {} KiB", MAX_BYTES / 1024),
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
