//! What kiln does from its start to its exit code.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Config};
use crate::durations::Durations;
use crate::run_outcome::{self, Outcome};
use crate::secrets::Secrets;
use crate::start::Start;
use crate::supervisor::Supervisor;
use crate::{exit_report, notify, sys};

/// Where the jail has it.
pub(crate) const CONFIG: &str = "/kiln.json";
/// Where the starter has put it.
pub(crate) const START: &str = "/start.json";

/// Where the starter listens, if it has secrets to hand over.
pub(crate) const SECRETS: &str = "/secrets.sock";

/// The whole program: reads /kiln.json, supervises, and returns the code that says how the VM ended.
pub fn run(durations: Durations) -> ExitCode {
    if let Err(error) = sys::harden(c"kiln") {
        return fail(&format!("cannot confine itself: {error}"));
    }
    match inputs(durations) {
        Ok((config, start, secrets)) => supervise(&config, start, secrets, durations),
        Err(error) => fail(&error.to_string()),
    }
}

fn inputs(durations: Durations) -> Result<(Config, Start, Secrets), config::Error> {
    let id = config::jail_id(std::env::args_os())?;
    let (config, start) = (Config::read(Path::new(CONFIG), &id)?, Start::read(Path::new(START))?);
    let secrets = if start.secrets {
        Secrets::receive(Path::new(SECRETS), durations.secrets)?
    } else {
        Secrets::default()
    };
    Ok((config, start, secrets))
}

fn supervise(config: &Config, start: Start, secrets: Secrets, durations: Durations) -> ExitCode {
    run_outcome::record_panics(config.exit_status_path.clone());
    let (outcome, written) = match Supervisor::start(config, start, secrets, durations) {
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
    ExitCode::from(exit_report::CODE_NO_PROCESS)
}

/// Speaks to the starter; one that is gone is not a reason to panic, as `eprintln` would. All that is ever said fits
/// into a pipe that nobody reads.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("kiln: {line}\n").as_bytes());
}
