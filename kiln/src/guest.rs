//! The log connection: one per boot, from init, whose bytes may nevertheless be hostile.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::collector::Collector;
use crate::host_log::{Entry, Level, Source};
use crate::lines::{Line, Lines, Overlong};
use crate::listen;
use crate::record::{MAX_RECORD_BYTES, Record};

/// Read at a time; a record becomes at most three times as long on its way (the shortest: 58 to 150 bytes).
const READ_BYTES: usize = 16 * 1024;
const GROWTH: usize = 3;
/// At most one complaint about bad records in this time, however many there are.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    Awaited,
    Open(UnixStream),
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct GuestLog {
    listener: UnixListener,
    state: State,
    lines: Lines,
    complaints: Complaints,
}

impl GuestLog {
    /// Awaits init's connection on the listener.
    pub fn new(listener: UnixListener) -> Self {
        let lines = Lines::new(MAX_RECORD_BYTES, Overlong::Refuse);
        Self { listener, state: State::Awaited, lines, complaints: Complaints::default() }
    }

    /// Takes the first connection and closes all others at once: Firecracker must never wait for kiln.
    pub fn accept(&mut self) {
        let state = &mut self.state;
        listen::accept(&self.listener, |stream| {
            if matches!(state, State::Awaited) {
                *state = State::Open(stream);
            }
        });
    }

    /// Whether nothing more will come: init closed the connection, or never made one.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    /// The listener's descriptor.
    pub fn listener(&self) -> i32 {
        self.listener.as_raw_fd()
    }

    /// The connection's descriptor, while it is open.
    pub fn stream(&self) -> Option<i32> {
        if let State::Open(stream) = &self.state { Some(stream.as_raw_fd()) } else { None }
    }

    /// The room that the lines of one `read` may need.
    pub fn room_needed(&self) -> usize {
        self.lines.pending_len() + READ_BYTES * GROWTH
    }

    /// Reads once and forwards what is whole. Returns the process's PID when init says that it was executed.
    pub fn read(&mut self, collector: &mut Collector) -> Option<u32> {
        let State::Open(stream) = &mut self.state else {
            return None;
        };
        let mut bytes = [0; READ_BYTES];
        let len = match stream.read(&mut bytes) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return None;
            }
            Err(_) => 0,
        };
        let mut started = None;
        let complaints = &mut self.complaints;
        let sink = |line: Line<'_>| match forward(&line, collector) {
            Ok(None) => {}
            Ok(Some(pid)) => started = Some(pid),
            Err(why) => complaints.add(why, collector),
        };
        if len > 0 {
            self.lines.feed(&bytes[..len], sink);
        } else {
            self.lines.finish(sink);
            self.complaints.say(collector);
            self.state = State::Over;
        }
        started
    }
}

fn forward(line: &Line<'_>, collector: &mut Collector) -> Result<Option<u32>, &'static str> {
    let Line::Whole(bytes) = line else {
        return Err("line too long");
    };
    match Record::parse(bytes)? {
        Record::Log { source, message, partial } => {
            collector.push(&message.entry(source, partial));
            Ok(None)
        }
        Record::Started { pid } => Ok(Some(pid)),
    }
}

/// Bad records, counted; said at once, then at most once per `COMPLAINT_EVERY`.
#[derive(Debug, Default)]
struct Complaints {
    unsaid: u64,
    why: &'static str,
    said_at: Option<Instant>,
}

impl Complaints {
    fn add(&mut self, why: &'static str, collector: &mut Collector) {
        self.unsaid += 1;
        self.why = why;
        if self.said_at.is_none_or(|at| at.elapsed() >= COMPLAINT_EVERY) {
            self.say(collector);
        }
    }

    fn say(&mut self, collector: &mut Collector) {
        if self.unsaid > 0 {
            let text = format!("guest sent {} invalid log records, last: {}", self.unsaid, self.why);
            collector.push(&Entry::text(Level::Warn, Source::Kiln, &text));
            self.said_at = Some(Instant::now());
            self.unsaid = 0;
        }
    }
}
