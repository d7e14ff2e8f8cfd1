//! Everything init asks of the kernel that std does not offer: the only module with `unsafe`, but for the entry symbol.
//!
//! Each function wraps one duty and returns `io::Error` of the call that failed.

use std::ffi::{CStr, CString, c_int};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

mod spawn;

pub use spawn::{
    Exec, Limit, Started, Step, Streams, Terminal, View, resize_terminal, spawn, unshare_processes,
};

pub use libc::{
    MNT_DETACH, MS_BIND, MS_MOVE, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_RDONLY,
    MS_REC, MS_REMOUNT, MS_STRICTATIME, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, S_IFBLK, S_IFCHR,
    S_IFIFO, SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGPIPE, SIGTERM, pollfd as PollFd,
};
pub use libc::{
    RLIM_INFINITY, RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS,
    RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO,
    RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK,
};

/// The most to write to a vsock connection at once. Newer guest kernels send more than 32 KiB in two buffers, and
/// Firecracker up to 1.13 sends the first of them twice when the host is slow to read (its issue 5475).
pub const VSOCK_WRITE_BYTES: usize = 16 * 1024;

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

/// Sets the machine's clock, microseconds since 1970.
pub fn set_clock(us: i64) -> io::Result<()> {
    let to = libc::timespec { tv_sec: us.div_euclid(1_000_000), tv_nsec: us.rem_euclid(1_000_000) * 1000 };
    // SAFETY: the pointer is of one whole timespec that outlives the call.
    check(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const to) })
}

/// Has the machine's clock go faster or slower until it has gained so many microseconds; what was left of an earlier
/// correction is dropped.
pub fn slew_clock(us: i64) -> io::Result<()> {
    // SAFETY: timex is integers only, for which all zeroes is a value; the call reads and writes that one.
    unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        asked.modes = libc::ADJ_OFFSET_SINGLESHOT;
        asked.offset = us;
        check(libc::adjtimex(&raw mut asked))
    }
}

/// sethostname(2).
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and length are of one live slice.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Blocks every signal and returns a descriptor from which they can be read.
///
/// Dispositions go back to the default first: SIG_IGN survives exec, and what is started here would inherit it.
pub fn take_signals() -> io::Result<File> {
    // SAFETY: the set is initialised by sigfillset before use; signal() with SIG_DFL installs no handler; signalfd's
    // descriptor is new and ours alone.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            if !matches!(signal, SIGKILL | libc::SIGSTOP | SIGPIPE) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
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

/// poll(2); `None` waits for ever. An interruption counts as a time-out, and so does a kernel without memory for it now:
/// no guest ends for that.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that a deadline has passed when the wait for it ends.
    let millis = timeout.map_or(-1, |time| c_int::try_from(time.as_millis() + 1).unwrap_or(c_int::MAX));
    // SAFETY: the pointer and length are of one live slice.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) };
    match check(ready) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory) => {
            Err(error)
        }
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

/// Major and minor number of a device.
pub fn device_numbers(device: u64) -> (u32, u32) {
    (libc::major(device), libc::minor(device))
}

/// mknod(2), for root alone to open; `kind` is one of S_IFCHR, S_IFBLK, S_IFIFO.
pub fn make_node(path: &Path, kind: u32, (major, minor): (u32, u32)) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the pointer is a NUL-terminated string that outlives the call.
    check(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, libc::makedev(major, minor)) })
}

/// Sets the time of the last change of content, seconds since 1970, of a link itself and not of what it leads to.
pub fn set_mtime(path: &Path, seconds: i64) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let omit = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
    let times = [omit, libc::timespec { tv_sec: seconds, tv_nsec: 0 }];
    // SAFETY: the path is NUL-terminated and `times` holds two values; both outlive the call.
    check(unsafe {
        libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
    })
}

/// A socket to the kernel's rtnetlink.
pub fn netlink_socket() -> io::Result<File> {
    // SAFETY: socket takes integers; the descriptor is new and ours alone.
    unsafe { owned(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)) }
        .map(File::from)
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
