//! What the host may ask of a running guest: routes and their answers, apart from any socket.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::frame;
use crate::http::{Answer, Request};
use crate::run::required;

/// Linux's highest signal: SIGRTMAX, signal(7).
pub(crate) const MAX_SIGNAL: i32 = 64;
/// There is no process to do it to.
pub(crate) const NOT_RUNNING: u16 = 409;
/// What was asked for cannot be started.
pub(crate) const NOT_STARTED: u16 = 422;

const PATHS: [&str; 7] =
    ["/v1/ping", "/v1/status", "/v1/signal", "/v1/exec", "/v1/attach", "/v1/files", "/v1/stat"];

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
    /// Start a process, and let the connection become its stream.
    Exec(Exec),
    /// Let the connection become one to the image's process.
    Attach(Attach),
    /// The same as `Exec` with a process that copies files.
    Copy(Copy),
    /// Answer what is at this path.
    Stat(At),
}

/// Which way files go, as a tar stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Copy {
    /// To the host.
    Send(At),
    /// Into a directory.
    Receive(Into),
}

/// The body of `GET /v1/files` and `GET /v1/stat`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// Absolute.
    pub path: String,
    /// Whether a link there stands for what it leads to.
    pub follow: bool,
}

/// The body of `PUT /v1/files`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Into {
    /// Absolute; a directory that is there.
    pub path: String,
}

/// The body of `POST /v1/exec`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments; at least one.
    pub args: Vec<String>,
    /// `NAME=value` each, added to the environment of the image's process.
    pub env: Vec<String>,
    /// Working directory; that of the image's process when null.
    #[serde(deserialize_with = "required")]
    pub cwd: Option<String>,
    /// As Docker's `user[:group]`; that of the image's process when null.
    #[serde(deserialize_with = "required")]
    pub user: Option<String>,
    /// Whether the host sends standard input; with a terminal it may always.
    pub stdin: bool,
    /// A terminal for it.
    #[serde(deserialize_with = "required")]
    pub tty: Option<Size>,
    /// Whether it is left to itself: then there is no stream, but an answer with its PID.
    pub detach: bool,
}

/// The body of `POST /v1/attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Whether what was written before is shown, as far as it is known.
    pub replay: bool,
    /// What size the terminal gets; it keeps its own when null.
    #[serde(deserialize_with = "required")]
    pub size: Option<Size>,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
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
        ("POST", "/v1/exec") => match exec(request, status) {
            Ok(exec) => return Reaction::Exec(exec),
            Err(answer) => answer,
        },
        ("POST", "/v1/attach") => match attach(request, status) {
            Ok(attach) => return Reaction::Attach(attach),
            Err(answer) => answer,
        },
        ("GET", "/v1/stat") => match at(request.body) {
            Ok(at) => return Reaction::Stat(at),
            Err(answer) => answer,
        },
        ("GET" | "PUT", "/v1/files") => match copy(request, status) {
            Ok(copy) => return Reaction::Copy(copy),
            Err(answer) => answer,
        },
        (_, path) if PATHS.contains(&path) => Answer::refuse(405, "not with this method"),
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
        _ => Err(Answer::refuse(NOT_RUNNING, "the process does not run")),
    }
}

fn exec(request: &Request<'_>, status: &Status) -> Result<Exec, Answer> {
    let exec: Exec = read(request.body)?;
    if !exec.detach {
        becomes_stream(request)?;
    } else if exec.stdin || exec.tty.is_some() {
        return Err(Answer::refuse(400, "what is left to itself has neither input nor terminal"));
    }
    if exec.args.first().is_none_or(String::is_empty) {
        return Err(Answer::refuse(400, "args names no program"));
    }
    is_running(status)?;
    Ok(exec)
}

fn attach(request: &Request<'_>, status: &Status) -> Result<Attach, Answer> {
    becomes_stream(request)?;
    let attach = read(request.body)?;
    is_running(status)?;
    Ok(attach)
}

fn copy(request: &Request<'_>, status: &Status) -> Result<Copy, Answer> {
    becomes_stream(request)?;
    let copy = if request.method == "GET" {
        Copy::Send(at(request.body)?)
    } else {
        let into: Into = read(request.body)?;
        is_path(&into.path)?;
        Copy::Receive(into)
    };
    is_running(status)?;
    Ok(copy)
}

fn at(body: &[u8]) -> Result<At, Answer> {
    let at: At = read(body)?;
    is_path(&at.path)?;
    Ok(at)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::refuse(400, &format!("the body: {error}")))
}

fn is_path(path: &str) -> Result<(), Answer> {
    let is_path = path.starts_with('/') && !path.contains('\0');
    if is_path { Ok(()) } else { Err(Answer::refuse(400, "path is not an absolute path")) }
}

fn becomes_stream(request: &Request<'_>) -> Result<(), Answer> {
    if request.upgrade == Some(frame::PROTOCOL) {
        return Ok(());
    }
    Err(Answer::refuse(426, &format!("the connection must become {}", frame::PROTOCOL)))
}

