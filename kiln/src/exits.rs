//! Exit connections: who may say how the process ended, and when it is believed.
//!
//! Any process of the guest can connect here, so the report counts only once the log connection is over: init holds
//! that one and ends it first, after the process and its output ended. Until then a report waits, for so long.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::listen;
use crate::report::{ExitReport, Refusal};

/// Connections at a time; more are closed at once.
const MAX_CONNECTIONS: usize = 4;
/// How long a request may take to arrive, and then the log connection to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the log may then still wait for a slow collector, before lines are dropped to reach its end.
const FLOW_CONTROL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    bytes: Vec<u8>,
    since: Instant,
    report: Option<ExitReport>,
}

/// See the module.
#[derive(Debug)]
pub struct ExitReports {
    listener: UnixListener,
    connections: Vec<Connection>,
    settled: bool,
}

impl ExitReports {
    /// Awaits connections on the listener.
    pub fn new(listener: UnixListener) -> Self {
        Self { listener, connections: Vec::new(), settled: false }
    }

    /// Takes connections in; closes those that come when there are enough, or after the report.
    pub fn accept(&mut self) {
        let (connections, settled) = (&mut self.connections, self.settled);
        listen::accept(&self.listener, |stream| {
            if !settled && connections.len() < MAX_CONNECTIONS {
                connections.push(Connection {
                    stream,
                    bytes: Vec::new(),
                    since: Instant::now(),
                    report: None,
                });
            }
        });
    }

    /// The listener's descriptor, and those of connections from which bytes are awaited.
    pub fn fds(&self) -> impl Iterator<Item = i32> {
        let unread = self.connections.iter().filter(|connection| connection.report.is_none());
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
        self.connections.iter().any(|connection| connection.report.is_some())
    }

    /// Whether a report has waited so long that the log is to be read without regard to the collector.
    pub fn is_pressing(&self) -> bool {
        self.connections.iter().any(|one| one.report.is_some() && one.since.elapsed() >= FLOW_CONTROL)
    }

    /// The report, once the log is over: the first that is whole. It is answered, and all others are closed.
    pub fn settle(&mut self) -> Option<ExitReport> {
        let connection = self.connections.iter_mut().find(|connection| connection.report.is_some())?;
        connection.answer(200, "OK");
        let report = connection.report.take();
        self.connections.clear();
        self.settled = true;
        report
    }

    /// Ends the connections that took too long. Returns how many of them had brought a report.
    pub fn expire(&mut self) -> usize {
        let mut refused = 0;
        self.connections.retain_mut(|connection| {
            let expired = connection.since.elapsed() >= PATIENCE;
            if expired && connection.report.is_some() {
                connection.answer(409, "The Log Connection Is Open");
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
        let pressing = |one: &Connection| one.report.is_some() && one.since.elapsed() < FLOW_CONTROL;
        let due = |one: &Connection| one.since + if pressing(one) { FLOW_CONTROL } else { PATIENCE };
        self.connections.iter().map(due).min()
    }
}

impl Connection {
    /// Reads what is there. `Ok(false)` when the guest went away.
    fn read(&mut self) -> Result<bool, Refusal> {
        let mut bytes = [0; 4096];
        while self.report.is_none() {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(len) => self.bytes.extend_from_slice(&bytes[..len]),
                Err(error) => {
                    return Ok(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted));
                }
            }
            self.report = ExitReport::parse(&self.bytes)?;
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
