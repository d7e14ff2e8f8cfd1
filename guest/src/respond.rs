//! Does what a request asks for: an answer, or that which the connection becomes.
#![forbid(unsafe_code)]

use crate::api::{self, Attach, NOT_RUNNING, NOT_STARTED, Reaction, Status};
use crate::failure::Failure;
use crate::http::{Answer, Request};
use crate::process::Launcher;
use crate::stat;
use crate::sys::{self, Started};

/// What a connection becomes.
#[derive(Debug)]
pub enum Stream {
    /// That of a process.
    Process(Started),
    /// One to the terminal of the image's process, or to its standard streams.
    Attached(Attach),
}

/// What there is beside the process.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Whether one more stream is to be had.
    pub has_room: bool,
    /// What a host that attaches finds.
    pub input: Offer,
}

/// What there is of the image's process's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// None: it reads /dev/null.
    Nothing,
    /// A terminal, at which there may be many, or a pipe that nobody has.
    Free,
    /// A pipe that a host has, or had.
    Taken,
}

/// Answer a request, or say what its connection becomes.
pub fn respond(
    request: &Request<'_>,
    status: &Status,
    launcher: &Launcher,
    now: Circumstances,
) -> Result<Stream, Answer> {
    match api::react(request, status) {
        Reaction::Answer(answer) => Err(answer),
        Reaction::Signal(pid, signal) => Err(match sys::kill(pid, launcher.signal(pid, signal)) {
            Ok(()) => Answer::ok("{}"),
            Err(error) => Answer::refuse(NOT_RUNNING, &error.to_string()),
        }),
        Reaction::Stat(at) => Err(stat::answer(&at.path, at.follow)),
        Reaction::Attach(_) if now.input == Offer::Nothing => {
            Err(Answer::refuse(NOT_STARTED, "the process has neither a terminal nor standard input"))
        }
        Reaction::Attach(_) if now.input == Offer::Taken => {
            Err(Answer::refuse(NOT_STARTED, "the standard input of the process was given to another already"))
        }
        Reaction::Exec(asked) if asked.detach => Err(match launcher.exec(&asked) {
            Ok(started) => Answer::ok(serde_json::json!({ "pid": started.pid }).to_string()),
            Err(failure) => not_started(failure),
        }),
        Reaction::Exec(_) | Reaction::Attach(_) | Reaction::Copy(_) if !now.has_room => {
            Err(Answer::refuse(429, "too many streams at once"))
        }
        Reaction::Attach(asked) => Ok(Stream::Attached(asked)),
        Reaction::Exec(asked) => launcher.exec(&asked).map(Stream::Process).map_err(not_started),
        Reaction::Copy(asked) => launcher.copy(&asked).map(Stream::Process).map_err(not_started),
    }
}

fn not_started(Failure { code, text }: Failure) -> Answer {
    Answer { status: NOT_STARTED, body: serde_json::json!({ "error": text, "exit_code": code }).to_string() }
}
