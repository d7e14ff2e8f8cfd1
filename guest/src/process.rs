//! Makes and starts the image's process, and those that the host asks for beside it.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::api;
use crate::cgroup::Groups;
use crate::env;
use crate::failure::{Doing, Failure, reason};
use crate::files;
use crate::init_system;
use crate::limits;
use crate::lookup;
use crate::mounts::make_directory_for;
use crate::run::{Init, Process};
use crate::sys::{self, Exec, Limit, Started, Step, Streams, View};
use crate::user::{self, User};

/// What all processes that the host asks for have in common.
#[derive(Debug)]
pub struct Launcher {
    image: Process,
    hostname: String,
    groups: Option<Groups>,
    limits: Vec<Limit>,
    /// Whether the image's process is one, and then its mounts.
    is_init_system: bool,
    mounts: Option<File>,
}

/// SIGRTMIN+3, as glibc counts: systemd(1) halts the machine.
const HALT: i32 = 37;

/// Of the terminal of the image's process, until somebody attaches.
const FIRST_SIZE: api::Size = api::Size { rows: 24, cols: 80 };

/// One process to be.
struct Wish<'a> {
    args: &'a [String],
    env: Vec<String>,
    cwd: PathBuf,
    user: &'a User,
    streams: Streams,
    view: View,
    group: Group,
}

/// Which group a process is to be in.
#[derive(Clone, Copy)]
enum Group {
    App,
    Exec,
}

impl Group {
    fn of(self, groups: &Groups) -> &File {
        match self {
            Self::App => &groups.app,
            Self::Exec => &groups.exec,
        }
    }
}

impl Launcher {
    /// For processes that are in no group and keep init's own limits.
    pub fn new(image: Process, hostname: String) -> Self {
        Self { image, hostname, groups: None, limits: Vec::new(), is_init_system: false, mounts: None }
    }

    /// With the machine's groups, and the limits that the image's process is to have.
    #[must_use]
    pub fn with_limits(self, groups: Groups) -> Self {
        let limits = limits::all(&self.image.rlimits);
        Self { groups: Some(groups), limits, ..self }
    }

    /// With variables that come behind those of run.json: for the image's process and those beside it.
    #[must_use]
    pub fn with_variables(mut self, variables: Vec<String>) -> Self {
        self.image.env.extend(variables);
        self
    }

    /// Makes the working directory, and what is missing on the way to it: all of it the user's.
    pub fn make_cwd(&self) -> Result<(), Failure> {
        let cwd = directory(&self.image.cwd);
        if cwd.is_dir() {
            return Ok(());
        }
        let user = self.user()?;
        make_directory_for(&cwd, user.uid, user.gid)
    }

    /// Starts the image's process.
    pub fn start(&mut self) -> Result<Started, Failure> {
        let user = self.user()?;
        let cwd = directory(&self.image.cwd);
        let mut asked = self.image.env.clone();
        let mut view = View::Machine;
        if self.is_to_be_pid_1(&cwd) {
            sys::unshare_processes().doing("make a PID namespace")?;
            view = View::Own;
            // By this systemd knows that hardware and kernel are not its own: systemd's CONTAINER_INTERFACE.
            if env::get(&asked, "container").is_none() {
                asked.push("container=inferno".to_owned());
            }
        }
        let is_init_system = matches!(view, View::Own);
        let streams = match (self.image.tty, self.image.stdin) {
            (true, _) => with_terminal(FIRST_SIZE, &mut asked),
            (false, true) => Streams::Pipes,
            (false, false) => Streams::Output,
        };
        let env = env::complete(&asked, &self.hostname, &user.home);
        let started = self.spawn(Wish {
            args: &self.image.args,
            env,
            cwd,
            user: &user,
            streams,
            view,
            group: Group::App,
        })?;
        if is_init_system {
            self.is_init_system = true;
            // None when it ended already: then nothing will be started beside it.
            self.mounts = File::open(format!("/proc/{}/ns/mnt", started.pid)).ok();
        }
        Ok(started)
    }

    fn is_to_be_pid_1(&self, cwd: &Path) -> bool {
        let path = env::get(&self.image.env, "PATH").unwrap_or(env::DEFAULT_PATH);
        match self.image.init {
            Init::Auto => init_system::is_run_by(&self.image.args, path, cwd),
            Init::Process => true,
            Init::Inferno => false,
        }
    }

    /// Whether the image's process is to be PID 1 of a namespace of its own: known before it is started.
    pub fn is_for_init_system(&self) -> bool {
        self.is_to_be_pid_1(&directory(&self.image.cwd))
    }

    /// Whether the image's process is PID 1 of a namespace of its own.
    pub fn runs_init_system(&self) -> bool {
        self.is_init_system
    }

