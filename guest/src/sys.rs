//! Everything init asks of the kernel that std does not offer: the only file with `unsafe`, but for the entry symbol.
//!
//! Each function wraps one duty and returns `io::Error` of the call that failed.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

pub use libc::{
    MNT_DETACH, MS_MOVE, MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, O_NONBLOCK,
    POLLERR, POLLHUP, POLLIN, POLLOUT, SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGPIPE, SIGTERM, pollfd as PollFd,
};

/// mount(2). An empty `data` is passed as a null pointer.
pub fn mount(source: &CStr, target: &CStr, fs: &CStr, flags: u64, data: &CStr) -> io::Result<()> {
    let data = if data.is_empty() { std::ptr::null() } else { data.as_ptr().cast() };
    // SAFETY: all pointers are NUL-terminated strings that outlive the call, or null where mount(2) allows it.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fs.as_ptr(), flags, data) })
}

/// umount2(2).
pub fn unmount(target: &CStr, flags: c_int) -> io::Result<()> {
    // SAFETY: the pointer is a NUL-terminated string that outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), flags) })
}

/// Points fds 0, 1 and 2 at /dev/null; the kernel may have started init without them.
pub fn null_stdio() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let fd = null.as_raw_fd();
    for standard in 0..=2 {
        if fd != standard {
            // SAFETY: dup2 onto a standard fd: nothing in this program owns one, except `null` itself, see below.
            check(unsafe { libc::dup2(fd, standard) })?;
        }
    }
    if fd <= 2 {
        std::mem::forget(null);
    }
    Ok(())
}

/// Writes all that is cached to the disks.
pub fn sync() {
    // SAFETY: sync takes nothing and cannot fail.
    unsafe { libc::sync() }
}

/// Restarts the machine, which ends Firecracker. Returns only when the kernel refuses.
pub fn reboot() -> io::Error {
    // SAFETY: reboot with this command takes no pointer.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    io::Error::last_os_error()
}

/// Waits for ever, taking no CPU: what is left when even the reboot is refused.
pub fn pause_forever() -> ! {
    loop {
        // SAFETY: pause takes nothing.
        unsafe { libc::pause() };
    }
}

/// Whether this process is PID 1.
pub fn is_pid_1() -> bool {
    std::process::id() == 1
}

/// sethostname(2).
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and length are of one live slice.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Blocks every signal and returns a descriptor from which they can be read.
pub fn take_signals() -> io::Result<File> {
    // SAFETY: the set is initialised by sigfillset before use; signalfd's descriptor is new and ours alone.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()))?;
        owned(libc::signalfd(-1, &raw const all, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)).map(File::from)
    }
}

/// kill(2); pid -1 is every process but this one, and -N the process group N.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes integers only.
    check(unsafe { libc::kill(pid, signal) })
}

/// The next child that ended, its own or adopted. `Err(ECHILD)`: there are no children.
pub fn reap() -> io::Result<Option<(i32, ExitStatus)>> {
    let mut status = 0;
    // SAFETY: waitpid writes to the valid `status`.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    check(pid)?;
    Ok((pid > 0).then(|| (pid, ExitStatus::from_raw(status))))
}

/// poll(2); `None` waits for ever. An interruption counts as a time-out.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that a deadline has passed when the wait for it ends.
    let millis = timeout.map_or(-1, |time| c_int::try_from(time.as_millis() + 1).unwrap_or(c_int::MAX));
    // SAFETY: the pointer and length are of one live slice.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) };
    match check(ready) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Makes reads and writes return at once.
pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: fcntl with these commands takes integers only.
    unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        check(flags)?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | O_NONBLOCK))
    }
}

/// Connects to a vsock port; the kernel gives up after 2 seconds (af_vsock.c, VSOCK_DEFAULT_CONNECT_TIMEOUT).
pub fn vsock_connect(cid: u32, port: u32) -> io::Result<File> {
    let socket = vsock_socket(0)?;
    let address = vsock_address(cid, port);
    // SAFETY: the address is a whole sockaddr_vm and its length is passed.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), VSOCK_ADDRESS_LEN) })?;
    Ok(File::from(socket))
}

/// Listens on a vsock port, non-blocking.
pub fn vsock_listen(port: u32, backlog: c_int) -> io::Result<OwnedFd> {
    let socket = vsock_socket(libc::SOCK_NONBLOCK)?;
    let address = vsock_address(libc::VMADDR_CID_ANY, port);
    // SAFETY: as in `vsock_connect`; listen takes integers.
    unsafe {
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), VSOCK_ADDRESS_LEN))?;
        check(libc::listen(socket.as_raw_fd(), backlog))?;
    }
    Ok(socket)
}

