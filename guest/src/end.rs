//! The end of the guest, whatever led to it: report, sync, unmount, reboot. Never returns.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::durations::Durations;
use crate::exit_report::ExitReport;
use crate::guest_log;
use crate::http;
use crate::kernel_log;
use crate::mounts;
use crate::outbox::Outbox;
use crate::sys::{self, PollFd};

/// The host, for vsock(7): VMADDR_CID_HOST.
pub const HOST_CID: u32 = 2;
/// kiln refuses reports whose error text is over 4 KiB.
pub(crate) const MAX_ERROR_BYTES: usize = 4 * 1024;

/// Where the report goes to until run.json was read.
pub(crate) const EXIT_PORT: u32 = 10_001;
/// Where the report goes to.
static PORT: AtomicU32 = AtomicU32::new(EXIT_PORT);
/// What tells kiln that the report is init's.
static KEY: OnceLock<String> = OnceLock::new();
static PANICKED: AtomicBool = AtomicBool::new(false);

/// From now on reports go to this port.
pub fn report_to(port: u32) {
    PORT.store(port, Ordering::Relaxed);
}

/// The key of this boot's report, made at the first call.
pub fn key() -> io::Result<&'static str> {
    if KEY.get().is_none() {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let _ = KEY.set(format!("{:032x}", u128::from_ne_bytes(random)));
    }
    Ok(KEY.get().map(String::as_str).unwrap_or_default())
}

/// A panic is an end like any other. One within it goes straight to the reboot.
pub fn catch_panics(durations: Durations) {
    std::panic::set_hook(Box::new(move |info| {
        if !PANICKED.swap(true, Ordering::Relaxed) {
            let text = format!("init panicked: {info}").replace('\n', " ");
            let report = ExitReport { exit_code: Some(125), error: Some(text), ..ExitReport::default() };
            end(&report, Outbox::new(None), durations);
        }
        restart();
    }));
}

/// Tells the host the last lines and how it went, and ends the machine.
pub fn end(report: &ExitReport, mut outbox: Outbox, durations: Durations) -> ! {
    outbox.push(&guest_log::end());
    outbox.finish(durations.last_lines);
    // Before the report, after which kiln gives the guest only so long: a volume's last bytes take what they take.
    mounts::leave();
    if let Err(error) = send(report, &mut outbox, durations.report) {
        // The console is the only way that is left.
        if let Some(why) = &report.error {
            kernel_log::tell(why);
        }
        kernel_log::tell(&format!("exit report: {error}"));
    }
    sys::sync();
    // What it writes is out already; this marks the file system clean, which no error here may prevent.
    let _ = sys::mount(c"", c"/", c"", sys::MS_REMOUNT | sys::MS_RDONLY, c"");
    restart()
}

fn restart() -> ! {
    let error = sys::reboot();
    kernel_log::tell(&format!("reboot: {error}"));
    sys::pause_forever()
}

fn send(report: &ExitReport, outbox: &mut Outbox, patience: Duration) -> io::Result<()> {
    let mut report = report.clone();
    if let Some(error) = &mut report.error {
        let fits = |end: &usize| error.is_char_boundary(*end);
        let end = (0..=error.len().min(MAX_ERROR_BYTES)).rev().find(fits).unwrap_or(0);
        error.truncate(end);
    }
    let mut socket = sys::vsock_connect(HOST_CID, PORT.load(Ordering::Relaxed))?;
    let request = http::post("/exit", KEY.get().map(String::as_str), &report.to_json());
    exchange(&mut socket, &request, outbox, patience)
}

/// Sends a request and waits for its 200; lines that are still to be sent go meanwhile.
pub fn exchange(
    socket: &mut File,
    request: &[u8],
    outbox: &mut Outbox,
    patience: Duration,
) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    sys::set_nonblocking(socket)?;
    let mut sent = 0;
    while sent < request.len() {
        match socket.write(&request[sent..]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(socket, sys::POLLOUT, outbox, deadline)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => answer.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(socket, sys::POLLIN, outbox, deadline)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        match http::answer_status(&answer) {
            Some(200) => return Ok(()),
            Some(status) => return Err(io::Error::other(format!("the host answered {status}"))),
            None if answer.len() > http::MAX_HEAD_BYTES => return Err(ErrorKind::InvalidData.into()),
            None => {}
        }
    }
}

fn wait(socket: &File, events: i16, outbox: &mut Outbox, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    outbox.flush();
    let mut fds = vec![PollFd { fd: socket.as_raw_fd(), events, revents: 0 }];
    if !outbox.is_empty() {
        fds.extend(outbox.interest());
    }
    sys::poll(&mut fds, Some(left))?;
    for fd in &fds {
        outbox.notice(fd);
    }
    Ok(())
}

/// Time since the machine started, for init's own lines.
pub fn uptime() -> String {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
