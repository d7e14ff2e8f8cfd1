//! Starts processes, at a terminal or with pipes; part of `sys`, where alone `unsafe` is.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{check, owned};

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The side that reads and writes for the host.
    pub master: File,
    /// The process's side. While somebody has it open, the other does not come to its end.
    pub slave: OwnedFd,
}

/// A new terminal of this size.
pub fn open_terminal(rows: u16, cols: u16) -> io::Result<Terminal> {
    let master = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC)
        .open("/dev/pts/ptmx")?;
    resize_terminal(&master, rows, cols)?;
    let unlocked: c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int; TIOCGPTPEER takes flags and returns a descriptor that is new and ours alone.
    // It needs no path, so that no image can put another file in its place: ioctl_tty(2).
    unsafe {
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked))?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let slave = owned(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags))?;
        Ok(Terminal { master, slave })
    }
}

/// Sets a terminal's size, of which its foreground process group is told by SIGWINCH.
pub fn resize_terminal(terminal: &File, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one struct winsize, which outlives the call.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// All that becomes the image's process.
#[derive(Debug)]
pub struct Exec {
    /// The file to execute.
    pub path: CString,
    /// Its arguments, the first being its name.
    pub args: Vec<CString>,
    /// Its environment.
    pub env: Vec<CString>,
    /// Its working directory.
    pub cwd: CString,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
    /// Its resource limits; all others stay as init's.
    pub limits: Vec<Limit>,
    /// `cgroup.procs` of the group it is to be in.
    pub cgroup: Option<File>,
    /// Where its standard streams lead.
    pub streams: Streams,
    /// Whether its terminal becomes the machine's console: /dev/console.
    pub is_console: bool,
    /// What it sees of the machine.
    pub view: View,
}

/// What a process sees of the machine.
#[derive(Debug)]
pub enum View {
    /// All that init sees.
    Machine,
    /// Processes, mounts and cgroups of its own. `unshare_processes` comes before, and makes it the first process.
    Own,
    /// The mounts of another process: its file `ns/mnt`.
    Of(File),
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// RLIMIT_*.
    pub resource: u32,
    /// What holds now.
    pub soft: u64,
    /// What the process may raise it to.
    pub hard: u64,
}

/// A process's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// No input, and output that is thrown away.
    Nothing,
    /// No input; output through pipes.
    Output,
    /// Pipes.
    Pipes,
    /// A terminal of its own, of this size, which controls its session.
    Terminal {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
}

/// What is started from now on is in a new PID namespace, and the first of it is its PID 1.
pub fn unshare_processes() -> io::Result<()> {
    // SAFETY: unshare takes an integer, and with this flag changes nothing of this process itself.
    check(unsafe { libc::unshare(libc::CLONE_NEWPID) })
}

/// What the child was at when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before anything of ours: fork, pipes, /dev/null.
    Fork,
    /// Joining its cgroup.
    Cgroup,
    /// What it sees of the machine.
    View,
    /// Session, signals, limits.
    Session,
    /// Its terminal.
    Terminal,
    /// Entering the working directory.
    Cwd,
    /// Becoming the user.
    User,
    /// execve(2) itself.
    Exec,
}

/// A started process.
#[derive(Debug)]
pub struct Started {
    /// Its PID, which is also its session's and process group's.
    pub pid: i32,
    /// The pipe to its standard input.
    pub stdin: Option<OwnedFd>,
    /// The pipe from its standard output.
    pub stdout: Option<OwnedFd>,
    /// The pipe from its standard error.
    pub stderr: Option<OwnedFd>,
    /// Its terminal.
    pub terminal: Option<Terminal>,
}

// Command hands an error number from the child to us; the step goes in the bits above every errno (at most 133).
const STEP_SHIFT: u32 = 10;
const STEPS: [Step; 8] =
    [Step::Fork, Step::Cgroup, Step::View, Step::Session, Step::Terminal, Step::Cwd, Step::User, Step::Exec];

/// Starts a process and waits until it was executed, or says at which step it failed and why.
pub fn spawn(exec: Exec) -> Result<Started, (Step, io::Error)> {
    // Only forks, connects stdio and tells an error: everything else, execve included, is `become_process`.
    // Its own exec is execvp, which would give a file of unknown format to /bin/sh.
    let mut command = Command::new("/");
    let mut terminal = None;
    match exec.streams {
        Streams::Nothing => command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()),
        Streams::Output => command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        Streams::Pipes => command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        Streams::Terminal { rows, cols } => {
            let failed = |error| (Step::Terminal, error);
            let opened = terminal.insert(open_terminal(rows, cols).map_err(failed)?);
            let again = || opened.slave.try_clone().map(Stdio::from).map_err(failed);
            command.stdin(again()?).stdout(again()?).stderr(again()?)
        }
    };
    // SAFETY: init has one thread, so the child may allocate and call anything.
    unsafe { command.pre_exec(move || Err(become_process(&exec))) };
    let mut child = command.spawn().map_err(|error| decode(&error))?;
    // What the kernel calls a PID is an i32; std hands it out as u32.
    let pid = i32::try_from(child.id()).expect("PIDs are at most 2^22");
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    Ok(Started { pid, stdin, stdout, stderr, terminal })
}

