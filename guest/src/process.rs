//! Makes and starts the image's process.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::env;
use crate::failure::{Failure, reason};
use crate::lookup;
use crate::mounts::make_directory;
use crate::run::Process;
use crate::sys::{self, Exec, Started, Step};
use crate::user;

/// RLIMIT_NOFILE, soft and hard: systemd's default since 240, and so Docker's since 25 (its unit no longer sets
/// any). A soft limit of 1024 is what programs that use select(2) or close all descriptors need.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// Starts it; `cgroup` is the file by which it joins its group.
pub fn start(process: &Process, hostname: &str, cgroup: Option<File>) -> Result<Started, Failure> {
    let user = user::look_up(&process.user)?;
    let env = env::complete(&process.env, hostname, &user.home);
    let name = process.args.first().map(String::as_str).unwrap_or_default();
    let cwd = Path::new("/").join(&process.cwd);
    make_directory(&cwd, 0o755)?;
    let program = lookup::program(name, env::get(&env, "PATH").unwrap_or_default(), &cwd)?;
    let exec = Exec {
        path: text(program.as_os_str().as_bytes())?,
        args: texts(&process.args)?,
        env: texts(&env)?,
        cwd: text(cwd.as_os_str().as_bytes())?,
        uid: user.uid,
        gid: user.gid,
        groups: user.groups,
        open_files: OPEN_FILES,
        cgroup,
    };
    sys::spawn(exec).map_err(|(step, error)| match step {
        Step::Exec => lookup::exec_failure(name, &error),
        Step::Cwd => Failure::new(format!("enter {}: {}", cwd.display(), reason(&error))),
        Step::User => Failure::new(format!("become user {:?}: {}", process.user, reason(&error))),
        Step::Fork | Step::Cgroup | Step::Session => {
            Failure::new(format!("start the process: {step:?}: {}", reason(&error)))
        }
    })
}

fn texts(strings: &[String]) -> Result<Vec<CString>, Failure> {
    strings.iter().map(|string| text(string.as_bytes())).collect()
}

fn text(bytes: &[u8]) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::new("run.json: process: a text holds a NUL"))
}