    /// What to send the image's process when the host says this. SIGTERM, which images leave to `stop` that say
    /// nothing else, is to end a process; systemd takes it for the wish to be executed anew. Which program the process
    /// runs is asked of the kernel each time: a script may have executed it.
    pub fn signal(&self, pid: i32, number: i32) -> i32 {
        let is_systemd = || {
            std::fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|program| program.file_name().is_some_and(|name| name == "systemd"))
        };
        if number == sys::SIGTERM && self.is_init_system && is_systemd() { HALT } else { number }
    }

    /// Starts a further process beside it.
    pub fn exec(&self, asked: &api::Exec) -> Result<Started, Failure> {
        let user =
            user::look_up(asked.user.as_ref().filter(|user| !user.is_empty()).unwrap_or(&self.image.user))?;
        let cwd = directory(asked.cwd.as_ref().unwrap_or(&self.image.cwd));
        let mut env = [self.image.env.as_slice(), &asked.env].concat();
        let streams = match asked.tty {
            Some(size) => with_terminal(size, &mut env),
            None if asked.detach => Streams::Nothing,
            None if asked.stdin => Streams::Pipes,
            None => Streams::Output,
        };
        let env = env::complete(&env, &self.hostname, &user.home);
        let view = self.view().doing("join the process")?;
        self.spawn(Wish { args: &asked.args, env, cwd, user: &user, streams, view, group: Group::Exec })
    }

    /// Who the image's process is.
    pub fn user(&self) -> Result<User, Failure> {
        user::look_up(&self.image.user)
    }

    /// Starts a program of the image's, as root, before there is any other.
    pub fn help(&self, program: &Path, args: &[&str]) -> Result<Started, Failure> {
        let root = User { uid: 0, gid: 0, groups: Vec::new(), home: String::new() };
        let plain = self.plain(&root, Streams::Output, View::Machine, Group::Exec)?;
        let path = text(program.as_os_str().as_bytes())?;
        let args =
            std::iter::once(program.as_os_str().as_bytes()).chain(args.iter().map(|arg| arg.as_bytes()));
        let args = args.map(text).collect::<Result<_, _>>()?;
        let env = texts(&env::complete(&[], &self.hostname, "/root"))?;
        sys::spawn(Exec { path, args, env, ..plain }).map_err(|(step, error)| {
            Failure::new(format!("execute {}: {step:?}: {}", program.display(), reason(&error)))
        })
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
        let plain = self.plain(&root, streams, self.view().doing("join the process")?, Group::Exec)?;
        // This path leads to init also when the initramfs that held it is gone.
        let exec = Exec { path: c"/proc/self/exe".into(), args, ..plain };
        sys::spawn(exec)
            .map_err(|(step, error)| Failure::new(format!("copy files: {step:?}: {}", reason(&error))))
    }

    fn spawn(&self, wish: Wish<'_>) -> Result<Started, Failure> {
        let Wish { args, env, cwd, user, streams, view, group } = wish;
        let name = args.first().map(String::as_str).unwrap_or_default();
        let program = lookup::program(name, env::get(&env, "PATH").unwrap_or_default(), &cwd)?;
        let exec = Exec {
            path: text(program.as_os_str().as_bytes())?,
            args: texts(args)?,
            env: texts(&env)?,
            cwd: text(cwd.as_os_str().as_bytes())?,
            ..self.plain(user, streams, view, group)?
        };
        sys::spawn(exec).map_err(|(step, error)| match step {
            Step::Exec => lookup::exec_failure(name, &error),
            Step::Cwd => Failure::not_executable(format!("enter {}: {}", cwd.display(), reason(&error))),
            Step::User => Failure::new(format!("become user {}: {}", user.uid, reason(&error))),
            Step::Fork | Step::Cgroup | Step::View | Step::Session | Step::Terminal => {
                Failure::new(format!("start the process: {step:?}: {}", reason(&error)))
            }
        })
    }

    /// What processes beside the image's see: the same as that.
    fn view(&self) -> io::Result<View> {
        Ok(self.mounts.as_ref().map(File::try_clone).transpose()?.map_or(View::Machine, View::Of))
    }

    /// A process of this user with nothing to execute yet, in `/`, with no environment.
    fn plain(&self, user: &User, streams: Streams, view: View, group: Group) -> Result<Exec, Failure> {
        let cgroup = self
            .groups
            .as_ref()
            .map(|groups| group.of(groups))
            .map(File::try_clone)
            .transpose()
            .doing("join the cgroup")?;
        let (uid, gid, groups, limits) = (user.uid, user.gid, user.groups.clone(), self.limits.clone());
        let (path, args, env, cwd) = (CString::default(), Vec::new(), Vec::new(), c"/".into());
        // As the OCI runtime spec has it for the container's own process.
        let is_console = matches!(group, Group::App) && matches!(streams, Streams::Terminal { .. });
        Ok(Exec { path, args, env, cwd, uid, gid, groups, limits, cgroup, streams, is_console, view })
    }
}

/// A terminal of this size, whose kind the program is told unless it is told so already.
fn with_terminal(size: api::Size, env: &mut Vec<String>) -> Streams {
    if env::get(env, "TERM").is_none() {
        env.push("TERM=xterm".to_owned());
    }
    Streams::Terminal { rows: size.rows, cols: size.cols }
}

/// A working directory as Docker reads it: `..` goes up in its text, whatever link is there.
fn directory(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}

fn texts(strings: &[String]) -> Result<Vec<CString>, Failure> {
    strings.iter().map(|string| text(string.as_bytes())).collect()
}

fn text(bytes: &[u8]) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::new("an argument, variable or path holds a NUL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_absolute_and_plain() {
        for (path, plain) in
            [("", "/"), ("srv", "/srv"), ("/a/../b/./c//", "/b/c"), ("/../..", "/"), ("a/..", "/")]
        {
            assert_eq!(directory(path), Path::new(plain), "{path:?}");
        }
    }
}