/// The next connection to a listener, non-blocking, and its peer's CID.
pub fn vsock_accept(listener: &OwnedFd) -> io::Result<(File, u32)> {
    let mut address = vsock_address(0, 0);
    let mut len = VSOCK_ADDRESS_LEN;
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: accept4 writes at most `len` bytes into the address; the descriptor is new and ours alone.
    let socket = unsafe {
        owned(libc::accept4(listener.as_raw_fd(), (&raw mut address).cast(), &raw mut len, flags))?
    };
    Ok((File::from(socket), address.svm_cid))
}

/// A new terminal of this size: the side that reads and writes for the host, and the process's side.
pub fn open_terminal(rows: u16, cols: u16) -> io::Result<(File, OwnedFd)> {
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
        Ok((master, slave))
    }
}

/// Sets a terminal's size, of which its foreground process group is told by SIGWINCH.
pub fn resize_terminal(terminal: &File, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one struct winsize, which outlives the call.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// A socket to the kernel's rtnetlink.
pub fn netlink_socket() -> io::Result<File> {
    // SAFETY: socket takes integers; the descriptor is new and ours alone.
    unsafe { owned(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)) }
        .map(File::from)
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
    /// Soft and hard limit of open files; `None` leaves them as they are.
    pub open_files: Option<(u64, u64)>,
    /// `cgroup.procs` of the group it is to be in.
    pub cgroup: Option<File>,
    /// Where its standard streams lead.
    pub streams: Streams,
}

/// A process's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
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

/// What the child was at when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before anything of ours: fork, pipes, /dev/null.
    Fork,
    /// Joining its cgroup.
    Cgroup,
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
    /// The host's side of its terminal.
    pub terminal: Option<File>,
}

// Command hands an error number from the child to us; the step goes in the bits above every errno (at most 133).
const STEP_SHIFT: u32 = 10;
const STEPS: [Step; 7] =
    [Step::Fork, Step::Cgroup, Step::Session, Step::Terminal, Step::Cwd, Step::User, Step::Exec];

/// Starts a process and waits until it was executed, or says at which step it failed and why.
pub fn spawn(exec: Exec) -> Result<Started, (Step, io::Error)> {
    // Only forks, connects stdio and tells an error: everything else, execve included, is `become_process`.
    // Its own exec is execvp, which would give a file of unknown format to /bin/sh.
    let mut command = Command::new("/");
    let mut terminal = None;
    match exec.streams {
        Streams::Output => command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        Streams::Pipes => command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        Streams::Terminal { rows, cols } => {
            let failed = |error| (Step::Terminal, error);
            let (master, slave) = open_terminal(rows, cols).map_err(failed)?;
            terminal = Some(master);
            let again = || slave.try_clone().map(Stdio::from).map_err(failed);
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
    let limit = exec.open_files.map(|(soft, hard)| libc::rlimit { rlim_cur: soft, rlim_max: hard });
    // SAFETY: every pointer is to a live value or NUL-terminated string, arrays end with null; the calls change
    // only this child, whose single thread nobody shares.
    unsafe {
        let joins = |group: &File| libc::write(group.as_raw_fd(), b"0".as_ptr().cast(), 1) == 1;
        if !exec.cgroup.as_ref().is_none_or(joins) {
            return failed(Step::Cgroup);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) < 0
            || libc::setsid() < 0
            || limit.is_some_and(|limit| libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) < 0)
        {
            return failed(Step::Session);
        }
        if matches!(exec.streams, Streams::Terminal { .. }) && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
            return failed(Step::Terminal);
        }
        libc::umask(0o022);
        if libc::chdir(exec.cwd.as_ptr()) < 0 {
            return failed(Step::Cwd);
        }
        // The pipes become the user's, so that it may open /dev/stdout, as in Docker. Their group may stay.
        if (exec.streams != Streams::Output && libc::fchown(0, exec.uid, u32::MAX) < 0)
            || libc::fchown(1, exec.uid, u32::MAX) < 0
            || libc::fchown(2, exec.uid, u32::MAX) < 0
            || libc::setgroups(exec.groups.len(), exec.groups.as_ptr()) < 0
            || libc::setgid(exec.gid) < 0
            || libc::setuid(exec.uid) < 0
        {
            return failed(Step::User);
        }
        libc::execve(exec.path.as_ptr(), pointers(&exec.args).as_ptr(), pointers(&exec.env).as_ptr());
    }
    failed(Step::Exec)
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "16 bytes")]
const VSOCK_ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_vm>() as libc::socklen_t;

#[expect(clippy::cast_possible_truncation, reason = "40")]
const VSOCK_FAMILY: libc::sa_family_t = libc::AF_VSOCK as libc::sa_family_t;

fn vsock_address(cid: u32, port: u32) -> libc::sockaddr_vm {
    // SAFETY: sockaddr_vm is integers only, for which all zeroes is a value.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = VSOCK_FAMILY;
    address.svm_cid = cid;
    address.svm_port = port;
    address
}

fn vsock_socket(flags: c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket takes integers; the descriptor is new and ours alone.
    unsafe { owned(libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0)) }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// # Safety
/// A descriptor that is not negative must be open and owned by nobody.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
