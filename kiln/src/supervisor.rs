//! One VM's life: the loop over everything that can happen, and what follows from it.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::Instant;

use crate::clock::Timestamp;
use crate::collector::Collector;
use crate::config::Config;
use crate::durations::Durations;
use crate::exit_listener::ExitReports;
use crate::exit_report::ExitReport;
use crate::guest::GuestLog;
use crate::host_log::{Entry, Level, Origin, Source};
use crate::listen;
use crate::notify;
use crate::outbox::Outbox;
use crate::run_outcome::Outcome;
use crate::seccomp;
use crate::secrets::Secrets;
use crate::start::Start;
use crate::sys::{self, POLLIN, POLLOUT, PollFd};
use crate::vmm::{self, Vmm};

/// Why supervision could not begin or go on.
#[derive(Debug)]
pub enum Error {
    /// A socket of ours.
    Listen(String, io::Error),
    /// A kernel facility.
    Kernel(&'static str, io::Error),
    /// Firecracker.
    Vmm(vmm::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(path, error) => write!(out, "cannot listen on {path}: {error}"),
            Self::Kernel(what, error) => write!(out, "{what}: {error}"),
            Self::Vmm(error) => error.fmt(out),
        }
    }
}

/// What a descriptor that is ready stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Signals,
    Clock,
    VmmEnd,
    VmmOutput,
    GuestListener,
    GuestStream,
    Exits,
    CollectorNames,
    Collector,
}

