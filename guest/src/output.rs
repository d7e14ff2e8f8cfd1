//! One stream of the image's process: read as far as the outbox has room, cut into lines.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::outbox::Outbox;
use crate::record::{self, Source};
use crate::split::Splitter;
use crate::sys::{self, Terminal};

/// Read at a time: few enough that records of empty lines, 70 times as long, stay bounded.
const READ_BYTES: usize = 8 * 1024;
/// What of a terminal is kept for who attaches later: some screens of text.
const MAX_SEEN_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Output {
    pipe: Option<File>,
    /// The process's side of a terminal: a program that closes its streams may open /dev/tty again.
    slave: Option<OwnedFd>,
    is_terminal: bool,
    seen: Vec<u8>,
    source: Source,
    splitter: Splitter,
}

impl Output {
    /// Of a pipe, which becomes non-blocking.
    pub fn new(pipe: Option<OwnedFd>, source: Source) -> io::Result<Self> {
        pipe.iter().try_for_each(sys::set_nonblocking)?;
        let (pipe, splitter) = (pipe.map(File::from), Splitter::default());
        Ok(Self { pipe, slave: None, is_terminal: false, seen: Vec::new(), source, splitter })
    }

    /// Of a terminal, to whose end `release` comes first.
    pub fn of_terminal(terminal: Terminal) -> io::Result<Self> {
        let Terminal { master, slave } = terminal;
        let piped = Self::new(Some(master.into()), Source::Stdout)?;
        Ok(Self { slave: Some(slave), is_terminal: true, ..piped })
    }

    /// The pipe's descriptor, until its end.
    pub fn fd(&self) -> Option<i32> {
        self.pipe.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The terminal, if it is one and not at its end, and the last of what was written there.
    pub fn terminal(&self) -> Option<(&File, &[u8])> {
        self.pipe.as_ref().filter(|_| self.is_terminal).map(|master| (master, self.seen.as_slice()))
    }

    /// The process ended: a terminal ends with the last of those that have it open.
    pub fn release(&mut self) {
        self.slave = None;
    }

    /// Reads once, and shows what came as it is.
    pub fn read(&mut self, outbox: &mut Outbox, mut show: impl FnMut(&[u8])) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; READ_BYTES];
        match pipe.read(&mut chunk) {
            Ok(len) if len > 0 => {
                let bytes = &chunk[..len];
                if self.is_terminal {
                    show(bytes);
                    self.seen.extend_from_slice(bytes);
                    self.seen.drain(..self.seen.len().saturating_sub(MAX_SEEN_BYTES));
                }
                let put = log(self.source, self.is_terminal, outbox);
                self.splitter.feed(bytes, put);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A terminal whose other side is closed says EIO.
            _ => self.pipe = None,
        }
    }

    /// Nothing follows: what is left is the last line.
    pub fn finish(&mut self, outbox: &mut Outbox) {
        self.splitter.finish(log(self.source, self.is_terminal, outbox));
    }
}

/// Puts lines into the outbox; without the carriage return that a terminal puts at their ends.
fn log(source: Source, is_terminal: bool, outbox: &mut Outbox) -> impl FnMut(&[u8], bool) {
    move |line, more| {
        let plain = line.strip_suffix(b"\r").filter(|_| is_terminal && !more).unwrap_or(line);
        outbox.push(&record::log(source, plain, more));
    }
}
