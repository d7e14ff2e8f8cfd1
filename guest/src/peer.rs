//! The host's side of one stream: frames that come, and bytes that are on their way to it. Nothing here grows.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;

use crate::frame::{self, FromHost, Malformed, Output};
use crate::sys::{self, PollFd};

/// Above this no more output is read, so that the process waits for the host.
const HIGH_WATER_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// The host at the other end of a stream.
#[derive(Debug)]
pub struct Peer {
    socket: File,
    received: Vec<u8>,
    unsent: VecDeque<u8>,
}

/// What became of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// There was something.
    Some,
    /// There is nothing now.
    Nothing,
    /// Nothing more comes.
    End,
}

impl Peer {
    /// For a non-blocking socket, to which this is said first.
    pub fn new(socket: File, first: Vec<u8>) -> Self {
        Self { socket, received: Vec::new(), unsent: first.into() }
    }

    /// The socket's descriptor.
    pub fn fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    /// What to poll.
    pub fn interest(&self) -> PollFd {
        let events = if self.unsent.is_empty() { sys::POLLIN } else { sys::POLLIN | sys::POLLOUT };
        PollFd { fd: self.fd(), events, revents: 0 }
    }

    /// Whether more may be added that could as well wait.
    pub fn has_room(&self) -> bool {
        self.unsent.len() < HIGH_WATER_BYTES
    }

    /// Whether all is on its way.
    pub fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Takes what the host sent, frame by frame. An error: it is gone, or does not keep to the protocol.
    pub fn listen(
        &mut self,
        mut take: impl FnMut(FromHost<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut chunk = [0; READ_BYTES];
        match self.socket.read(&mut chunk) {
            Ok(0) => return Err(Malformed),
            Ok(len) => self.received.extend_from_slice(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(Malformed),
        }
        let mut read = 0;
        while let Some((frame, len)) = frame::parse(&self.received[read..])? {
            take(frame)?;
            read += len;
        }
        self.received.drain(..read);
        Ok(())
    }

    /// Adds what `write` appends.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.unsent.extend(bytes);
    }

    /// Reads once from a process, and adds what came.
    pub fn pass_on(&mut self, file: &mut File, output: Output) -> Passed {
        let mut chunk = [0; READ_BYTES];
        match file.read(&mut chunk) {
            Ok(len) if len > 0 => {
                self.append(|out| frame::output(out, output, &chunk[..len]));
                Passed::Some
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Passed::Nothing
            }
            // A terminal whose other side is closed says EIO.
            _ => Passed::End,
        }
    }

    /// Sends what the socket takes now. An error: the host is gone.
    pub fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let bytes = self.unsent.as_slices().0;
            match self.socket.write(&bytes[..bytes.len().min(sys::VSOCK_WRITE_BYTES)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
