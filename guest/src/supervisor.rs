//! The life of the image's process: one poll loop over its output, its end, its signals and the host's questions.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::api::{self, Reaction, State, Status};
use crate::cgroup;
use crate::connection::{Connection, Progress};
use crate::failure::Failure;
use crate::grace::Grace;
use crate::http::{Answer, Request};
use crate::kernel_log;
use crate::listener::Listener;
use crate::outbox::Outbox;
use crate::output::Output;
use crate::process::Launcher;
use crate::record::{self, ExitReport, Source, ending};
use crate::session::Session;
use crate::stat;
use crate::sys::{self, PollFd, Started};

/// Requests at once; more are closed as they come.
const MAX_CONNECTIONS: usize = 128;
/// Streams at once; more are refused. With its pipes each takes four descriptors, of init's 1024.
const MAX_SESSIONS: usize = 128;
/// How long killed processes may take to go.
const DRAIN: Duration = Duration::from_secs(3);
/// struct signalfd_siginfo, signalfd(2).
const SIGINFO_BYTES: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct Supervisor {
    pid: i32,
    ended: Option<ExitStatus>,
    no_children: bool,
    born: Instant,
    grace: Grace,
    kill_at: Option<Instant>,
    drain_until: Option<Instant>,
    signals: File,
    outputs: [Output; 2],
    outbox: Outbox,
    launcher: Launcher,
    listener: Listener,
    connections: Vec<Connection>,
    sessions: Vec<Session>,
}

impl Supervisor {
    /// For the image's process, which was just executed.
    pub fn new(
        started: Started,
        launcher: Launcher,
        signals: File,
        outbox: Outbox,
        listener: Listener,
        born: Instant,
    ) -> std::io::Result<Self> {
        let outputs =
            [Output::new(started.stdout, Source::Stdout)?, Output::new(started.stderr, Source::Stderr)?];
        Ok(Self {
            pid: started.pid,
            ended: None,
            no_children: false,
            born,
            grace: Grace::default(),
            kill_at: None,
            drain_until: None,
            signals,
            outputs,
            outbox,
            launcher,
            listener,
            connections: Vec::new(),
            sessions: Vec::new(),
        })
    }

    /// With other patience than a guest's.
    #[must_use]
    pub fn with_grace(self, grace: Grace) -> Self {
        Self { grace, ..self }
    }

    /// Until the process ended and all that it wrote is in the outbox, which is handed back.
    pub fn run(mut self) -> std::io::Result<(ExitReport, Outbox)> {
        self.outbox.push(&record::started(self.pid));
        self.outbox.flush();
        while !self.is_over() {
            self.turn()?;
        }
        for output in &mut self.outputs {
            output.finish(&mut self.outbox);
        }
        let report = self
            .ended
            .map(|status| exit_report(status, self.launcher.runs_init_system()))
            .unwrap_or_default();
        Ok((report, self.outbox))
    }

    fn is_over(&self) -> bool {
        let drained = self.no_children
            && self.outputs.iter().all(|output| output.fd().is_none())
            && self.sessions.iter().all(Session::is_told);
        self.ended.is_some()
            && (drained || self.drain_until.is_some_and(|deadline| Instant::now() >= deadline))
    }

    fn turn(&mut self) -> std::io::Result<()> {
        let mut fds = self.interests();
        sys::poll(&mut fds, self.patience())?;
        // A descriptor that is not asked about is not ready, whoever had its number before.
        let ready: Vec<i32> = fds.iter().filter(|fd| fd.revents != 0).map(|fd| fd.fd).collect();
        if ready.contains(&self.signals.as_raw_fd()) {
            self.take_signals();
        }
        for fd in &fds {
            self.outbox.notice(fd);
        }
        for output in &mut self.outputs {
            if output.fd().is_some_and(|fd| ready.contains(&fd)) {
                output.read(&mut self.outbox);
            }
        }
        self.outbox.flush();
        self.insist();
        self.sessions.retain_mut(|session| {
            session.advance(|fd| ready.contains(&fd));
            !session.is_over()
        });
        self.serve();
        if ready.contains(&self.listener.fd()) {
            self.accept();
        }
        Ok(())
    }

