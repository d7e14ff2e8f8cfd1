//! Everything kiln asks of the kernel that std does not offer: the only file with `unsafe`.
//!
//! Each function wraps one duty and returns `io::Error` of the call that failed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use libc::{POLLIN, POLLOUT, pollfd as PollFd};

/// The signals that ask kiln to end the VM. All others that can be blocked are blocked and never looked at.
pub const END_SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// First thing in `main`: what must hold before a byte of input is read.
///
/// No new privileges, no ptrace or core by others of the same uid (Firecracker shares it and is assumed
/// hostile), nothing inherited beyond fds 0 to 2, and nothing created that others may open.
pub fn harden(name: &CStr) -> io::Result<()> {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: prctl with these options, close_range, setrlimit and umask take integers and valid pointers only
    // (`name` is NUL-terminated, `no_core` lives on the stack); fds from 3 up belong to nobody yet, since this
    // runs before anything is opened.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        check(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
        check(libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0))?;
        check_long(libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32))?;
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core))?;
        // Not 077: a socket's mode starts from 0777, and kiln makes no directories.
        libc::umask(0o177);
    }
    Ok(())
}

/// Blocks every signal and returns a descriptor that reads `END_SIGNALS` as they come.
///
/// Dispositions go back to the default first: SIG_IGN survives exec, and Firecracker would inherit it.
pub fn take_signals() -> io::Result<OwnedFd> {
    // SAFETY: the sets are initialised by sigemptyset/sigfillset before use; signal() with SIG_DFL installs no
    // handler; the descriptor signalfd returns is new and ours alone.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            if !matches!(signal, libc::SIGKILL | libc::SIGSTOP | libc::SIGPIPE) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut ends: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigemptyset(&raw mut ends);
        for signal in END_SIGNALS {
            libc::sigaddset(&raw mut ends, signal);
        }
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()))?;
        owned(libc::signalfd(-1, &raw const ends, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))
    }
}

/// The number of the next pending signal in what was read from the descriptor of `take_signals`.
pub fn signal_number(siginfo: &[u8]) -> Option<i32> {
    // ssi_signo is the first field of struct signalfd_siginfo: signalfd(2).
    siginfo.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes))
}

/// Makes the child die when kiln does, also when kiln died before the child could ask for it, and gives it back the
/// signals that kiln blocks: a mask survives exec, and std does not clear it.
pub fn make_dependent(command: &mut Command) {
    let parent = std::process::id();
    let arm = move || {
        // SAFETY: prctl, getppid and the calls on a set of signals are async-signal-safe; the set lives on the stack
        // and is initialised by sigemptyset before it is read.
        let now = unsafe {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))?;
            libc::getppid()
        };
        if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: `arm` runs between fork and exec, calls async-signal-safe functions only and allocates nothing.
    unsafe {
        command.pre_exec(arm);
    }
}

/// A descriptor that becomes readable when the child ends. Sound as long as the child was not waited for.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes integers; the descriptor it returns is new, ours alone and close-on-exec.
    unsafe {
        let fd = check_long(libc::syscall(libc::SYS_pidfd_open, pid, 0u32))?;
        owned(RawFd::try_from(fd).unwrap_or(-1))
    }
}

/// Waits for an event on one of the descriptors, or for the timeout. A wait that is interrupted, or for which the kernel
/// has no memory now, is one without events.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that a deadline has passed when poll says so.
    let millis =
        timeout.map_or(-1, |left| i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX));
    // SAFETY: pointer and length are those of one exclusively borrowed slice.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory) {
            return Err(error);
        }
        for fd in fds {
            fd.revents = 0;
        }
    }
    Ok(())
}

