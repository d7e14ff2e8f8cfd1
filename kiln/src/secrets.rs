//! What a start brings and no file may hold: it comes over a socket of the starter's, once, and goes on to init.
//!
//! kiln does not look into it, and overwrites each byte as soon as init's connection has taken it.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::config::Error;
use crate::sys;

/// The longest message, with its newline.
pub const MAX_BYTES: usize = 1024 * 1024;

/// One line for init, as far as it was not sent. Nothing shows what is in it.
#[derive(Default)]
pub struct Secrets {
    line: Vec<u8>,
    sent: usize,
}

impl Secrets {
    /// Fetches the line from the starter, who listens on the socket and ends the connection behind it.
    pub fn receive(path: &Path, patience: Duration) -> Result<Self, Error> {
        let read = |error| Error::Read(path.into(), error);
        let stream = UnixStream::connect(path).map_err(read)?;
        stream.set_read_timeout(Some(patience)).map_err(read)?;
        // Of a length that is never changed: a buffer that grows leaves copies behind. What is not used costs nothing.
        let mut secrets = Self { line: Vec::with_capacity(MAX_BYTES + 1), sent: 0 };
        match stream.take(MAX_BYTES as u64 + 1).read_to_end(&mut secrets.line) {
            Ok(_) => secrets.checked().map_err(|what| Error::Invalid(path.into(), what)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Error::Invalid(
                path.into(),
                format!("the starter sent nothing for {} s", patience.as_secs()),
            )),
            Err(error) => Err(read(error)),
        }
    }

    fn checked(self) -> Result<Self, String> {
        if self.line.len() > MAX_BYTES {
            return Err(format!("it is over {} KiB", MAX_BYTES / 1024));
        }
        let end = self.line.iter().position(|byte| *byte == b'\n');
        if end.is_none_or(|end| end + 1 != self.line.len()) {
            return Err("the starter did not send one whole line".into());
        }
        Ok(self)
    }

    /// What is still to be sent.
    pub fn rest(&self) -> &[u8] {
        &self.line[self.sent..]
    }

    /// So many bytes more were sent.
    pub fn forget(&mut self, len: usize) {
        let end = self.sent.saturating_add(len).min(self.line.len());
        sys::wipe(&mut self.line[self.sent..end]);
        self.sent = end;
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        sys::wipe(&mut self.line);
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secrets({} bytes)", self.rest().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Result<Secrets, String> {
        Secrets { line: text.into(), sent: 0 }.checked()
    }

    #[test]
    fn one_whole_line_is_taken_and_nothing_else() {
        assert_eq!(secrets("{}\n").unwrap().rest(), b"{}\n");
        for text in ["", "{}", "{}\n{}", "{}\n\n"] {
            assert_eq!(secrets(text).unwrap_err(), "the starter did not send one whole line");
        }
        let long = " ".repeat(MAX_BYTES) + "\n";
        assert_eq!(secrets(&long).unwrap_err(), "it is over 1024 KiB");
        assert!(secrets(&long[1..]).is_ok());
    }

    #[test]
    fn what_was_sent_is_overwritten_and_nothing_is_shown() {
        let mut secrets = secrets("hunter2\n").unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(8 bytes)");
        secrets.forget(3);
        assert_eq!(secrets.rest(), b"ter2\n");
        assert_eq!(secrets.line, b"\0\0\0ter2\n");
        secrets.forget(100);
        assert!(secrets.rest().is_empty());
        assert_eq!(secrets.line, [0; 8]);
    }
}
