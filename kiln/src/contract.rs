//! What kiln shares with init and with Python, held to tests/contract/shared.json, which the others' tests read too.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::durations::Durations;
use crate::exit_report::ExitReport;
use crate::host_log::{Entry, Level, Message, Origin, Source};
use crate::run_outcome::Outcome;
use crate::{config, exit_report, exit_status, guest_log, outbox, program, secrets, start, vmm};

const ID: &str = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB";

fn shared(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../tests/contract/shared.json")).unwrap();
    all.get(name).unwrap_or_else(|| panic!("shared.json has no {name}")).clone()
}

fn number(name: &str) -> usize {
    usize::try_from(shared(name).as_u64().unwrap()).unwrap()
}

#[test]
fn constants_are_the_shared_ones() {
    for (name, value) in [
        ("kiln_format", json!(config::FORMAT)),
        ("start_format", json!(start::FORMAT)),
        ("start_config", json!(program::START.trim_start_matches('/'))),
        ("max_start_bytes", json!(start::MAX_BYTES)),
        ("secrets_socket", json!(program::SECRETS.trim_start_matches('/'))),
        ("max_secrets_bytes", json!(secrets::MAX_BYTES)),
        ("kiln_config", json!(program::CONFIG.trim_start_matches('/'))),
        ("unfinished_suffix", json!(exit_status::UNFINISHED_SUFFIX)),
        ("max_output_bytes", json!(guest_log::MAX_PAYLOAD_BYTES)),
        ("max_unacknowledged_bytes", json!(outbox::WINDOW_BYTES)),
        ("max_error_bytes", json!(exit_report::MAX_ERROR_BYTES)),
        ("max_signal", json!(exit_report::MAX_SIGNAL)),
        ("code_no_process", json!(exit_report::CODE_NO_PROCESS)),
        ("log_levels", json!([Level::Debug, Level::Info, Level::Warn, Level::Error])),
        (
            "log_sources",
            json!([
                Source::Stdout,
                Source::Stderr,
                Source::Init,
                Source::Kernel,
                Source::Kiln,
                Source::Firecracker
            ]),
        ),
    ] {
        assert_eq!(shared(name), value, "{name}");
    }
}

#[test]
fn durations_are_the_shared_ones() {
    let Durations { secrets, guest_end, last_lines, request, log_end, flow_control, retry, complaint, clock } =
        Durations::default();
    let seconds = |duration: Duration| duration.as_secs_f64();
    let own = json!({
        "secrets": seconds(secrets),
        "guest_end": seconds(guest_end),
        "last_lines": seconds(last_lines),
        "request": seconds(request),
        "log_end": seconds(log_end),
        "flow_control": seconds(flow_control),
        "retry": seconds(retry),
        "complaint": seconds(complaint),
        "clock": seconds(clock),
    });
    let shared = shared("kiln_waits_s");
    assert_eq!(shared.as_object().unwrap().len(), own.as_object().unwrap().len());
    for (name, value) in shared.as_object().unwrap() {
        assert_eq!(own[name].as_f64(), value.as_f64(), "{name}");
    }
}

#[test]
fn the_longest_line_is_one_that_the_collector_takes() {
    // JSON writes a control character as six bytes.
    let longest = "\u{1}".repeat(guest_log::MAX_PAYLOAD_BYTES.max(vmm::MAX_CONSOLE_LINE_BYTES));
    let (level, source) = (Level::Error, Source::Firecracker);
    let entry =
        Entry { level, source, message: Message::Text(&longest), partial: true, dropped: Some(u64::MAX) };
    let mut line = Vec::new();
    let origin = Origin { vm_id: ID.into(), run: ID.into() };
    entry.write(&mut line, Timestamp::now(), &origin);
    assert!(line.len() <= number("max_log_line_bytes"), "{} bytes", line.len());
}

#[test]
fn the_longest_exit_status_is_one_that_the_host_takes() {
    // Each byte of a hostile report becomes three: the replacement character. Lines of the console were cut.
    let report = ExitReport {
        exit_code: None,
        signal: None,
        oom_killed: true,
        error: Some("\u{1}".repeat(exit_report::MAX_ERROR_BYTES)),
    };
    let mut outcome = Outcome::not_begun("\u{fffd}".repeat(vmm::MAX_SHOWN_CHARS + 100));
    outcome.started_at = Some(Timestamp::now());
    outcome.reported(report);
    let mut text = serde_json::to_string_pretty(&outcome.status()).unwrap();
    text.push('\n');
    assert!(text.len() <= number("max_exit_status_bytes"), "{} bytes", text.len());
}
