//! Standard input of the image's process, and the host that attaches to give it.

use std::time::Duration;

use crate::machine::{DEADLINE, Machine, Stream, exited};
use serde_json::{Value, json};

/// Whoever waits for it misses the deadline.
const LONG: Duration = DEADLINE.saturating_mul(2);

fn attach(machine: &Machine, replay: bool) -> Stream {
    try_attach(machine, replay).unwrap()
}

fn try_attach(machine: &Machine, replay: bool) -> Result<Stream, (u16, Value)> {
    machine.upgrade("POST", "/v1/attach", &json!({"replay": replay, "size": null}))
}

#[test]
fn bytes_go_in_and_come_out_the_same_and_the_end_is_the_end() {
    let Some(machine) = Machine::with_input(LONG, "echo begun >&2; cat; echo over >&2; exit 4") else {
        return;
    };
    let mut stream = attach(&machine, true);
    let given: Vec<u8> = (0..60_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    stream.stdin(&given);
    stream.end_stdin();
    let heard = stream.finish();
    assert!(heard.stdout == given, "{} bytes", heard.stdout.len());
    assert_eq!((heard.stderr, heard.exit), (b"begun\nover\n".to_vec(), exited(4)));
    let (report, log) = machine.ended();
    let errors: Vec<_> = log.iter().filter(|line| line["source"] == "stderr").collect();
    assert_eq!((errors.len(), &report["exit_code"]), (2, &json!(4)), "and all is in the log");
}

#[test]
fn the_first_host_has_it_and_its_going_away_ends_it() {
    let Some(machine) = Machine::with_input(LONG, "cat; echo ended; read x < $FOLDER/go") else { return };
    let made = std::process::Command::new("mkfifo").arg(machine.folder.join("go")).status().unwrap();
    assert!(made.success());
    let mut first = attach(&machine, true);
    first.stdin(b"one\n");
    first.wait_for("one\n");
    let taken = "the standard input of the process was given to another already";
    assert_eq!(try_attach(&machine, true).err(), Some((422, json!({"error": taken}))));
    drop(first);
    machine.exec(&["sh", "-c", "echo > $FOLDER/go"], &json!({})).finish();
    let (report, log) = machine.ended();
    let said: Vec<_> = log.iter().filter(|line| line["source"] == "stdout").collect();
    assert_eq!(said[1]["message"], "ended");
    assert_eq!(report["exit_code"], 0);
}

#[test]
fn all_that_was_written_before_the_first_host_came_is_kept_for_it() {
    let script = "seq 1 100000; echo > $FOLDER/done; cat";
    let Some(machine) = Machine::with_input(LONG, script) else { return };
    // Longer than it takes when somebody reads.
    assert_eq!(machine.exec(&["sleep", "1"], &json!({})).finish().exit, exited(0));
    assert!(!machine.folder.join("done").exists(), "it waits for the host");
    let mut stream = attach(&machine, true);
    stream.end_stdin();
    let expected = (1..=100_000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
    assert!(stream.finish().text() == expected);
    machine.ended();
}

#[test]
fn a_host_that_never_comes_is_waited_for_once() {
    let Some(machine) = Machine::with_input(Duration::from_secs(1), "seq 1 100000; exec cat") else { return };
    let until = "until [ \"$(cat /proc/$0/comm)\" = cat ]; do sleep 0.1; done";
    let pid = machine.ask("GET", "/v1/status", &json!({})).1["pid"].to_string();
    assert_eq!(machine.exec(&["sh", "-c", until, &pid], &json!({})).finish().exit, exited(0));
    let mut stream = attach(&machine, true);
    stream.stdin(b"now\n");
    stream.end_stdin();
    let heard = stream.finish();
    assert!(
        heard.text().ends_with("now\n") && heard.stdout.len() < 200_000,
        "what was before is in the log alone"
    );
    let (_, log) = machine.ended();
    assert_eq!(log.iter().filter(|line| line["source"] == "stdout").count(), 100_001);
}

#[test]
fn a_process_that_reads_nothing_ends_all_the_same() {
    let Some(machine) = Machine::with_input(LONG, "read x; exec <&-; sleep 0.3; exit 5") else { return };
    let mut stream = attach(&machine, true);
    stream.stdin(&[b"go\n".to_vec(), vec![b'x'; 60_000]].concat());
    assert_eq!(stream.finish().exit, exited(5));
    machine.ended();
}
