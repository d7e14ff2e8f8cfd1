//! The order of things, from the kernel's hands to the image's process and back.
#![forbid(unsafe_code)]

use std::time::Instant;

use crate::end::{self, HOST_CID};
use crate::failure::{Doing, Failure};
use crate::listener::Listener;
use crate::outbox::Outbox;
use crate::process::Launcher;
use crate::record::{self, ExitReport};
use crate::run::Run;
use crate::supervisor::Supervisor;
use crate::{cgroup, etc, files, mounts, net, root, sys};

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
    end::catch_panics();
    let mut outbox = Outbox::new(None);
    let report = match live(&mut outbox, born) {
        Ok(report) => report,
        Err(failure) => {
            outbox.say(&failure.text);
            ExitReport { exit_code: Some(failure.code), error: Some(failure.text), ..ExitReport::default() }
        }
    };
    end::end(&report, outbox)
}

fn live(outbox: &mut Outbox, born: Instant) -> Result<ExitReport, Failure> {
    for mount in &mounts::BASIC {
        mount.make()?;
    }
    // The kernel starts init without fds 0 to 2 when there is no console.
    sys::null_stdio().doing("open /dev/null")?;
    let signals = sys::take_signals().doing("take the signals")?;
    let run = Run::load()?;
    end::report_to(run.vsock_exit_port);
    let log = sys::vsock_connect(HOST_CID, run.vsock_stdout_port).doing("connect to the host's log")?;
    *outbox = Outbox::new(Some(log));
    outbox.push(&record::hello(end::key().doing("make a key")?));
    let mut step = |text: &str| {
        if run.log.debug {
            outbox.say(&format!(
                "{text} ({} ms, machine up {} s)",
                born.elapsed().as_millis(),
                end::uptime()
            ));
            outbox.flush();
        }
    };
    step("connected");
    root::enter(&run.root)?;
    mounts::populate()?;
    step(&root::describe(&run.root));
    etc::write_all(&run)?;
    net::set_up(&run.ips)?;
    net::relax()?;
    step("network is up");
    let listener = Listener::vsock(run.vsock_api_port).doing("listen for the host")?;
    let groups = cgroup::make()?;
    let name = run.process.args.first().cloned().unwrap_or_default();
    let mut launcher = Launcher::new(run.process, run.hostname).with_limits(groups);
    launcher.make_cwd()?;
    for tmpfs in &run.tmpfs {
        mounts::make_tmpfs(tmpfs)?;
    }
    if run.read_only {
        mounts::make_read_only()?;
    }
    let started = launcher.start()?;
    step(&format!("executed {name}"));
    let connected = std::mem::replace(outbox, Outbox::new(None));
    let supervisor =
        Supervisor::new(started, launcher, signals, connected, listener, born).doing("watch the process")?;
    let (report, last) = supervisor.run().doing("watch the process")?;
    *outbox = last;
    Ok(report)
}