fn decode(error: &io::Error) -> (Step, io::Error) {
    let raw = error.raw_os_error().unwrap_or(libc::EIO);
    let step = usize::try_from(raw >> STEP_SHIFT).ok().and_then(|step| STEPS.get(step)).copied();
    (step.unwrap_or(Step::Fork), io::Error::from_raw_os_error(raw & ((1 << STEP_SHIFT) - 1)))
}

/// In the child: returns only when a step failed.
fn become_process(exec: &Exec) -> io::Error {
    let failed = |step: Step| {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        io::Error::from_raw_os_error((step as i32) << STEP_SHIFT | errno)
    };
    // SAFETY: every pointer is to a live value or NUL-terminated string, arrays end with null; the calls change
    // only this child, whose single thread nobody shares.
    unsafe {
        let joins = |group: &File| libc::write(group.as_raw_fd(), b"0".as_ptr().cast(), 1) == 1;
        if !exec.cgroup.as_ref().is_none_or(joins) {
            return failed(Step::Cgroup);
        }
        if exec.is_console {
            // A machine that has none needs none.
            let (terminal, console) = (c"/proc/self/fd/0".as_ptr(), c"/dev/console".as_ptr());
            libc::mount(terminal, console, std::ptr::null(), libc::MS_BIND, std::ptr::null());
        }
        if !take_view(exec) {
            return failed(Step::View);
        }
        if !lead_session(exec) {
            return failed(Step::Session);
        }
        if matches!(exec.streams, Streams::Terminal { .. }) && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
            return failed(Step::Terminal);
        }
        libc::umask(0o022);
        if libc::chdir(exec.cwd.as_ptr()) < 0 {
            return failed(Step::Cwd);
        }
        if !become_user(exec) {
            return failed(Step::User);
        }
        libc::execve(exec.path.as_ptr(), pointers(&exec.args).as_ptr(), pointers(&exec.env).as_ptr());
    }
    failed(Step::Exec)
}

/// In the child: a session of its own, no signal blocked, its limits.
///
/// # Safety
/// Changes the process it is called in; nobody else may share it.
unsafe fn lead_session(exec: &Exec) -> bool {
    // SAFETY: the set is initialised by sigemptyset before it is read; setrlimit reads a value that outlives the call.
    unsafe {
        let is_set = |limit: &Limit| {
            let both = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
            libc::setrlimit(limit.resource, &raw const both) == 0
        };
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) == 0
            && libc::setsid() >= 0
            && exec.limits.iter().all(is_set)
    }
}

/// In the child, as root, for the last time. The pipes become the user's, so that it may open /dev/stdout, as in
/// Docker; their group may stay. What is not a pipe is /dev/null, which is everybody's.
///
/// # Safety
/// Changes the process it is called in; nobody else may share it.
unsafe fn become_user(exec: &Exec) -> bool {
    let own: &[c_int] = match exec.streams {
        Streams::Nothing => &[],
        Streams::Output => &[1, 2],
        Streams::Pipes | Streams::Terminal { .. } => &[0, 1, 2],
    };
    // SAFETY: the pointer and length are those of one live vector; the other calls take integers.
    unsafe {
        own.iter().all(|fd| libc::fchown(*fd, exec.uid, u32::MAX) == 0)
            && libc::setgroups(exec.groups.len(), exec.groups.as_ptr()) == 0
            && libc::setgid(exec.gid) == 0
            && libc::setuid(exec.uid) == 0
    }
}

/// In the child, as root.
///
/// # Safety
/// Changes the process it is called in; nobody else may share it.
unsafe fn take_view(exec: &Exec) -> bool {
    let none: *const c_char = std::ptr::null();
    let sealed = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: all pointers are NUL-terminated literals or null where mount(2) allows it; the other calls take integers.
    unsafe {
        let anew = |fs: &CStr, target: &CStr| {
            libc::umount2(target.as_ptr(), libc::MNT_DETACH) == 0
                && libc::mount(fs.as_ptr(), target.as_ptr(), fs.as_ptr(), sealed, none.cast()) == 0
        };
        match &exec.view {
            View::Machine => true,
            View::Of(mounts) => libc::setns(mounts.as_raw_fd(), libc::CLONE_NEWNS) == 0,
            View::Own => {
                libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP) == 0
                    && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast())
                        == 0
                    && anew(c"proc", c"/proc")
                    && (exec.cgroup.is_none() || anew(c"cgroup2", c"/sys/fs/cgroup"))
            }
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
