//! Standard input of the image's process, and the host that attaches to give it.

use crate::machine::{Machine, Stream, exited};
use serde_json::{Value, json};

fn attach(machine: &Machine, replay: bool) -> Stream {
    try_attach(machine, replay).unwrap()
}

fn try_attach(machine: &Machine, replay: bool) -> Result<Stream, (u16, Value)> {
    machine.upgrade("POST", "/v1/attach", &json!({"replay": replay, "size": null}))
}

#[test]
#[ignore = "needs root"]
fn bytes_go_in_and_come_out_the_same_and_the_end_is_the_end() {
    let machine = Machine::with_input("echo begun >&2; cat; echo over >&2; exit 4");
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
#[ignore = "needs root"]
fn the_first_host_has_it_and_its_going_away_ends_it() {
    let machine = Machine::with_input("cat; echo ended; read x < $FOLDER/go");
    let mut first = attach(&machine, true);
    first.stdin(b"one\n");
    first.wait_for("one\n");
    let taken = "the standard input of the process was given to another already";
    assert_eq!(try_attach(&machine, true).err(), Some((422, json!({"error": taken}))));
    drop(first);
    machine.go();
    let (report, log) = machine.ended();
    let said: Vec<_> = log.iter().filter(|line| line["source"] == "stdout").collect();
    assert_eq!(said[1]["message"], "ended");
    assert_eq!(report["exit_code"], 0);
}

#[test]
#[ignore = "needs root"]
fn all_that_was_written_before_the_first_host_came_is_kept_for_it() {
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo $i; done; : > $FOLDER/done; cat";
    let machine = Machine::with_input(script);
    machine.wait_until_stuck(&machine.pid());
    assert!(!machine.folder.join("done").exists(), "it waits for the host");
    let mut stream = attach(&machine, true);
    stream.end_stdin();
    let expected = (1..=100_000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
    assert!(stream.finish().text() == expected);
    machine.ended();
}

#[test]
#[ignore = "needs root"]
fn a_host_that_never_comes_is_waited_for_once() {
    let script = "seq 1 100000; echo > $FOLDER/up; exec cat";
    let machine = Machine::with("attach=1000", "stdin", &["sh", "-c", script]);
    machine.wait_until_up();
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
#[ignore = "needs root"]
fn a_process_that_reads_nothing_ends_all_the_same() {
    let machine = Machine::with_input("read x; exec <&-; echo closed; read x < $FOLDER/go; exit 5");
    let mut stream = attach(&machine, true);
    stream.stdin(b"go\n");
    let mut heard = stream.wait_for("closed\n");
    stream.stdin(&vec![b'x'; 60_000]);
    // All of it was thrown away: there is leave for as much as in the beginning.
    while heard.window < 65_536 + 60_003 {
        stream.hear(&mut heard);
    }
    machine.go();
    assert_eq!(stream.finish().exit, exited(5));
    machine.ended();
}