/// Makes reads from the descriptor return instead of wait.
pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: fcntl with F_GETFL and F_SETFL takes integers; the descriptor is open, as `fd` is borrowed.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Connects to a stream socket without ever waiting: `WouldBlock` when the listener's queue is full.
///
/// std's connect waits for room in that queue, and one stuck collector would hang every kiln.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: the address is zeroed, then filled with fewer bytes than `sun_path` holds (so it ends in NUL); its
    // pointer and size belong together; the descriptor is new and owned by the stream.
    unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        if bytes.len() >= address.sun_path.len() {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        address.sun_family =
            libc::sa_family_t::try_from(libc::AF_UNIX).expect("address families fit their own type");
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let socket = owned(libc::socket(libc::AF_UNIX, kind, 0))?;
        let size = libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).expect("an address is small");
        check(libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size))?;
        Ok(UnixStream::from(socket))
    }
}

/// How long the machine has been up, asleep or awake, microseconds.
pub fn boot_us() -> u64 {
    // SAFETY: clock_gettime writes one whole timespec, all integers, and nothing else.
    let at = unsafe {
        let mut at: libc::timespec = std::mem::zeroed();
        check(libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut at)).map(|_| at)
    };
    let us = |at: libc::timespec| {
        Some(u64::try_from(at.tv_sec).ok()? * 1_000_000 + u64::try_from(at.tv_nsec).ok()? / 1000)
    };
    at.ok().and_then(us).unwrap_or_default()
}

/// A descriptor that becomes readable whenever the machine's clock is set, or it wakes up; slewing does not count.
pub fn watch_clock() -> io::Result<OwnedFd> {
    // SAFETY: timerfd_create takes integers, and its descriptor is new and ours alone; timerfd_settime reads one whole
    // itimerspec, all integers, and writes nothing.
    unsafe {
        let fd = owned(libc::timerfd_create(libc::CLOCK_REALTIME, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC))?;
        let mut never: libc::itimerspec = std::mem::zeroed();
        never.it_value.tv_sec = libc::time_t::MAX;
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        check(libc::timerfd_settime(fd.as_raw_fd(), flags, &raw const never, std::ptr::null_mut()))?;
        Ok(fd)
    }
}

/// A descriptor that reports each name that appears in a directory (made there, or moved or linked there).
pub fn watch_names(directory: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the path is NUL-terminated; the descriptor is new and ours alone.
    unsafe {
        let fd = owned(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC))?;
        let mask = libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_ONLYDIR;
        check(libc::inotify_add_watch(fd.as_raw_fd(), directory.as_ptr(), mask))?;
        Ok(fd)
    }
}

/// Whether `events`, as read from `watch_names`, hold `name`, or say that events were lost.
pub fn names_hold(mut events: &[u8], name: &[u8]) -> bool {
    // struct inotify_event: i32 wd, u32 mask, u32 cookie, u32 len, then len bytes padded with NUL: inotify(7).
    while let Some((header, rest)) = events.split_at_checked(16) {
        let word = |at: usize| header[at..].first_chunk::<4>().map_or(0, |b| u32::from_ne_bytes(*b));
        let Some((padded, next)) = rest.split_at_checked(word(12) as usize) else {
            return false;
        };
        let found = padded.split(|byte| *byte == 0).next().unwrap_or_default();
        if found == name || word(4) & libc::IN_Q_OVERFLOW != 0 {
            return true;
        }
        events = next;
    }
    false
}

/// Lets go of the starter's pipe: fd 0, /dev/null opened for both directions, takes the place of 1 and 2.
pub fn detach_output() -> io::Result<()> {
    // SAFETY: dup2 takes integers; 1 and 2 are written to only through std's unbuffered handles, which stay valid.
    unsafe {
        check(libc::dup2(0, 1))?;
        check(libc::dup2(0, 2))?;
    }
    Ok(())
}

/// Overwrites bytes, also where the compiler sees that nobody reads them any more.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length are those of one exclusively borrowed slice.
    unsafe { libc::explicit_bzero(bytes.as_mut_ptr().cast(), bytes.len()) };
}

/// Installs a seccomp filter for the calling thread and whatever it starts from now on.
pub fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program and writes nothing; `filter` and the slice outlive the call.
    unsafe {
        check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter))?;
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
/// `fd` is negative (then errno says why), or open and owned by nobody else.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the caller's promise; a negative value was refused above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
