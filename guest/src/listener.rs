//! Where the host's connections come in.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use crate::end::HOST_CID;
use crate::sys;

/// Connections that wait to be accepted: a hundred commands may come at once.
const BACKLOG: i32 = 256;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// The guest's own.
    Vsock(OwnedFd),
    /// For tests, on machines without vsock; non-blocking.
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a vsock port.
    pub fn vsock(port: u32) -> io::Result<Self> {
        sys::vsock_listen(port, BACKLOG).map(Self::Vsock)
    }

    /// Its descriptor.
    pub fn fd(&self) -> i32 {
        match self {
            Self::Vsock(socket) => socket.as_raw_fd(),
            Self::Unix(socket) => socket.as_raw_fd(),
        }
    }

    /// The next connection from the host; only it is talked to: a guest's own process comes with another CID.
    pub fn accept(&self) -> Option<File> {
        loop {
            match self.accept_any() {
                Ok((socket, true)) => return Some(socket),
                Ok((_, false)) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    fn accept_any(&self) -> io::Result<(File, bool)> {
        match self {
            Self::Vsock(socket) => sys::vsock_accept(socket).map(|(socket, cid)| (socket, cid == HOST_CID)),
            Self::Unix(socket) => {
                let socket = socket.accept()?.0;
                socket.set_nonblocking(true)?;
                Ok((File::from(OwnedFd::from(socket)), true))
            }
        }
    }
}
