//! Tells the starter, in the words of sd_notify(3), that the guest is up or why it is not.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// The process runs.
pub fn ready(path: &Path, status: &str) -> io::Result<()> {
    send(path, &format!("READY=1\nSTATUS={status}"))
}

/// It will not.
pub fn failed(path: &Path, reason: &str) -> io::Result<()> {
    send(path, &format!("STATUS={reason}"))
}

/// Never waits: nobody has to listen, and who does may not be the starter any more.
fn send(path: &Path, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match socket.send_to(text.as_bytes(), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(|_| ()),
    }
}
