//! The life of the image's process: one poll loop over its output, its end, its signals and the host's questions.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::api::{Attach, State, Status};
use crate::attachment::Attachment;
use crate::cgroup;
use crate::clock;
use crate::connection::{Connection, Progress};
use crate::durations::Durations;
use crate::exit_report::{ExitReport, ending};
use crate::guest_log::{self, Source};
use crate::host_lines::HostLines;
use crate::input::Input;
use crate::kernel_log;
use crate::listener::Listener;
use crate::outbox::Outbox;
use crate::output::Output;
use crate::process::Launcher;
use crate::respond::{Circumstances, Offer, Stream, respond};
use crate::session::Session;
use crate::sys::{self, PollFd, Started};

/// Requests at once; more are closed as they come.
const MAX_CONNECTIONS: usize = 128;
/// Streams at once; more are refused. With its pipes each takes four descriptors, of init's 1024.
const MAX_SESSIONS: usize = 128;
/// struct signalfd_siginfo, signalfd(2).
const SIGINFO_BYTES: usize = 128;

/// The image's process and all that is waited for while it runs.
#[derive(Debug)]
pub struct Supervisor {
    pid: i32,
    ended: Option<ExitStatus>,
    no_children: bool,
    born: Instant,
    executed: Instant,
    durations: Durations,
    kill_at: Option<Instant>,
    drain_until: Option<Instant>,
    signals: File,
    outputs: [Output; 2],
    has_stdin: bool,
    /// The pipe to its standard input, until a host has it.
    stdin: Option<OwnedFd>,
    outbox: Outbox,
    host: Option<HostLines>,
    clock: clock::Follower,
    launcher: Launcher,
    listener: Listener,
    connections: Vec<Connection>,
    sessions: Vec<Session>,
    attachments: Vec<Attachment>,
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
        durations: Durations,
    ) -> std::io::Result<Self> {
        let Started { pid, stdin, stdout, stderr, terminal } = started;
        let has_stdin = stdin.is_some();
        let piped = if has_stdin { Output::awaiting } else { Output::new };
        let out = match terminal {
            Some(terminal) => Output::of_terminal(terminal)?,
            None => piped(stdout, Source::Stdout)?,
        };
        let outputs = [out, piped(stderr, Source::Stderr)?];
        Ok(Self {
            pid,
            ended: None,
            no_children: false,
            born,
            executed: Instant::now(),
            durations,
            kill_at: None,
            drain_until: None,
            signals,
            outputs,
            has_stdin,
            stdin,
            outbox,
            host: None,
            clock: clock::Follower::default(),
            launcher,
            listener,
            connections: Vec::new(),
            sessions: Vec::new(),
            attachments: Vec::new(),
        })
    }

    /// With what kiln says: the clock follows the host's.
    #[must_use]
    pub fn following(mut self, host: HostLines) -> Self {
        self.host = Some(host);
        self
    }

    /// Until the process ended and all that it wrote is in the outbox, which is handed back.
    pub fn run(mut self) -> std::io::Result<(ExitReport, Outbox)> {
        self.outbox.push(&guest_log::started(self.pid));
        self.hear();
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
            && self.sessions.iter().all(Session::is_told)
            && self.attachments.iter().all(Attachment::is_told);
        self.ended.is_some()
            && (drained || self.drain_until.is_some_and(|deadline| Instant::now() >= deadline))
    }

    fn turn(&mut self) -> std::io::Result<()> {
        let mut fds = self.interests();
        sys::poll(&mut fds, self.patience())?;
        // A descriptor that is not asked about is not ready, whatever had its number before.
        let ready: Vec<i32> = fds.iter().filter(|fd| fd.revents != 0).map(|fd| fd.fd).collect();
        if ready.contains(&self.signals.as_raw_fd()) {
            self.take_signals();
        }
        if self.host.as_ref().and_then(HostLines::fd).is_some_and(|fd| ready.contains(&fd)) {
            self.hear();
        }
        for fd in &fds {
            self.outbox.notice(fd);
        }
        for output in &mut self.outputs {
            if output.fd().is_some_and(|fd| ready.contains(&fd)) {
                let (stream, attachments) = (output.stream(), &mut self.attachments);
                output.read(&mut self.outbox, |bytes| {
                    for one in attachments.iter_mut() {
                        one.show(stream, bytes);
                    }
                });
            }
        }
        self.outbox.flush();
        self.insist();
        self.attend(&ready);
        self.serve();
        if ready.contains(&self.listener.fd()) {
            self.accept();
        }
        Ok(())
    }

    /// What kiln has said is done. When it says nothing any more, the clock goes on by itself.
    fn hear(&mut self) {
        let Some(host) = &mut self.host else { return };
        let waiting = std::iter::from_fn(|| host.next_line().ok().flatten());
        if let Some(text) = self.clock.follow(waiting) {
            self.outbox.say(&text);
        }
    }

    /// All streams go as far as they can.
    fn attend(&mut self, ready: &[i32]) {
        let is_ready = |fd: i32| ready.contains(&fd);
        self.sessions.retain_mut(|session| {
            session.advance(is_ready);
            !session.is_over()
        });
        let all_is_shown = self.outputs.iter().all(|output| output.fd().is_none());
        self.attachments.retain_mut(|attachment| {
            if all_is_shown {
                attachment.tell_end();
            }
            attachment.advance(is_ready);
            !attachment.is_over()
        });
    }

    fn interests(&self) -> Vec<PollFd> {
        let read = |fd: i32| PollFd { fd, events: sys::POLLIN, revents: 0 };
        let mut fds = vec![read(self.signals.as_raw_fd()), read(self.listener.fd())];
        fds.extend(self.host.as_ref().and_then(HostLines::fd).map(read));
        fds.extend(self.outbox.interest());
        fds.extend(self.connections.iter().map(Connection::interest));
        if self.outbox.has_room() && self.attachments.iter().all(Attachment::has_room) {
            let outputs = self.outputs.iter().filter(|output| !output.is_full());
            fds.extend(outputs.filter_map(Output::fd).map(read));
        }
        self.sessions.iter().for_each(|session| session.interests(&mut fds));
        self.attachments.iter().for_each(|attachment| attachment.interests(&mut fds));
        fds
    }

    fn patience(&self) -> Option<Duration> {
        let of_sessions = self.sessions.iter().filter_map(Session::deadline);
        let deadlines = self.connections.iter().map(Connection::deadline).chain(of_sessions);
        let host_comes =
            self.outputs.iter().any(Output::is_full).then(|| self.executed + self.durations.attach);
        let next = deadlines.chain(self.kill_at).chain(self.drain_until).chain(host_comes).min();
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
                    self.kill_at = Some(Instant::now() + self.durations.rest);
                    // One that is stopped would not notice.
                    for signal in [sys::SIGTERM, sys::SIGCONT] {
                        let _ = sys::kill(-1, signal);
                    }
                    self.sessions.iter().for_each(Session::on_machine_end);
                    self.outputs.iter_mut().for_each(Output::release);
                    self.attachments.iter_mut().for_each(|one| one.on_end(status));
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

    /// What is still there some time after the image's process ended is killed; a host that does not come is not waited
    /// for.
    fn insist(&mut self) {
        if self.executed.elapsed() >= self.durations.attach {
            self.outputs
                .iter_mut()
                .filter(|output| output.is_full())
                .for_each(|output| drop(output.hand_over()));
        }
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            let _ = sys::kill(-1, sys::SIGKILL);
            self.kill_at = None;
            self.drain_until = Some(Instant::now() + self.durations.drain);
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
        while at < self.connections.len() {
            let now = Circumstances {
                has_room: self.sessions.len() + self.attachments.len() < MAX_SESSIONS,
                input: self.offer(),
            };
            let connection = &mut self.connections[at];
            match connection.advance(|request| respond(request, &status, &self.launcher, now)) {
                Progress::Waits => at += 1,
                Progress::Over => drop(self.connections.swap_remove(at)),
                Progress::Becomes(stream) => {
                    let socket = self.connections.swap_remove(at).into_socket();
                    match stream {
                        Stream::Process(started) => {
                            self.sessions.push(Session::new(socket, started, self.durations));
                        }
                        Stream::Attached(asked) => self.attach(socket, asked),
                    }
                }
            }
        }
    }

    fn offer(&self) -> Offer {
        match (self.outputs[0].terminal(), self.has_stdin, &self.stdin) {
            (Some(_), ..) | (None, true, Some(_)) => Offer::Free,
            (None, true, None) => Offer::Taken,
            (None, false, _) => Offer::Nothing,
        }
    }

    fn attach(&mut self, socket: File, asked: Attach) {
        let mut attachment = if let Some((terminal, seen)) = self.outputs[0].terminal() {
            let made =
                terminal.try_clone().and_then(|terminal| Attachment::to_terminal(socket, terminal, self.pid));
            // Without a descriptor left the host finds the connection closed.
            let Ok(mut attachment) = made else { return };
            attachment.show(self.outputs[0].stream(), if asked.replay { seen } else { &[] });
            attachment
        } else {
            let Some(pipe) = self.stdin.take() else { return };
            Attachment::to_pipe(socket, Input::new(Some(pipe.into()), false), self.pid)
        };
        for output in &mut self.outputs {
            let kept = output.hand_over();
            attachment.show(output.stream(), if asked.replay { &kept } else { &[] });
        }
        asked.size.into_iter().for_each(|size| attachment.resize(size));
        self.attachments.push(attachment);
    }

    fn accept(&mut self) {
        while let Some(socket) = self.listener.accept() {
            if self.connections.len() < MAX_CONNECTIONS {
                self.connections.push(Connection::new(socket, self.durations.request));
            }
        }
    }
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
