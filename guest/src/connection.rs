//! One connection of the host's to the API: read a request, write an answer, within a deadline.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::http::{self, Answer, MAX_BODY_BYTES, MAX_HEAD_BYTES, Request};
use crate::sys::{self, PollFd};

/// A connection of the host's to the API, from its request to the answer.
#[derive(Debug)]
pub struct Connection {
    socket: File,
    request: Vec<u8>,
    answer: Vec<u8>,
    patience: Duration,
    deadline: Instant,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// It waits for the socket.
    Waits,
    /// It is over; close it.
    Over,
    /// It becomes a stream of this.
    Becomes(T),
}

impl Connection {
    /// For a non-blocking socket; `patience` is for everything, from accept to the last byte.
    pub fn new(socket: File, patience: Duration) -> Self {
        let deadline = Instant::now() + patience;
        Self { socket, request: Vec::new(), answer: Vec::new(), patience, deadline }
    }

    /// When it must be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to poll.
    pub fn interest(&self) -> PollFd {
        let events = if self.answer.is_empty() { sys::POLLIN } else { sys::POLLOUT };
        PollFd { fd: self.socket.as_raw_fd(), events, revents: 0 }
    }

    /// Its socket, for what it becomes.
    pub fn into_socket(self) -> File {
        self.socket
    }

    /// Goes as far as the socket lets it; `respond` is asked at most once.
    pub fn advance<T>(&mut self, respond: impl FnOnce(&Request<'_>) -> Result<T, Answer>) -> Progress<T> {
        if self.answer.is_empty() {
            match self.read(respond) {
                Progress::Waits => {}
                other => return other,
            }
        }
        self.write()
    }

    fn read<T>(&mut self, respond: impl FnOnce(&Request<'_>) -> Result<T, Answer>) -> Progress<T> {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Progress::Over,
                Ok(len) => self.request.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Over,
            }
            if self.request.len() > MAX_HEAD_BYTES + MAX_BODY_BYTES {
                break;
            }
        }
        let answer = match http::parse(&self.request) {
            Ok(None) if Instant::now() < self.deadline => return Progress::Waits,
            Ok(None) => Answer::refuse(408, &format!("no whole request in {} s", self.patience.as_secs())),
            Ok(Some(request)) => match respond(&request) {
                Ok(stream) => return Progress::Becomes(stream),
                Err(answer) => answer,
            },
            Err(refusal) => refusal,
        };
        self.answer = answer.to_bytes();
        Progress::Waits
    }

    fn write<T>(&mut self) -> Progress<T> {
        while !self.answer.is_empty() {
            match self.socket.write(&self.answer) {
                Ok(len) if len > 0 => drop(self.answer.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.wait_or_end(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return Progress::Over,
            }
            if self.answer.is_empty() {
                return Progress::Over;
            }
        }
        Progress::Waits
    }

    fn wait_or_end<T>(&self) -> Progress<T> {
        if Instant::now() < self.deadline { Progress::Waits } else { Progress::Over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durations::Durations;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    /// A connection with the patience of a guest's, and its host.
    fn pair() -> (Connection, UnixStream) {
        pair_with(Durations::default().request)
    }

    fn pair_with(patience: Duration) -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Connection::new(File::from(OwnedFd::from(ours)), patience), theirs)
    }

    fn respond(request: &Request<'_>) -> Result<(), Answer> {
        Err(Answer::ok(request.path))
    }

    fn never(_: &Request<'_>) -> Result<(), Answer> {
        panic!("there is no whole request");
    }

    fn heard(mut theirs: UnixStream) -> String {
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_request_in_pieces_is_answered_once() {
        let (mut connection, mut theirs) = pair();
        for piece in ["GET /v1", "/ping HTTP/1.1\r\n", "\r\n"] {
            assert_eq!(connection.advance(never), Progress::Waits);
            theirs.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(connection.advance(respond), Progress::Over);
        drop(connection);
        assert!(heard(theirs).ends_with("/v1/ping"));
    }

    #[test]
    fn a_slow_one_is_told_so() {
        let (mut connection, mut theirs) = pair_with(Duration::ZERO);
        theirs.write_all(b"GET /").unwrap();
        assert_eq!(connection.advance(respond), Progress::Over);
        drop(connection);
        assert!(heard(theirs).starts_with("HTTP/1.1 408 "));
    }

    #[test]
    fn what_is_too_large_is_refused_and_bounded() {
        let (mut connection, mut theirs) = pair();
        theirs.write_all(&vec![b'a'; 20_000]).unwrap();
        assert_eq!(connection.advance(respond), Progress::Over);
        assert!(connection.request.len() <= 20_000);
        drop(connection);
        let mut start = [0; 12];
        theirs.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }

    #[test]
    fn one_that_goes_away_is_over() {
        let (mut connection, theirs) = pair();
        drop(theirs);
        assert_eq!(connection.advance(never), Progress::Over);
    }
}
