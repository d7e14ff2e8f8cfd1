//! The log connection: one per boot, from init, whose bytes may nevertheless be hostile.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::collector::Collector;
use crate::guest_log::{MAX_RECORD_BYTES, Record};
use crate::host_log::{Entry, Level, Source};
use crate::lines::{Line, Lines, Overlong};
use crate::listen;
use crate::secrets::Secrets;
use crate::sys;

/// Read at a time; a record becomes at most three times as long on its way (the shortest: 58 to 150 bytes).
const READ_BYTES: usize = 16 * 1024;
const GROWTH: usize = 3;

/// Who may report the process's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter<'a> {
    /// Nobody connected yet, so there is only init: it starts nothing before it did.
    Anybody,
    /// Somebody connected, and what it said first was not read yet.
    Unread,
    /// Who knows this key.
    Holder(&'a str),
}

#[derive(Debug)]
enum State {
    Awaited,
    Open(UnixStream),
    Over,
}

/// The listener for init's log, and the one connection that it takes.
#[derive(Debug)]
pub struct GuestLog {
    listener: UnixListener,
    /// What init is told as soon as it has connected.
    start: Vec<u8>,
    /// What it is told next, as it takes it.
    secrets: Secrets,
    /// What of the line with the time is not sent yet; whether another is to follow; when one was written last.
    unsent: Vec<u8>,
    clock_is_due: bool,
    told_at: Instant,
    state: State,
    lines: Lines,
    key: Option<String>,
    complaints: Complaints,
}

/// What one read brought, beside lines.
#[derive(Debug, Default)]
struct News {
    key: Option<String>,
    started: Option<u32>,
    ended: bool,
}

impl GuestLog {
    /// Awaits init's connection on the listener, to hand start.json over, and behind it the secrets of this start. Bad
    /// records are complained of at most once per `complain_every`.
    pub fn new(listener: UnixListener, start: Vec<u8>, secrets: Secrets, complain_every: Duration) -> Self {
        let lines = Lines::new(MAX_RECORD_BYTES, Overlong::Refuse);
        Self {
            listener,
            start,
            secrets,
            unsent: Vec::new(),
            clock_is_due: false,
            told_at: Instant::now(),
            state: State::Awaited,
            lines,
            key: None,
            complaints: Complaints::new(complain_every),
        }
    }

    /// Takes the first connection, which is told the time, and closes all others at once: Firecracker must never wait for
    /// kiln.
    pub fn accept(&mut self) {
        let (state, start, clock_is_due) = (&mut self.state, &mut self.start, &mut self.clock_is_due);
        listen::accept(&self.listener, |mut stream| {
            if matches!(state, State::Awaited) {
                // A new connection takes so little without a wait; one that is gone already needs nothing.
                let _ = stream.write_all(&std::mem::take(start));
                *state = State::Open(stream);
                *clock_is_due = true;
            }
        });
        self.send();
    }

    /// Tells the guest what time it is: now, or as soon as it is connected and takes it. Of several times it is told the
    /// last alone, so that a guest that does not read costs nothing.
    pub fn tell_time(&mut self) {
        self.clock_is_due = true;
        self.send();
    }

    /// When the guest was last told; `None` while it cannot be told.
    pub fn told_at(&self) -> Option<Instant> {
        let can_be = matches!(self.state, State::Open(_)) && !self.has_unsent();
        can_be.then_some(self.told_at)
    }

    /// Whether something waits for the connection to take it.
    pub fn has_unsent(&self) -> bool {
        let has_secrets = matches!(self.state, State::Open(_)) && !self.secrets.rest().is_empty();
        has_secrets || !self.unsent.is_empty()
    }

    /// Sends what the connection takes now. One that fails ends by what is read from it.
    pub fn send(&mut self) {
        let State::Open(stream) = &mut self.state else {
            return;
        };
        loop {
            let is_secret = !self.secrets.rest().is_empty();
            if !is_secret && self.unsent.is_empty() {
                if !self.clock_is_due {
                    return;
                }
                self.unsent = Timestamp::now().line(sys::boot_us());
                self.clock_is_due = false;
                self.told_at = Instant::now();
            }
            match stream.write(if is_secret { self.secrets.rest() } else { &self.unsent }) {
                Ok(len) if is_secret => self.secrets.forget(len),
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.secrets = Secrets::default();
                    self.unsent.clear();
                }
            }
        }
    }

    /// Who may report the process's end, as far as is known.
    pub fn reporter(&self) -> Reporter<'_> {
        match (&self.state, &self.key) {
            (_, Some(key)) => Reporter::Holder(key),
            (State::Awaited, None) => Reporter::Anybody,
            (State::Open(_) | State::Over, None) => Reporter::Unread,
        }
    }

    /// Whether nothing more will come: init said so or is gone, or never made a connection.
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
        let mut news = News::default();
        let complaints = &mut self.complaints;
        let sink = |line: Line<'_>| {
            if let Err(why) = take(&line, &mut news, collector) {
                complaints.add(why, collector);
            }
        };
        if len > 0 {
            self.lines.feed(&bytes[..len], sink);
        } else {
            self.lines.finish(sink);
        }
        if len == 0 || news.ended {
            self.complaints.say(collector);
            self.state = State::Over;
        }
        self.key = self.key.take().or(news.key);
        news.started
    }
}

fn take(line: &Line<'_>, news: &mut News, collector: &mut Collector) -> Result<(), &'static str> {
    let Line::Whole(bytes) = line else {
        return Err("line too long");
    };
    if news.ended {
        return Err("record after the end");
    }
    match Record::parse(bytes)? {
        Record::Log { source, message, partial } => collector.push(&message.entry(source, partial)),
        Record::Hello { key } => news.key = news.key.take().or(Some(key.into_owned())),
        Record::Started { pid } => news.started = Some(pid),
        Record::End => news.ended = true,
    }
    Ok(())
}

/// Bad records, counted; said at once, then at most once per `every`.
#[derive(Debug)]
struct Complaints {
    every: Duration,
    unsaid: u64,
    why: &'static str,
    said_at: Option<Instant>,
}

impl Complaints {
    fn new(every: Duration) -> Self {
        Self { every, unsaid: 0, why: "", said_at: None }
    }

    fn add(&mut self, why: &'static str, collector: &mut Collector) {
        self.unsaid += 1;
        self.why = why;
        if self.said_at.is_none_or(|at| at.elapsed() >= self.every) {
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
