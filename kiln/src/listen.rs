//! The sockets on which Firecracker delivers the guest's vsock connections.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Connections taken per turn of the loop, so that a flood of them keeps nothing else waiting.
const ACCEPTS_PER_TURN: usize = 16;

/// Removes a socket that an earlier kiln or Firecracker left; anything else stays and makes the bind fail.
pub fn remove_stale(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

/// Listens on a fresh socket, mode 0600 by the umask of `sys::harden`.
///
/// std asks for the longest queue the kernel gives. That matters: Firecracker connects while all of the VM's
/// devices wait, so a full queue would stall the VM.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    remove_stale(path);
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the connections that wait, and hands each to `sink`.
pub fn accept(listener: &UnixListener, mut sink: impl FnMut(UnixStream)) {
    for _ in 0..ACCEPTS_PER_TURN {
        match listener.accept() {
            Ok((stream, _)) => {
                if stream.set_nonblocking(true).is_ok() {
                    sink(stream);
                }
            }
            Err(_) => return,
        }
    }
}
