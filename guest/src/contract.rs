//! What init shares with kiln and with Python, held to tests/contract/shared.json, which the others' tests read too.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::durations::Durations;
use crate::{api, end, failure, frame, host_lines, http, run, secrets, split, start};

fn shared(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../tests/contract/shared.json")).unwrap();
    all.get(name).unwrap_or_else(|| panic!("shared.json has no {name}")).clone()
}

#[test]
fn constants_are_the_shared_ones() {
    for (name, value) in [
        ("run_format", json!(run::FORMAT)),
        ("start_format", json!(start::FORMAT)),
        ("max_start_bytes", json!(host_lines::MAX_BYTES)),
        ("max_secrets_bytes", json!(secrets::MAX_BYTES)),
        ("run_config", json!(run::PATH.trim_start_matches('/'))),
        ("exit_report_port", json!(end::EXIT_PORT)),
        ("max_output_bytes", json!(split::MAX_PAYLOAD_BYTES)),
        ("max_error_bytes", json!(end::MAX_ERROR_BYTES)),
        ("max_signal", json!(api::MAX_SIGNAL)),
        ("max_signal", json!(frame::MAX_SIGNAL)),
        ("code_no_process", json!(failure::CODE_INIT)),
        ("code_not_executable", json!(failure::CODE_NOT_EXECUTABLE)),
        ("code_not_found", json!(failure::CODE_NOT_FOUND)),
        ("stream_protocol", json!(frame::PROTOCOL)),
        ("max_frame_payload_bytes", json!(frame::MAX_PAYLOAD_BYTES)),
        ("max_request_bytes", json!(http::MAX_BODY_BYTES)),
        ("http_not_running", json!(api::NOT_RUNNING)),
        ("http_not_started", json!(api::NOT_STARTED)),
    ] {
        assert_eq!(shared(name), value, "{name}");
    }
}

#[test]
fn durations_are_the_shared_ones() {
    let Durations { start, rest, drain, stream, attach, terminal, request, host_keys, last_lines, report } =
        Durations::default();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let own = json!({
        "start": seconds(start),
        "rest": seconds(rest),
        "drain": seconds(drain),
        "stream": seconds(stream),
        "attach": seconds(attach),
        "terminal": seconds(terminal),
        "request": seconds(request),
        "host_keys": seconds(host_keys),
        "last_lines": seconds(last_lines),
        "report": seconds(report),
    });
    let shared = shared("init_waits_s");
    assert_eq!(shared.as_object().unwrap().len(), own.as_object().unwrap().len());
    for (name, value) in shared.as_object().unwrap() {
        assert_eq!(own[name].as_f64(), value.as_f64(), "{name}");
    }
}