/// One VM: its Firecracker, its guest's connections, and how far it has come.
#[derive(Debug)]
pub struct Supervisor<'a> {
    config: &'a Config,
    durations: Durations,
    signals: File,
    clock: File,
    collector: Collector,
    guest: GuestLog,
    exits: ExitReports,
    vmm: Vmm,
    outcome: Outcome,
    guest_end_by: Option<Instant>,
    last_lines_by: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    /// Listens, then starts Firecracker, then gives up every right that is not needed any more.
    pub fn start(
        config: &'a Config,
        start: Start,
        secrets: Secrets,
        durations: Durations,
    ) -> Result<Self, Error> {
        let kernel = |what| move |error| Error::Kernel(what, error);
        let signals = sys::take_signals().map_err(kernel("signalfd"))?;
        let clock = sys::watch_clock().map_err(kernel("timerfd"))?.into();
        let names = sys::watch_names(c"/").map_err(kernel("inotify"))?;
        let origin = Origin { vm_id: config.id.clone(), run: start.run };
        let outbox = Outbox::new(origin, config.log_ring_kib * 1024);
        let collector = Collector::new(config.log_socket_path.clone(), names, outbox, durations.retry);
        listen::remove_stale(&config.vsock_uds_path);
        let listen = |port| {
            let path = config.port_socket(port);
            listen::listen(&path).map_err(|error| Error::Listen(path.display().to_string(), error))
        };
        let log = listen(config.vsock_stdout_port)?;
        let guest = GuestLog::new(log, start.line, secrets, durations.complaint);
        let exits = ExitReports::new(listen(config.vsock_exit_port)?, durations);
        let vmm = Vmm::spawn(&config.firecracker, config.console_ring_kib * 1024).map_err(Error::Vmm)?;
        let outcome = Outcome::default();
        let (guest_end_by, last_lines_by) = (None, None);
        let signals = signals.into();
        let mut made = Self {
            config,
            durations,
            signals,
            clock,
            collector,
            guest,
            exits,
            vmm,
            outcome,
            guest_end_by,
            last_lines_by,
        };
        made.debug(&format!("firecracker started, pid {}", made.vmm.pid()));
        seccomp::confine().map_err(kernel("seccomp")).inspect_err(|_| made.vmm.kill())?;
        Ok(made)
    }

    /// Supervises until the VM has ended and its last lines are in the collector's files, or cannot be brought there;
    /// then records what became of it, or says why that cannot be done.
    pub fn run(mut self) -> (Outcome, Result<(), String>) {
        let (mut fds, mut tokens) = (Vec::new(), Vec::new());
        while !self.is_done() {
            fds.clear();
            tokens.clear();
            self.watch(|fd, events, token| {
                fds.push(PollFd { fd, events, revents: 0 });
                tokens.push(token);
            });
            let left = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
            if let Err(error) = sys::poll(&mut fds, left) {
                self.end_vmm(format!("kiln cannot go on: poll: {error}"));
                self.vmm.reap();
                break;
            }
            for (fd, token) in fds.iter().zip(&tokens).filter(|(fd, _)| fd.revents != 0) {
                self.handle(*token, fd.revents);
            }
            self.settle();
            self.keep_time();
            self.collector.flush();
        }
        self.outcome.vmm_ended(&self.vmm);
        for path in [
            self.config.port_socket(self.config.vsock_stdout_port),
            self.config.port_socket(self.config.vsock_exit_port),
            // Firecracker's, which its own seccomp filter keeps from removing it.
            self.config.vsock_uds_path.clone(),
        ] {
            let _ = fs::remove_file(path);
        }
        let written = self.outcome.record(&self.config.exit_status_path);
        if let Err(error) = &written {
            // Into the log as well: the starter is gone.
            self.collector.push(&Entry::text(Level::Error, Source::Kiln, error));
            self.collector.flush();
        }
        (self.outcome, written)
    }

    fn watch(&self, mut add: impl FnMut(i32, i16, Token)) {
        add(self.signals.as_raw_fd(), POLLIN, Token::Signals);
        add(self.clock.as_raw_fd(), POLLIN, Token::Clock);
        self.vmm.pidfd().into_iter().for_each(|fd| add(fd, POLLIN, Token::VmmEnd));
        self.vmm.pipes().for_each(|fd| add(fd, POLLIN, Token::VmmOutput));
        add(self.guest.listener(), POLLIN, Token::GuestListener);
        let reads = if self.may_read_guest() { POLLIN } else { 0 };
        let writes = if self.guest.has_unsent() { POLLOUT } else { 0 };
        if reads | writes != 0 {
            self.guest.stream().into_iter().for_each(|fd| add(fd, reads | writes, Token::GuestStream));
        }
        self.exits.fds().for_each(|fd| add(fd, POLLIN, Token::Exits));
        add(self.collector.names(), POLLIN, Token::CollectorNames);
        if let Some((fd, unsent)) = self.collector.stream() {
            add(fd, if unsent { POLLIN | POLLOUT } else { POLLIN }, Token::Collector);
        }
    }

    fn handle(&mut self, token: Token, events: i16) {
        match token {
            Token::Signals => self.on_signal(),
            Token::VmmEnd => self.on_vmm_end(),
            Token::VmmOutput => self.vmm.read(&mut self.collector),
            Token::GuestListener => self.guest.accept(),
            Token::Clock => self.on_clock_set(),
            // A guest that went away is seen by reading, which waits until there is room for it.
            Token::GuestStream if events == POLLOUT || !self.may_read_guest() => self.guest.send(),
            Token::GuestStream => {
                self.guest.send();
                if let Some(pid) = self.guest.read(&mut self.collector) {
                    self.on_started(pid);
                }
            }
            Token::Exits => {
                self.exits.read();
                self.exits.accept();
                self.exits.read();
            }
            Token::CollectorNames => self.collector.on_names(),
            // Writing is done after every turn; what is left are the collector's words and its end.
            Token::Collector if events != POLLOUT => self.collector.on_readable(),
            Token::Collector => {}
        }
    }

    /// The guest waits when a collector is slow, unless the VM is about to end: then the end comes first.
    fn may_read_guest(&self) -> bool {
        self.exits.is_pressing() || self.collector.has_room(self.guest.room_needed())
    }

    fn on_signal(&mut self) {
        let mut siginfo = [0; 128];
        let Ok(len) = self.signals.read(&mut siginfo) else {
            return;
        };
        if let Some(signal) = sys::signal_number(&siginfo[..len]) {
            self.end_vmm(format!("killed by signal {signal} to kiln"));
        }
    }

    fn on_clock_set(&mut self) {
        // Fails with ECANCELED, which is all that it says, and arms itself again: timerfd_create(2).
        let _ = self.clock.read(&mut [0; 8]);
        self.guest.tell_time();
    }

    fn on_vmm_end(&mut self) {
        self.vmm.reap();
        // Firecracker may have connected between two looks of one poll.
        self.guest.accept();
        self.exits.accept();
        self.exits.read();
        self.last_lines_by.get_or_insert_with(|| Instant::now() + self.durations.last_lines);
        self.guest_end_by = None;
        self.debug("firecracker ended");
    }

    fn on_started(&mut self, pid: u32) {
        if self.outcome.started_at.is_some() {
            return;
        }
        self.outcome.started_at = Some(Timestamp::now());
        if let Err(error) = notify::ready(&self.config.notify_socket_path, &format!("pid {pid} in the guest"))
        {
            self.warn(&format!("cannot tell the starter: {error}"));
        }
        // The starter's pipe must end here, else it would wait for this VM's whole life.
        if let Err(error) = sys::detach_output() {
            self.warn(&format!("cannot let go of standard output: {error}"));
        }
    }

    fn settle(&mut self) {
        if !self.exits.is_waiting() {
            return;
        }
        self.guest.accept();
        if let Some(report) = self.exits.settle(self.guest.reporter(), self.guest.is_over()) {
            self.on_report(report);
        }
    }

    fn on_report(&mut self, report: ExitReport) {
        self.debug(&format!("exit report: {report:?}"));
        self.outcome.reported(report);
        if self.vmm.ended().is_none() {
            self.guest_end_by = Some(Instant::now() + self.durations.guest_end);
        }
    }

    fn keep_time(&mut self) {
        self.collector.retry();
        if self.clock_at().is_some_and(|at| at <= Instant::now()) {
            self.guest.tell_time();
        }
        if self.exits.expire() > 0 {
            self.warn("exit report refused: the log did not say who may report");
        }
        if self.guest_end_by.is_some_and(|at| at <= Instant::now()) {
            self.end_vmm(format!(
                "the guest did not end within {} s of its exit report",
                self.durations.guest_end.as_secs()
            ));
        }
    }

    fn end_vmm(&mut self, why: String) {
        if self.vmm.ended().is_none() {
            self.outcome.killed_because.get_or_insert(why);
            self.guest_end_by = None;
            self.vmm.kill();
        }
    }

    fn is_done(&self) -> bool {
        let read = self.guest.is_over() && self.vmm.pipes().next().is_none() && !self.exits.is_waiting();
        let late = self.last_lines_by.is_some_and(|at| at <= Instant::now());
        self.vmm.ended().is_some() && (late || (read && self.collector.is_idle()))
    }

    fn deadline(&self) -> Option<Instant> {
        let ends = [self.guest_end_by, self.last_lines_by, self.exits.deadline()];
        ends.into_iter().chain([self.collector.retry_at(), self.clock_at()]).flatten().min()
    }

    /// When the guest is to be told of the time again.
    fn clock_at(&self) -> Option<Instant> {
        self.guest.told_at().map(|at| at + self.durations.clock)
    }

    fn warn(&mut self, text: &str) {
        self.collector.push(&Entry::text(Level::Warn, Source::Kiln, text));
    }

    fn debug(&mut self, text: &str) {
        if self.config.log.debug {
            self.collector.push(&Entry::text(Level::Debug, Source::Kiln, text));
        }
    }
}
