//! The guest API: whole requests, and what they ask for. What is refused says so in JSON, and what is to be done is
//! within the bounds that its doers rely on.
#![no_main]

use guest::api::{self, Copy, Reaction, State, Status};
use guest::http;
use libfuzzer_sys::fuzz_target;

const STATES: [(State, Option<i32>); 2] = [(State::Running, Some(42)), (State::Exited, None)];

fuzz_target!(|bytes: &[u8]| {
    let request = match http::parse(bytes) {
        Ok(Some(request)) => request,
        Ok(None) => return,
        Err(answer) => return whole(&answer),
    };
    for (state, pid) in STATES {
        let status = Status { pid, state, exit_code: None, signal: None, uptime_ms: 1 };
        match api::react(&request, &status) {
            Reaction::Answer(answer) => whole(&answer),
            Reaction::Signal(to, signal) => assert!(Some(to) == pid && (1..=64).contains(&signal)),
            Reaction::Exec(exec) => {
                assert!(state == State::Running && !exec.args[0].is_empty());
                assert!(!exec.detach || (!exec.stdin && exec.tty.is_none()));
            }
            Reaction::Attach(_) => assert_eq!(state, State::Running),
            Reaction::Copy(Copy::Send(at)) | Reaction::Stat(at) => is_path(&at.path),
            Reaction::Copy(Copy::Receive(into)) => is_path(&into.path),
        }
    }
});

fn is_path(path: &str) {
    assert!(path.starts_with('/') && !path.contains('\0'));
}

fn whole(answer: &http::Answer) {
    let bytes = answer.to_bytes();
    assert_eq!(http::answer_status(&bytes), Some(answer.status));
    let value: serde_json::Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert!(value.is_object());
}
