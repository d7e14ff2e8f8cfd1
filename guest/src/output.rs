//! One stream of the image's process: read as far as the outbox has room, cut into lines.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::frame;
use crate::guest_log::{self, Source};
use crate::outbox::Outbox;
use crate::split::Splitter;
use crate::sys::{self, Terminal};

/// Read at a time: few enough that records of empty lines, 70 times as long, stay bounded.
const READ_BYTES: usize = 8 * 1024;
/// What of a terminal is kept for who attaches later: some screens of text.
const MAX_SEEN_BYTES: usize = 16 * 1024;
/// What is kept for the first host that attaches to a process with standard input, which is to get all of it.
const MAX_AWAITING_BYTES: usize = 64 * 1024;

/// One output stream of the image's process, and the line that it has begun.
#[derive(Debug)]
pub struct Output {
    pipe: Option<File>,
    /// The process's side of a terminal: a program that closes its streams may open /dev/tty again.
    slave: Option<OwnedFd>,
    is_terminal: bool,
    /// Whether hosts that attach see it.
    is_shown: bool,
    /// Whether the first of them is still to come, for whom all is kept.
    is_awaiting: bool,
    seen: Vec<u8>,
    source: Source,
    splitter: Splitter,
}

impl Output {
    /// Of a pipe, which becomes non-blocking.
    pub fn new(pipe: Option<OwnedFd>, source: Source) -> io::Result<Self> {
        pipe.iter().try_for_each(sys::set_nonblocking)?;
        Ok(Self {
            pipe: pipe.map(File::from),
            slave: None,
            is_terminal: false,
            is_shown: false,
            is_awaiting: false,
            seen: Vec::new(),
            source,
            splitter: Splitter::default(),
        })
    }

    /// Of a pipe, for a host that will attach.
    pub fn awaiting(pipe: Option<OwnedFd>, source: Source) -> io::Result<Self> {
        Ok(Self { is_shown: true, is_awaiting: true, ..Self::new(pipe, source)? })
    }

    /// Of a terminal, to whose end `release` comes first.
    pub fn of_terminal(terminal: Terminal) -> io::Result<Self> {
        let Terminal { master, slave } = terminal;
        let piped = Self::new(Some(master.into()), Source::Stdout)?;
        Ok(Self { slave: Some(slave), is_terminal: true, is_shown: true, ..piped })
    }

    /// The pipe's descriptor, until its end.
    pub fn fd(&self) -> Option<i32> {
        self.pipe.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The terminal, if it is one and not at its end, and the last of what was written there.
    pub fn terminal(&self) -> Option<(&File, &[u8])> {
        self.pipe.as_ref().filter(|_| self.is_terminal).map(|master| (master, self.seen.as_slice()))
    }

    /// Which stream of the process it is, for a host.
    pub fn stream(&self) -> frame::Output {
        if self.source == Source::Stderr { frame::Output::Stderr } else { frame::Output::Stdout }
    }

    /// The first host is there, or is not waited for: what was kept for it.
    pub fn hand_over(&mut self) -> Vec<u8> {
        if std::mem::take(&mut self.is_awaiting) { std::mem::take(&mut self.seen) } else { Vec::new() }
    }

    /// Whether so much is kept for the first host that no more can be.
    pub fn is_full(&self) -> bool {
        self.is_awaiting && self.seen.len() >= MAX_AWAITING_BYTES
    }

    /// The process ended: a terminal ends with the last of those that have it open.
    pub fn release(&mut self) {
        self.slave = None;
        self.hand_over();
    }

    /// Reads once, and shows what came as it is.
    pub fn read(&mut self, outbox: &mut Outbox, mut show: impl FnMut(&[u8])) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; READ_BYTES];
        match pipe.read(&mut chunk) {
            Ok(len) if len > 0 => {
                let bytes = &chunk[..len];
                if self.is_shown {
                    show(bytes);
                }
                if self.is_terminal || self.is_awaiting {
                    self.seen.extend_from_slice(bytes);
                }
                if self.is_terminal {
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
        outbox.push(&guest_log::log(source, plain, more));
    }
}
