//! One stream of the image's process: read as far as the outbox has room, cut into lines.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::outbox::Outbox;
use crate::record::{self, Source};
use crate::split::Splitter;
use crate::sys;

/// Read at a time: few enough that records of empty lines, 70 times as long, stay bounded.
const READ_BYTES: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Output {
    pipe: Option<File>,
    source: Source,
    splitter: Splitter,
}

impl Output {
    /// Of a pipe, which becomes non-blocking.
    pub fn new(pipe: Option<OwnedFd>, source: Source) -> io::Result<Self> {
        pipe.iter().try_for_each(sys::set_nonblocking)?;
        Ok(Self { pipe: pipe.map(File::from), source, splitter: Splitter::default() })
    }

    /// The pipe's descriptor, until its end.
    pub fn fd(&self) -> Option<i32> {
        self.pipe.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Reads once.
    pub fn read(&mut self, outbox: &mut Outbox) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; READ_BYTES];
        match pipe.read(&mut chunk) {
            Ok(len) if len > 0 => {
                let source = self.source;
                self.splitter.feed(&chunk[..len], |line, more| outbox.push(&record::log(source, line, more)));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            _ => self.pipe = None,
        }
    }

    /// Nothing follows: what is left is the last line.
    pub fn finish(&mut self, outbox: &mut Outbox) {
        let source = self.source;
        self.splitter.finish(|line, more| outbox.push(&record::log(source, line, more)));
    }
}
