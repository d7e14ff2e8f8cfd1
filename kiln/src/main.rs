//! kiln, the supervisor inside the jail: starts Firecracker, carries the guest's log and exit status out.
//!
//! The jailer becomes kiln by exec, so kiln runs as the VM's own uid, in its chroot and cgroup, with fds 0 to 2 and
//! no environment. One thread, one poll loop; docs/how-it-starts.md shows its place in the chain.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use kiln::config::{self, Config};
use kiln::outcome::{self, Outcome};
use kiln::supervisor::Supervisor;
use kiln::{notify, report, sys};

fn main() -> ExitCode {
    if let Err(error) = sys::harden(c"kiln") {
        return fail(&format!("cannot confine itself: {error}"));
    }
    let config =
        config::jail_id(std::env::args_os()).and_then(|id| Config::read(Path::new("/kiln.json"), &id));
    match config {
        Ok(config) => supervise(&config),
        Err(error) => fail(&error.to_string()),
    }
}

fn supervise(config: &Config) -> ExitCode {
    outcome::record_panics(config.exit_status_path.clone());
    let (outcome, written) = match Supervisor::start(config) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            let outcome = Outcome::not_begun(error.to_string());
            let written = outcome.record(&config.exit_status_path);
            (outcome, written)
        }
    };
    if let Err(error) = written {
        say(&error);
    }
    if let Some(reason) = outcome.failed_start() {
        say(&reason);
        outcome.last_lines().iter().for_each(|line| say(&format!("  {line}")));
        let _ = notify::failed(&config.notify_socket_path, &reason);
    }
    ExitCode::from(outcome.code())
}

fn fail(reason: &str) -> ExitCode {
    say(reason);
    ExitCode::from(report::CODE_NO_PROCESS)
}

/// Speaks to the starter; one that is gone is no reason to panic, as `eprintln` would. All that is ever said fits
/// into a pipe that nobody reads.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("kiln: {line}\n").as_bytes());
}