fn is_running(status: &Status) -> Result<(), Answer> {
    if status.state == State::Running {
        Ok(())
    } else {
        Err(Answer::refuse(NOT_RUNNING, "the process does not run"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RUNNING: Status =
        Status { pid: Some(42), state: State::Running, exit_code: None, signal: None, uptime_ms: 7 };
    const EXITED: Status =
        Status { pid: None, state: State::Exited, exit_code: Some(3), signal: None, uptime_ms: 9 };

    fn ask(method: &str, path: &str, body: &str, status: &Status) -> (u16, String) {
        let upgrade = Some(frame::PROTOCOL);
        match react(&Request { method, path, upgrade, body: body.as_bytes() }, status) {
            Reaction::Answer(answer) => (answer.status, answer.body),
            Reaction::Signal(pid, signal) => (0, format!("{signal} to {pid}")),
            other => (1, format!("{other:?}")),
        }
    }

    fn golden(name: &str) -> Value {
        let all: Value = serde_json::from_str(include_str!("../../tests/contract/guest_api.json")).unwrap();
        all[name].clone()
    }

    #[test]
    fn takes_the_golden_requests_and_gives_the_golden_answers() {
        assert_eq!(ask("POST", "/v1/signal", &golden("signal").to_string(), &RUNNING).0, 0);
        let status = Status { uptime_ms: 1234, ..RUNNING };
        let answer: Value = serde_json::from_str(&ask("GET", "/v1/status", "", &status).1).unwrap();
        assert_eq!(answer, golden("status"));
        let refusal: Value = serde_json::from_str(&ask("GET", "/", "", &status).1).unwrap();
        assert_eq!(refusal, golden("refusal"));
        let exec: Exec = serde_json::from_value(golden("exec")).unwrap();
        assert_eq!(
            (exec.args.len(), exec.user.as_deref(), exec.cwd.as_deref()),
            (3, Some("nginx:adm"), Some("/srv"))
        );
        assert_eq!((exec.stdin, exec.tty), (true, Some(Size { rows: 24, cols: 80 })));
        assert_eq!(ask("POST", "/v1/exec", &golden("exec_with_defaults").to_string(), &RUNNING).0, 1);
    }

    #[test]
    fn exec_needs_each_field_a_program_an_upgrade_and_a_running_process() {
        let golden = golden("exec");
        let post = |body: &Value, status| ask("POST", "/v1/exec", &body.to_string(), status).0;
        for name in golden.as_object().unwrap().keys() {
            let mut less = golden.clone();
            less.as_object_mut().unwrap().remove(name);
            assert_eq!(post(&less, &RUNNING), 400, "{name}");
        }
        for (name, value) in
            [("surprise", 1.into()), ("args", json!([])), ("args", json!([""])), ("tty", json!({}))]
        {
            let mut other = golden.clone();
            other[name] = value;
            assert_eq!(post(&other, &RUNNING), 400, "{name}");
        }
        assert_eq!(post(&golden, &EXITED), 409);
        let mut left = golden.clone();
        left["detach"] = true.into();
        assert_eq!(post(&left, &RUNNING), 400, "nobody is at its terminal");
        let body = golden.to_string();
        let plain = Request { method: "POST", path: "/v1/exec", upgrade: None, body: body.as_bytes() };
        assert!(matches!(react(&plain, &RUNNING), Reaction::Answer(Answer { status: 426, .. })));
        let body = self::golden("exec_detached").to_string();
        let plain = Request { body: body.as_bytes(), ..plain };
        assert!(matches!(react(&plain, &RUNNING), Reaction::Exec(Exec { detach: true, .. })));
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
    fn copies_by_absolute_paths_only() {
        let send = golden("files_get").to_string();
        assert_eq!(
            ask("GET", "/v1/files", &send, &RUNNING).1,
            "Copy(Send(At { path: \"/etc/nginx\", follow: false }))"
        );
        assert_eq!(
            ask("GET", "/v1/stat", &send, &RUNNING).1,
            "Stat(At { path: \"/etc/nginx\", follow: false })"
        );
        let receive = golden("files_put").to_string();
        assert_eq!(ask("PUT", "/v1/files", &receive, &RUNNING).1, "Copy(Receive(Into { path: \"/srv\" }))");
        for (method, body) in [
            ("GET", r#"{"path":"etc","follow":false}"#),
            ("GET", r#"{"path":"/a\u0000b","follow":false}"#),
            ("GET", r#"{"path":"/etc"}"#),
            ("PUT", r#"{"path":"/etc","follow":false}"#),
            ("PUT", r#"{"path":""}"#),
        ] {
            assert_eq!(ask(method, "/v1/files", body, &RUNNING).0, 400, "{body}");
        }
        assert_eq!(ask("PUT", "/v1/files", &receive, &EXITED).0, 409);
        assert_eq!(ask("POST", "/v1/files", &receive, &RUNNING).0, 405);
    }

    #[test]
    fn attaching_says_what_is_shown_and_how_large() {
        let golden = golden("attach");
        let said = "Attach(Attach { replay: true, size: Some(Size { rows: 24, cols: 80 }) })";
        assert_eq!(ask("POST", "/v1/attach", &golden.to_string(), &RUNNING), (1, said.into()));
        for body in ["", "{}", r#"{"replay":true}"#, r#"{"replay":1,"size":null}"#] {
            assert_eq!(ask("POST", "/v1/attach", body, &RUNNING).0, 400, "{body}");
        }
        assert_eq!(ask("POST", "/v1/attach", &golden.to_string(), &EXITED).0, 409);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(ask("GET", "/", "", &RUNNING).0, 404);
        assert_eq!(ask("GET", "/v1/ping/", "", &RUNNING).0, 404);
        assert_eq!(ask("DELETE", "/v1/status", "", &RUNNING).0, 405);
        assert_eq!(ask("GET", "/v1/signal", "", &RUNNING).0, 405);
        assert_eq!(ask("GET", "/v1/exec", "", &RUNNING).0, 405);
        assert_eq!(ask("GET", "/v1/attach", "", &RUNNING).0, 405);
    }
}
