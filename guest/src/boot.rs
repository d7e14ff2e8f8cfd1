//! The order of things, from the kernel's hands to the image's process and back.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::durations::Durations;
use crate::end::{self, HOST_CID};
use crate::exit_report::ExitReport;
use crate::failure::{Doing, Failure};
use crate::guest_log;
use crate::host_lines::HostLines;
use crate::listener::Listener;
use crate::outbox::Outbox;
use crate::process::Launcher;
use crate::run::{Run, Tmpfs};
use crate::secrets::Secrets;
use crate::ssh;
use crate::start::Start;
use crate::supervisor::Supervisor;
use crate::sys::{self, PollFd, Started};
use crate::{cgroup, etc, files, mounts, net, root, volumes};

/// The whole life of the guest.
pub fn run() -> ! {
    if let Some(status) = files::run_if_asked() {
        std::process::exit(status);
    }
    if !sys::is_pid_1() {
        // Anything else would restart the machine it is tried on.
        std::process::exit(2);
    }
    let born = Instant::now();
    let durations = Durations::default();
    end::catch_panics(durations);
    let mut outbox = Outbox::new(None);
    let report = match live(&mut outbox, born, durations) {
        Ok(report) => report,
        Err(failure) => {
            outbox.say(&failure.text);
            ExitReport { exit_code: Some(failure.code), error: Some(failure.text), ..ExitReport::default() }
        }
    };
    end::end(&report, outbox, durations)
}

fn live(outbox: &mut Outbox, born: Instant, durations: Durations) -> Result<ExitReport, Failure> {
    let mut signals = begin()?;
    let run = Run::load()?;
    let mut host;
    (*outbox, host) = connect(&run)?;
    let steps = Steps { born, are_told: run.log.debug };
    steps.tell(outbox, "connected");
    root::enter(&run.root)?;
    mounts::populate()?;
    steps.tell(outbox, &root::describe(&run.root));
    let start = Start::receive(&mut host, durations.start)?;
    let mut secrets = Secrets::default();
    if start.secrets {
        secrets = Secrets::receive(&mut host, durations.start)?;
    }
    etc::write_all(&run, &start)?;
    net::set_up(&run.ips)?;
    net::relax()?;
    steps.tell(outbox, "network is up");
    let listener = Listener::vsock(run.vsock_api_port).doing("listen for the host")?;
    let groups = cgroup::make()?;
    let name = run.process.args.first().cloned().unwrap_or_default();
    let variables = std::mem::take(&mut secrets.env);
    let mut launcher = Launcher::new(run.process, run.hostname).with_limits(groups).with_variables(variables);
    make_places(&run.tmpfs, &run.volumes, run.read_only, outbox)?;
    // Behind those, in one of which it may be.
    launcher.make_cwd()?;
    if !secrets.files.is_empty() {
        if launcher.is_for_init_system() {
            mounts::make_run_a_mount()?;
        }
        secrets.make(&launcher.user()?)?;
        steps.tell(outbox, "secrets are there");
    }
    drop(secrets);
    if !run.ssh_keys.is_empty() {
        let_in(&run.ssh_keys, &launcher, &mut signals, outbox, durations.host_keys)?;
        steps.tell(outbox, "ssh keys are there");
    }
    if run.read_only {
        mounts::make_read_only()?;
    }
    let started = launcher.start()?;
    let place = if launcher.runs_init_system() { " as PID 1 of a namespace" } else { "" };
    steps.tell(outbox, &format!("executed {name}{place}"));
    let connected = std::mem::replace(outbox, Outbox::new(None));
    let supervisor = Supervisor::new(started, launcher, signals, connected, listener, born, durations)
        .doing("watch the process")?;
    let (report, last) = supervisor.following(host).run().doing("watch the process")?;
    *outbox = last;
    Ok(report)
}

/// Makes what all else needs, and takes the signals.
fn begin() -> Result<File, Failure> {
    for mount in &mounts::BASIC {
        mount.make()?;
    }
    // The kernel starts init without fds 0 to 2 when there is no console.
    sys::null_stdio().doing("open /dev/null")?;
    sys::take_signals().doing("take the signals")
}

/// Makes the file systems in memory that were asked for, and the folders that the image declares as volumes. A volume
/// that cannot be made is told of: the process may do without.
fn make_places(
    tmpfs: &[Tmpfs],
    volumes: &[String],
    read_only: bool,
    outbox: &mut Outbox,
) -> Result<(), Failure> {
    for one in tmpfs {
        mounts::make_tmpfs(one)?;
    }
    for volume in volumes {
        if let Err(failure) = volumes::make(volume, read_only) {
            outbox.say(&failure.text);
        }
    }
    Ok(())
}

/// Lets those in by ssh who have one of these keys.
fn let_in(
    keys: &[String],
    launcher: &Launcher,
    signals: &mut File,
    outbox: &mut Outbox,
    patience: Duration,
) -> Result<(), Failure> {
    ssh::authorize(keys, &launcher.user()?)?;
    ssh::make_folder()?;
    make_host_keys(launcher, signals, outbox, patience);
    Ok(())
}

/// Opens the log, with the key that tells init's report from others as its first record; and what kiln says
/// on the same connection.
fn connect(run: &Run) -> Result<(Outbox, HostLines), Failure> {
    end::report_to(run.vsock_exit_port);
    let log = sys::vsock_connect(HOST_CID, run.vsock_stdout_port).doing("connect to the host's log")?;
    let start = log.try_clone().doing("keep the host's log")?;
    let mut outbox = Outbox::new(Some(log));
    outbox.push(&guest_log::hello(end::key().doing("make a key")?));
    Ok((outbox, HostLines::new(start)))
}

/// How far init is, and when: told only where the host asked for it.
struct Steps {
    born: Instant,
    are_told: bool,
}

impl Steps {
    fn tell(&self, outbox: &mut Outbox, text: &str) {
        if self.are_told {
            let (since, uptime) = (self.born.elapsed().as_millis(), end::uptime());
            outbox.say(&format!("{text} ({since} ms, machine up {uptime} s)"));
            outbox.flush();
        }
    }
}

/// Makes the guest's own ssh keys where they are needed. One that cannot is told of: the process may do without.
fn make_host_keys(launcher: &Launcher, signals: &mut File, outbox: &mut Outbox, patience: Duration) {
    let Some(maker) = ssh::maker() else { return };
    let made = launcher.help(&maker, &["-A"]).and_then(|started| finish(&started, signals, patience));
    if let Err(failure) = made {
        outbox.say(&format!("ssh host keys were not made: {failure}"));
    }
}

/// Waits for the only child there is. What it writes stays in its pipes, which are closed then.
fn finish(child: &Started, signals: &mut File, patience: Duration) -> Result<(), Failure> {
    let until = Instant::now() + patience;
    loop {
        match sys::reap().doing("wait")? {
            Some((pid, status)) if pid == child.pid && status.success() => return Ok(()),
            Some((pid, status)) if pid == child.pid => return Err(Failure::new(status.to_string())),
            Some(_) => continue,
            None => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = sys::kill(child.pid, sys::SIGKILL);
            return Err(Failure::new(format!("not within {} s", patience.as_secs())));
        }
        let mut fds = [PollFd { fd: signals.as_raw_fd(), events: sys::POLLIN, revents: 0 }];
        sys::poll(&mut fds, Some(left)).doing("wait")?;
        // That there was a signal is all that matters; one that is not the child's comes from nobody yet.
        let _ = signals.read(&mut [0; 4096]);
    }
}