    fn interests(&self) -> Vec<PollFd> {
        let read = |fd: i32| PollFd { fd, events: sys::POLLIN, revents: 0 };
        let mut fds = vec![read(self.signals.as_raw_fd()), read(self.listener.fd())];
        fds.extend(self.outbox.interest());
        fds.extend(self.connections.iter().map(Connection::interest));
        if self.outbox.has_room() {
            fds.extend(self.outputs.iter().filter_map(Output::fd).map(read));
        }
        self.sessions.iter().for_each(|session| session.interests(&mut fds));
        fds
    }

    fn patience(&self) -> Option<Duration> {
        let of_sessions = self.sessions.iter().filter_map(Session::deadline);
        let deadlines = self.connections.iter().map(Connection::deadline).chain(of_sessions);
        let next = deadlines.chain(self.kill_at).chain(self.drain_until).min();
        next.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn take_signals(&mut self) {
        let mut info = [0; SIGINFO_BYTES];
        while let Ok(SIGINFO_BYTES) = self.signals.read(&mut info) {
            // ssi_signo is the first field.
            let number = info.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            match number {
                sys::SIGCHLD => self.reap(),
                sys::SIGPIPE => {}
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
                    self.kill_at = Some(Instant::now() + self.grace.rest);
                    // One that is stopped would not notice.
                    for signal in [sys::SIGTERM, sys::SIGCONT] {
                        let _ = sys::kill(-1, signal);
                    }
                    self.sessions.iter().for_each(Session::on_machine_end);
                }
                Ok(Some((pid, status))) => {
                    if let Some(session) = self.sessions.iter_mut().find(|session| session.is_of(pid)) {
                        session.on_end(status);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.no_children = true;
                    break;
                }
            }
        }
    }

    /// What is still there some time after the image's process ended is killed.
    fn insist(&mut self) {
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            let _ = sys::kill(-1, sys::SIGKILL);
            self.kill_at = None;
            self.drain_until = Some(Instant::now() + DRAIN);
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
        let mut at = 0;
        while let Some(connection) = self.connections.get_mut(at) {
            let has_room = self.sessions.len() < MAX_SESSIONS;
            match connection.advance(|request| respond(request, &status, &self.launcher, has_room)) {
                Progress::Waits => at += 1,
                Progress::Over => drop(self.connections.swap_remove(at)),
                Progress::Becomes(started) => {
                    let socket = self.connections.swap_remove(at).into_socket();
                    self.sessions.push(Session::new(socket, started, self.grace.stream));
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Some(socket) = self.listener.accept() {
            if self.connections.len() < MAX_CONNECTIONS {
                self.connections.push(Connection::new(socket));
            }
        }
    }
}

/// Does what a request asks for: an answer, or a process whose stream the connection becomes.
fn respond(
    request: &Request<'_>,
    status: &Status,
    launcher: &Launcher,
    has_room: bool,
) -> Result<Started, Answer> {
    match api::react(request, status) {
        Reaction::Answer(answer) => Err(answer),
        Reaction::Signal(pid, signal) => Err(match sys::kill(pid, signal) {
            Ok(()) => Answer::ok("{}"),
            Err(error) => Answer::refuse(409, &error.to_string()),
        }),
        Reaction::Stat(at) => Err(stat::answer(&at.path, at.follow)),
        Reaction::Exec(_) | Reaction::Copy(_) if !has_room => {
            Err(Answer::refuse(429, "too many streams at once"))
        }
        Reaction::Exec(asked) => launcher.exec(&asked).map_err(not_started),
        Reaction::Copy(asked) => launcher.copy(&asked).map_err(not_started),
    }
}

fn not_started(Failure { code, text }: Failure) -> Answer {
    Answer { status: 422, body: serde_json::json!({ "error": text, "exit_code": code }).to_string() }
}

/// The kernel kills for memory by SIGKILL, which a shell around the victim turns into code 137. An init system that
/// switches the machine off dies by SIGINT, and by SIGHUP when it restarts it: reboot(2), in PID namespaces.
fn exit_report(status: ExitStatus, is_init_system: bool) -> ExitReport {
    let (exit_code, signal) = match ending(status) {
        (None, Some(2 | 1)) if is_init_system => (Some(0), None),
        ending => ending,
    };
    let was_killed = signal == Some(9) || exit_code == Some(137);
    let oom_killed = was_killed && cgroup::had_oom_kill();
    let error = if oom_killed { kernel_log::last_oom_kill() } else { None };
    ExitReport { exit_code, signal, oom_killed, error }
}
