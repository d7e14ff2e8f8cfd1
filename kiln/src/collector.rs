//! The connection to the host's log collector, which may be absent, die, or be replaced at any time.
//!
//! A new collector's socket is linked over the old name, and inotify says so: nothing is tried on a timer, but for
//! the one case that no event announces (the collector's queue of connections was full).
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::host_log::{Entry, HELLO, Level, Source, VERSION};
use crate::outbox::Outbox;
use crate::sys;

/// The connection to the collector, or what is known while there is none.
#[derive(Debug)]
pub struct Collector {
    path: PathBuf,
    outbox: Outbox,
    stream: Option<UnixStream>,
    /// Whether it said that it speaks our version.
    is_understood: bool,
    /// The beginning of a number.
    heard: Vec<u8>,
    names: File,
    tried_at: Instant,
    retry_at: Option<Instant>,
    /// Between tries when no event will tell, and between connections that the collector ends at once.
    retry_after: Duration,
}

impl Collector {
    /// Connects if somebody listens. `names` reports the names that appear in the socket's directory.
    pub fn new(path: PathBuf, names: OwnedFd, outbox: Outbox, retry_after: Duration) -> Self {
        let mut made = Self {
            path,
            outbox,
            stream: None,
            is_understood: false,
            heard: Vec::new(),
            names: names.into(),
            tried_at: Instant::now(),
            retry_at: None,
            retry_after,
        };
        made.connect();
        made
    }

    /// Queues an entry; it is written when the connection takes it.
    pub fn push(&mut self, entry: &Entry<'_>) {
        self.outbox.push(entry);
    }

    /// Queues a line of the console, which a guest can flood without being made to wait: while a collector is slow it
    /// takes no other line's place. When nobody listens, the newest lines are worth most, whosever they are.
    pub fn push_console(&mut self, entry: &Entry<'_>) {
        if self.is_alone() { self.outbox.push(entry) } else { self.outbox.offer(entry) }
    }

    /// Whether lines of this many bytes should be read in now: always when nobody listens, since then the newest
    /// lines are worth most; only if they fit when somebody does, so that the guest waits instead of losing lines.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.is_alone() || self.outbox.has_room(bytes)
    }

    /// Whether nobody listens, and nobody will soon: a collector that was killed has a new one at once.
    fn is_alone(&self) -> bool {
        self.stream.is_none() && self.retry_at.is_none()
    }

    /// Whether nothing more can be got rid of: all is in the collector's files, or nobody listens and none is expected
    /// to soon. What was only sent is lost with a collector that is killed now.
    pub fn is_idle(&self) -> bool {
        self.outbox.is_empty() || self.is_alone()
    }

    /// The connection's descriptor, and whether there is something to write.
    pub fn stream(&self) -> Option<(i32, bool)> {
        self.stream.as_ref().map(|stream| (stream.as_raw_fd(), self.outbox.has_unsent()))
    }

    /// The descriptor on which new names are reported.
    pub fn names(&self) -> i32 {
        self.names.as_raw_fd()
    }

    /// When `retry` wants to be called.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again if it is time to.
    pub fn retry(&mut self) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.connect();
        }
    }

    /// A name appeared in the directory: if it is the socket's, what listens there now is the collector.
    pub fn on_names(&mut self) {
        let mut events = [0; 4096];
        let name = self.path.file_name().unwrap_or_default().as_bytes().to_owned();
        let mut replaced = false;
        while let Ok(len) = self.names.read(&mut events) {
            replaced |= sys::names_hold(&events[..len], &name);
            if len == 0 {
                break;
            }
        }
        if replaced {
            self.disconnect();
            self.connect();
        }
    }

    /// The connection is readable or broken: acknowledgements are taken in, and its end.
    pub fn on_readable(&mut self) {
        let mut bytes = [0; 512];
        let Some(stream) = &mut self.stream else { return };
        match stream.read(&mut bytes) {
            Ok(0) => self.lost(),
            Ok(len) => self.on_numbers(&bytes[..len]),
            Err(error) if !is_temporary(&error) => self.lost(),
            Err(_) => {}
        }
    }

    /// Each has 4 bytes, little-endian. The first is the version that is spoken, as an answer to our hello; the others
    /// acknowledge: so many more bytes are in the collector's files.
    fn on_numbers(&mut self, bytes: &[u8]) {
        let mut heard = std::mem::take(&mut self.heard);
        heard.extend_from_slice(bytes);
        let numbers = heard.chunks_exact(4);
        self.heard = numbers.remainder().to_vec();
        for number in numbers {
            let number = number.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            if self.is_understood {
                self.outbox.acknowledge(number);
            } else if number == VERSION {
                self.is_understood = true;
            } else {
                return self.refuse();
            }
        }
    }

    /// It is of another Inferno: the newest lines wait for the next one, which a new name will announce.
    fn refuse(&mut self) {
        self.disconnect();
        let text = "the log collector spoke another version: lines waited for the next one";
        self.outbox.push(&Entry::text(Level::Warn, Source::Kiln, text));
    }

    /// Writes what the connection takes.
    pub fn flush(&mut self) {
        while let Some(stream) = &mut self.stream {
            let bytes = self.outbox.unsent();
            if bytes.is_empty() {
                return;
            }
            match stream.write(bytes) {
                Ok(taken) => self.outbox.advance(taken),
                Err(error) if is_temporary(&error) => return,
                Err(_) => self.lost(),
            }
        }
    }

    fn lost(&mut self) {
        self.disconnect();
        if self.tried_at.elapsed() < self.retry_after {
            self.retry_at = Some(Instant::now() + self.retry_after);
        } else {
            self.connect();
        }
    }

    fn disconnect(&mut self) {
        if self.stream.take().is_some() {
            self.heard.clear();
            self.is_understood = false;
            self.outbox.rewind();
        }
    }

    fn connect(&mut self) {
        self.tried_at = Instant::now();
        self.retry_at = None;
        match sys::connect(&self.path) {
            // A new connection takes so little without a wait, if it is one still.
            Ok(mut stream) => match stream.write_all(HELLO) {
                Ok(()) => self.stream = Some(stream),
                Err(_) => self.retry_at = Some(self.tried_at + self.retry_after),
            },
            Err(error) if is_temporary(&error) => self.retry_at = Some(self.tried_at + self.retry_after),
            Err(_) => {}
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
