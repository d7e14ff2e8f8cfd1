//! Makes and starts the image's process, and those that the host asks for beside it.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::api;
use crate::env;
use crate::failure::{Failure, reason};
use crate::files;
use crate::lookup;
use crate::mounts::make_directory;
use crate::run::Process;
use crate::sys::{self, Exec, Started, Step, Streams};
use crate::user::{self, User};

/// RLIMIT_NOFILE, soft and hard: systemd's default since 240, and so Docker's since 25 (its unit no longer sets
/// any). A soft limit of 1024 is what programs that use select(2) or close all descriptors need.
pub const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// What all processes that the host asks for have in common.
#[derive(Debug)]
pub struct Launcher {
    image: Process,
    hostname: String,
    cgroup: Option<File>,
    open_files: Option<(u64, u64)>,
}

/// One process to be.
struct Wish<'a> {
    args: &'a [String],
    env: Vec<String>,
    cwd: PathBuf,
    user: &'a User,
    streams: Streams,
}

impl Launcher {
    /// For processes that are in no group and keep init's own limits.
    pub fn new(image: Process, hostname: String) -> Self {
        Self { image, hostname, cgroup: None, open_files: None }
    }

    /// With the machine's: the file by which a process joins its group, and the limit of open files.
    #[must_use]
    pub fn with_limits(self, cgroup: File, open_files: (u64, u64)) -> Self {
        Self { cgroup: Some(cgroup), open_files: Some(open_files), ..self }
    }

    /// Starts the image's process, in a working directory that is made when it is missing.
    pub fn start(&self) -> Result<Started, Failure> {
        let user = user::look_up(&self.image.user)?;
        let cwd = Path::new("/").join(&self.image.cwd);
        make_directory(&cwd, 0o755)?;
        let env = env::complete(&self.image.env, &self.hostname, &user.home);
        self.spawn(Wish { args: &self.image.args, env, cwd, user: &user, streams: Streams::Output })
    }

    /// Starts a further process beside it.
    pub fn exec(&self, asked: &api::Exec) -> Result<Started, Failure> {
        let user = user::look_up(asked.user.as_ref().unwrap_or(&self.image.user))?;
        let cwd = Path::new("/").join(asked.cwd.as_ref().unwrap_or(&self.image.cwd));
        let mut env = [self.image.env.as_slice(), &asked.env].concat();
        let streams = match asked.tty {
            Some(api::Size { rows, cols }) => Streams::Terminal { rows, cols },
            None if asked.stdin => Streams::Pipes,
            None => Streams::Output,
        };
        if asked.tty.is_some() && env::get(&env, "TERM").is_none() {
            env.push("TERM=xterm".to_owned());
        }
        let env = env::complete(&env, &self.hostname, &user.home);
        self.spawn(Wish { args: &asked.args, env, cwd, user: &user, streams })
    }

    /// Starts init anew, as root, to copy files.
    pub fn copy(&self, asked: &api::Copy) -> Result<Started, Failure> {
        let (verb, path, further, streams) = match asked {
            api::Copy::Send(at) => {
                (files::SEND, &at.path, at.follow.then_some(files::FOLLOW), Streams::Output)
            }
            api::Copy::Receive(into) => (files::RECEIVE, &into.path, None, Streams::Pipes),
        };
        let args = [files::NAME, verb, path].into_iter().chain(further);
        let args = args.map(|arg| text(arg.as_bytes())).collect::<Result<_, _>>()?;
        let root = User { uid: 0, gid: 0, groups: Vec::new(), home: String::new() };
        // Also when the initramfs that held the file is gone.
        self.execute(c"/proc/self/exe".into(), args, Vec::new(), c"/".into(), &root, streams)
            .map_err(|(step, error)| Failure::new(format!("copy files: {step:?}: {}", reason(&error))))
    }

    fn spawn(&self, wish: Wish<'_>) -> Result<Started, Failure> {
        let Wish { args, env, cwd, user, streams } = wish;
        let name = args.first().map(String::as_str).unwrap_or_default();
        let program = lookup::program(name, env::get(&env, "PATH").unwrap_or_default(), &cwd)?;
        let path = text(program.as_os_str().as_bytes())?;
        let directory = text(cwd.as_os_str().as_bytes())?;
        let started = self.execute(path, texts(args)?, texts(&env)?, directory, user, streams);
        started.map_err(|(step, error)| match step {
            Step::Exec => lookup::exec_failure(name, &error),
            Step::Cwd => Failure::not_executable(format!("enter {}: {}", cwd.display(), reason(&error))),
            Step::User => Failure::new(format!("become user {}: {}", user.uid, reason(&error))),
            Step::Fork | Step::Cgroup | Step::Session | Step::Terminal => {
                Failure::new(format!("start the process: {step:?}: {}", reason(&error)))
            }
        })
    }

    fn execute(
        &self,
        path: CString,
        args: Vec<CString>,
        env: Vec<CString>,
        cwd: CString,
        user: &User,
        streams: Streams,
    ) -> Result<Started, (Step, io::Error)> {
        let cgroup = self.cgroup.as_ref().map(File::try_clone).transpose();
        let cgroup = cgroup.map_err(|error| (Step::Cgroup, error))?;
        let (uid, gid, groups, open_files) = (user.uid, user.gid, user.groups.clone(), self.open_files);
        sys::spawn(Exec { path, args, env, cwd, uid, gid, groups, open_files, cgroup, streams })
    }
}

fn texts(strings: &[String]) -> Result<Vec<CString>, Failure> {
    strings.iter().map(|string| text(string.as_bytes())).collect()
}

fn text(bytes: &[u8]) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::new("an argument, variable or path holds a NUL"))
}
