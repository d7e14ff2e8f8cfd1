//! The life of the image's process: one poll loop over its output, its end, its signals and the host's questions.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::api::{self, Reaction, State, Status};
use crate::cgroup;
use crate::connection::{Connection, Progress};
use crate::end::HOST_CID;
use crate::http::{Answer, Request};
use crate::outbox::Outbox;
use crate::record::{self, ExitReport, Source};
use crate::split::Splitter;
use crate::sys::{self, PollFd, Started};

/// Read at a time: few enough that records of empty lines, 70 times as long, stay bounded.
const READ_BYTES: usize = 8 * 1024;
/// At once; more are closed as they come.
const MAX_CONNECTIONS: usize = 8;
/// How long killed processes may take to go, once the image's process ended.
const DRAIN: Duration = Duration::from_secs(5);
/// struct signalfd_siginfo, signalfd(2).
const SIGINFO_BYTES: usize = 128;
const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGCHLD: i32 = 17;

/// One stream of the process's output.
#[derive(Debug)]
struct Output {
    pipe: Option<File>,
    source: Source,
    splitter: Splitter,
}

/// See the module.
#[derive(Debug)]
pub struct Supervisor {
    pid: i32,
    ended: Option<ExitStatus>,
    no_children: bool,
    born: Instant,
    drain_until: Option<Instant>,
    signals: File,
    outputs: [Output; 2],
    outbox: Outbox,
    listener: Option<OwnedFd>,
    connections: Vec<Connection>,
}

impl Supervisor {
    /// For a process that was just executed.
    pub fn new(
        started: Started,
        signals: File,
        outbox: Outbox,
        listener: Option<OwnedFd>,
        born: Instant,
    ) -> std::io::Result<Self> {
        let output = |fd: OwnedFd, source| {
            sys::set_nonblocking(&fd)?;
            Ok::<_, std::io::Error>(Output {
                pipe: Some(File::from(fd)),
                source,
                splitter: Splitter::default(),
            })
        };
        let outputs = [output(started.stdout, Source::Stdout)?, output(started.stderr, Source::Stderr)?];
        Ok(Self {
            pid: started.pid,
            ended: None,
            no_children: false,
            born,
            drain_until: None,
            signals,
            outputs,
            outbox,
            listener,
            connections: Vec::new(),
        })
    }

    /// Until the process ended and all that it wrote is in the outbox, which is handed back.
    pub fn run(mut self) -> std::io::Result<(ExitReport, Outbox)> {
        self.outbox.push(&record::started(self.pid));
        self.outbox.flush();
        while !self.is_over() {
            self.turn()?;
        }
        for Output { source, splitter, .. } in &mut self.outputs {
            splitter.finish(|line, more| self.outbox.push(&record::log(*source, line, more)));
        }
        let report = self.ended.map(exit_report).unwrap_or_default();
        Ok((report, self.outbox))
    }

    fn is_over(&self) -> bool {
        let drained = self.no_children && self.outputs.iter().all(|output| output.pipe.is_none());
        self.ended.is_some()
            && (drained || self.drain_until.is_some_and(|deadline| Instant::now() >= deadline))
    }

    fn turn(&mut self) -> std::io::Result<()> {
        let mut fds = self.interests();
        sys::poll(&mut fds, self.patience())?;
        let is_ready = |fd: i32| fds.iter().any(|ready| ready.fd == fd && ready.revents != 0);
        if is_ready(self.signals.as_raw_fd()) {
            self.take_signals();
        }
        for fd in &fds {
            self.outbox.notice(fd);
        }
        for output in &mut self.outputs {
            if output.pipe.as_ref().is_some_and(|pipe| is_ready(pipe.as_raw_fd())) {
                output.read(&mut self.outbox);
            }
        }
        self.outbox.flush();
        self.serve();
        if self.listener.as_ref().is_some_and(|listener| is_ready(listener.as_raw_fd())) {
            self.accept();
        }
        Ok(())
    }

    fn interests(&self) -> Vec<PollFd> {
        let read = |fd: i32| PollFd { fd, events: sys::POLLIN, revents: 0 };
        let mut fds = vec![read(self.signals.as_raw_fd())];
        fds.extend(self.outbox.interest());
        fds.extend(self.listener.iter().map(|listener| read(listener.as_raw_fd())));
        fds.extend(self.connections.iter().map(Connection::interest));
        if self.outbox.has_room() {
            fds.extend(
                self.outputs
                    .iter()
                    .filter_map(|output| output.pipe.as_ref())
                    .map(|pipe| read(pipe.as_raw_fd())),
            );
        }
        fds
    }

    fn patience(&self) -> Option<Duration> {
        let deadlines = self.connections.iter().map(Connection::deadline).chain(self.drain_until);
        deadlines.min().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn take_signals(&mut self) {
        let mut info = [0; SIGINFO_BYTES];
        while let Ok(SIGINFO_BYTES) = self.signals.read(&mut info) {
            // ssi_signo is the first field.
            let number = info.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            match number {
                SIGCHLD => self.reap(),
                SIGPIPE => {}
                // As in a container, where the image's process is PID 1 and this would have reached it.
                _ if self.ended.is_none() => drop(sys::kill(self.pid, number)),
                _ => {}
            }
        }
    }

    fn reap(&mut self) {
        loop {
            match sys::reap() {
                Ok(Some((pid, status))) if pid == self.pid && self.ended.is_none() => {
                    self.ended = Some(status);
                    self.drain_until = Some(Instant::now() + DRAIN);
                    // The rest goes at once, as in a container whose PID 1 ended.
                    let _ = sys::kill(-1, SIGKILL);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    self.no_children = true;
                    break;
                }
            }
        }
    }

    fn status(&self) -> Status {
        let (exit_code, signal) = self.ended.map(ending).unwrap_or_default();
        Status {
            pid: self.ended.is_none().then_some(self.pid),
            state: if self.ended.is_none() { State::Running } else { State::Exited },
            exit_code,
            signal,
            uptime_ms: u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn serve(&mut self) {
        let status = self.status();
        self.connections.retain_mut(|connection| {
            connection.advance(|request| respond(request, &status)) == Progress::Waits
        });
    }

    /// Takes what waits. Only the host is talked to: a guest's own process comes with another CID.
    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        loop {
            match sys::vsock_accept(listener) {
                Ok((socket, HOST_CID)) if self.connections.len() < MAX_CONNECTIONS => {
                    self.connections.push(Connection::new(socket));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
}

impl Output {
    fn read(&mut self, outbox: &mut Outbox) {
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
}

fn respond(request: &Request<'_>, status: &Status) -> Answer {
    match api::react(request, status) {
        Reaction::Answer(answer) => answer,
        Reaction::Signal(pid, signal) => match sys::kill(pid, signal) {
            Ok(()) => Answer::ok("{}"),
            Err(error) => Answer::refuse(409, &error.to_string()),
        },
    }
}

fn ending(status: ExitStatus) -> (Option<u8>, Option<u8>) {
    let byte = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
    (byte(status.code()), byte(status.signal()))
}

/// The kernel kills for memory by SIGKILL, which a shell around the victim turns into code 137.
fn exit_report(status: ExitStatus) -> ExitReport {
    let (exit_code, signal) = ending(status);
    let was_killed = signal == Some(9) || exit_code == Some(137);
    ExitReport { exit_code, signal, oom_killed: was_killed && cgroup::had_oom_kill(), error: None }
}
