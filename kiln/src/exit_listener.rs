//! Exit connections: who may say how the process ended, and when it is believed.
//!
//! Any process of the guest can connect here, so a report counts only with the key that init gave on the log
//! connection before there was any other process. It is answered once the log was read to its end, or for so long.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::durations::Durations;
use crate::exit_report::{ExitReport, Posted, Refusal};
use crate::guest::Reporter;
use crate::listen;

/// Connections at a time; one more closes the oldest that brought no report, since init's comes last.
const MAX_CONNECTIONS: usize = 4;

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    bytes: Vec<u8>,
    since: Instant,
    posted: Option<Posted>,
}

/// The listener for exit reports, and the connections to it.
#[derive(Debug)]
pub struct ExitReports {
    listener: UnixListener,
    connections: Vec<Connection>,
    settled: bool,
    durations: Durations,
}

impl ExitReports {
    /// Awaits connections on the listener.
    pub fn new(listener: UnixListener, durations: Durations) -> Self {
        Self { listener, connections: Vec::new(), settled: false, durations }
    }

    /// Takes connections in; closes those that come after the report, or instead of which none can go.
    pub fn accept(&mut self) {
        let (connections, settled) = (&mut self.connections, self.settled);
        listen::accept(&self.listener, |stream| {
            if connections.len() >= MAX_CONNECTIONS {
                connections
                    .iter()
                    .position(|one| one.posted.is_none())
                    .map(|oldest| connections.remove(oldest));
            }
            if !settled && connections.len() < MAX_CONNECTIONS {
                let since = Instant::now();
                connections.push(Connection { stream, bytes: Vec::new(), since, posted: None });
            }
        });
    }

    /// The listener's descriptor, and those of connections from which bytes are awaited.
    pub fn fds(&self) -> impl Iterator<Item = i32> {
        let unread = self.connections.iter().filter(|connection| connection.posted.is_none());
        std::iter::once(self.listener.as_raw_fd())
            .chain(unread.map(|connection| connection.stream.as_raw_fd()))
    }

    /// Reads from every connection; answers and closes those that sent something else than a report.
    pub fn read(&mut self) {
        self.connections.retain_mut(|connection| match connection.read() {
            Ok(open) => open,
            Err(refusal) => {
                connection.answer(refusal.status, refusal.reason);
                false
            }
        });
    }

    /// Whether a report waits for the log connection to end.
    pub fn is_waiting(&self) -> bool {
        self.connections.iter().any(|connection| connection.posted.is_some())
    }

    /// Whether a report has waited so long that the log is to be read without regard to the collector.
    pub fn is_pressing(&self) -> bool {
        let patience = self.durations.flow_control;
        self.connections.iter().any(|one| one.posted.is_some() && one.since.elapsed() >= patience)
    }

    /// The reporter's report, once the log is over or had its time. It is answered, and all others are closed.
    pub fn settle(&mut self, reporter: Reporter<'_>, log_is_over: bool) -> Option<ExitReport> {
        let key = match reporter {
            Reporter::Unread => return None,
            Reporter::Anybody => None,
            Reporter::Holder(key) => Some(key),
        };
        self.connections.retain_mut(|connection| {
            let forged = connection
                .posted
                .as_ref()
                .is_some_and(|posted| key.is_some() && posted.key.as_deref() != key);
            if forged {
                connection.answer(403, "Forbidden");
            }
            !forged
        });
        let patience = self.durations.log_end;
        let is_due =
            |one: &&mut Connection| one.posted.is_some() && (log_is_over || one.since.elapsed() >= patience);
        let connection = self.connections.iter_mut().find(is_due)?;
        connection.answer(200, "OK");
        let posted = connection.posted.take();
        self.connections.clear();
        self.settled = true;
        posted.map(|posted| posted.report)
    }

    /// Ends the connections that took too long. Returns how many of them had brought a report.
    pub fn expire(&mut self) -> usize {
        let mut refused = 0;
        let durations = self.durations;
        self.connections.retain_mut(|connection| {
            let expired = connection.since.elapsed() >= connection.patience(durations);
            if expired && connection.posted.is_some() {
                connection.answer(409, "The Log Says Not Who Reports");
                refused += 1;
            } else if expired {
                connection.answer(408, "Request Timeout");
            }
            !expired
        });
        refused
    }

    /// When time changes something here.
    pub fn deadline(&self) -> Option<Instant> {
        let flow_control = self.durations.flow_control;
        let due = |one: &Connection| {
            let patience = one.patience(self.durations);
            let will_press = one.posted.is_some() && one.since.elapsed() < flow_control;
            one.since + if will_press { flow_control.min(patience) } else { patience }
        };
        self.connections.iter().map(due).min()
    }
}

impl Connection {
    /// How long what it waits for may take: its request, and then the log's end.
    fn patience(&self, durations: Durations) -> Duration {
        if self.posted.is_some() { durations.log_end } else { durations.request }
    }

    /// Reads what is there. `Ok(false)` when the guest went away.
    fn read(&mut self) -> Result<bool, Refusal> {
        let mut bytes = [0; 4096];
        while self.posted.is_none() {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(len) => self.bytes.extend_from_slice(&bytes[..len]),
                Err(error) => {
                    return Ok(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted));
                }
            }
            self.posted = Posted::parse(&self.bytes)?;
        }
        if !self.bytes.is_empty() {
            self.bytes = Vec::new();
            self.since = Instant::now();
        }
        Ok(true)
    }

    /// Answers. These few bytes fit in the buffer of a fresh connection; a guest that is gone needs none.
    fn answer(&mut self, status: u16, reason: &str) {
        let head = format!("HTTP/1.1 {status} {reason}\r\n");
        let rest = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let _ = self.stream.write_all((head + rest).as_bytes());
    }
}
