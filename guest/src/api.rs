//! What the host may ask of a running guest: routes and their answers, apart from any socket.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::http::{Answer, Request};

/// Linux's highest signal: SIGRTMAX, signal(7).
const MAX_SIGNAL: i32 = 64;

/// Where the image's process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was not executed yet.
    Starting,
    /// It runs.
    Running,
    /// It ended.
    Exited,
}

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The process's PID inside the guest, while it runs.
    pub pid: Option<i32>,
    /// Its state.
    pub state: State,
    /// Its exit code, when it exited.
    pub exit_code: Option<u8>,
    /// The signal that killed it, when one did.
    pub signal: Option<u8>,
    /// Since init started, milliseconds.
    pub uptime_ms: u64,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Answer so.
    Answer(Answer),
    /// Send this signal to this PID, then answer.
    Signal(i32, i32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    signal: i32,
}

/// Finds out what a request asks for. Changes nothing itself.
pub fn react(request: &Request<'_>, status: &Status) -> Reaction {
    Reaction::Answer(match (request.method, request.path) {
        ("GET", "/v1/ping") => Answer::ok("{\"ok\":true}"),
        ("GET", "/v1/status") => {
            Answer::ok(serde_json::to_string(status).expect("numbers and names always serialise"))
        }
        ("POST", "/v1/signal") => match signal(request.body, status) {
            Ok(reaction) => return reaction,
            Err(answer) => answer,
        },
        (_, "/v1/ping" | "/v1/status" | "/v1/signal") => Answer::refuse(405, "not with this method"),
        _ => Answer::refuse(404, "no such thing"),
    })
}

fn signal(body: &[u8], status: &Status) -> Result<Reaction, Answer> {
    let Signal { signal } =
        serde_json::from_slice(body).map_err(|_| Answer::refuse(400, "the body is not {\"signal\":N}"))?;
    if !(1..=MAX_SIGNAL).contains(&signal) {
        return Err(Answer::refuse(400, "signals are 1 to 64"));
    }
    match (status.state, status.pid) {
        (State::Running, Some(pid)) => Ok(Reaction::Signal(pid, signal)),
        _ => Err(Answer::refuse(409, "the process does not run")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Status =
        Status { pid: Some(42), state: State::Running, exit_code: None, signal: None, uptime_ms: 7 };
    const EXITED: Status =
        Status { pid: None, state: State::Exited, exit_code: Some(3), signal: None, uptime_ms: 9 };

    fn ask(method: &str, path: &str, body: &str, status: &Status) -> (u16, String) {
        match react(&Request { method, path, body: body.as_bytes() }, status) {
            Reaction::Answer(answer) => (answer.status, answer.body),
            Reaction::Signal(pid, signal) => (0, format!("{signal} to {pid}")),
        }
    }

    #[test]
    fn tells_how_it_is() {
        assert_eq!(ask("GET", "/v1/ping", "", &RUNNING), (200, "{\"ok\":true}".into()));
        let running = r#"{"pid":42,"state":"running","exit_code":null,"signal":null,"uptime_ms":7}"#;
        assert_eq!(ask("GET", "/v1/status", "", &RUNNING), (200, running.into()));
        let exited = r#"{"pid":null,"state":"exited","exit_code":3,"signal":null,"uptime_ms":9}"#;
        assert_eq!(ask("GET", "/v1/status", "", &EXITED), (200, exited.into()));
    }

    #[test]
    fn signals_only_what_runs() {
        assert_eq!(ask("POST", "/v1/signal", "{\"signal\":9}", &RUNNING), (0, "9 to 42".into()));
        assert_eq!(ask("POST", "/v1/signal", "{\"signal\":64}", &RUNNING).0, 0);
        assert_eq!(ask("POST", "/v1/signal", "{\"signal\":9}", &EXITED).0, 409);
        for body in [
            "",
            "{}",
            "{\"signal\":0}",
            "{\"signal\":65}",
            "{\"signal\":-9}",
            "{\"signal\":9,\"x\":1}",
            "[9]9",
            "{\"signal\":\"TERM\"}",
            "{\"signal\":1e1}",
            "{\"signal\":4294967305}",
        ] {
            assert_eq!(ask("POST", "/v1/signal", body, &RUNNING).0, 400, "{body}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(ask("GET", "/", "", &RUNNING).0, 404);
        assert_eq!(ask("GET", "/v1/ping/", "", &RUNNING).0, 404);
        assert_eq!(ask("DELETE", "/v1/status", "", &RUNNING).0, 405);
        assert_eq!(ask("GET", "/v1/signal", "", &RUNNING).0, 405);
    }
}
