//! The terminal of the image's process, and hosts that attach to it.

use crate::machine::{Heard, Machine, Stream, exited, killed};
use serde_json::{Value, json};

const TALKS: &str = "tty; stty size; echo $TERM; trap 'stty size' WINCH; printf 'name? '; \
                     while ! read name; do :; done; stty size; echo hello $name; exit 3";

fn attach(machine: &Machine, replay: bool, size: &Value) -> Stream {
    machine.upgrade("POST", "/v1/attach", &json!({"replay": replay, "size": size})).unwrap()
}

fn said(log: &[Value], source: &str) -> Vec<String> {
    let of_source = log.iter().filter(|line| line["source"] == source);
    of_source.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs root"]
fn the_process_has_one_and_its_output_is_lines_of_the_log() {
    let script = "tty > /dev/stderr; ps -o pid=,sid=,tpgid= -p $$; echo $TERM; printf 'no newline'";
    let machine = Machine::at_a_terminal(script);
    let (report, log) = machine.ended();
    let lines = said(&log, "stdout");
    assert!(lines[0].starts_with("/dev/pts/"), "{lines:?}");
    let ids: Vec<&str> = lines[1].split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "it leads its session, in the foreground: {ids:?}");
    assert_eq!(lines[2..], ["xterm", "no newline"], "and no carriage returns");
    assert_eq!((said(&log, "stderr").len(), &report["exit_code"]), (0, &json!(0)));
}

#[test]
#[ignore = "needs root"]
fn who_attaches_sees_what_was_there_types_and_gets_the_end() {
    let machine = Machine::at_a_terminal(TALKS);
    let mut first = attach(&machine, true, &json!(null));
    let seen = first.wait_for("name? ");
    assert!(seen.text().contains("\r\n24 80\r\nxterm\r\n"), "{:?}", seen.text());
    assert_eq!(seen.window, 65536);
    let mut late = attach(&machine, false, &json!({"rows": 30, "cols": 100}));
    first.wait_for("30 100\r\n");
    late.send(3, &[0, 40, 0, 120]);
    first.wait_for("40 120\r\n");
    first.stdin(b"you\r");
    for stream in [first, late] {
        let heard = stream.finish();
        assert!(heard.text().ends_with("40 120\r\nhello you\r\n"), "{:?}", heard.text());
        assert_eq!(heard.exit, exited(3));
    }
    let (report, log) = machine.ended();
    assert_eq!((said(&log, "stdout").pop().as_deref(), &report["exit_code"]), (Some("hello you"), &json!(3)));
}

#[test]
#[ignore = "needs root"]
fn keys_and_signals_reach_it() {
    let machine = Machine::at_a_terminal("trap 'echo asked' TERM; echo up; cat; echo; exec sleep 1000");
    let mut stream = attach(&machine, true, &json!(null));
    stream.wait_for("up\r\n");
    stream.end_stdin();
    stream.wait_for("\r\n");
    stream.signal(9);
    assert_eq!(stream.finish().exit, killed(9));
    assert_eq!(machine.ended().0["signal"], 9);
}

#[test]
#[ignore = "needs root"]
fn a_host_that_goes_away_is_not_missed() {
    let machine = Machine::at_a_terminal("trap 'exit 8' HUP; while read x; do echo got $x; done");
    drop(attach(&machine, true, &json!(null)));
    let mut garbage = attach(&machine, true, &json!(null));
    garbage.send(99, b"no such frame");
    let mut leaver = attach(&machine, true, &json!(null));
    leaver.send(5, &[]);
    let mut stream = attach(&machine, true, &json!(null));
    stream.stdin(b"one\r");
    stream.wait_for("got one\r\n");
    stream.stdin(&[4]);
    assert_eq!(stream.finish().exit, exited(0));
    machine.ended();
}

#[test]
#[ignore = "needs root"]
fn a_process_that_leaves_its_terminal_goes_on_and_may_come_back() {
    let script = "exec < /dev/null > /dev/null 2>&1; echo > $FOLDER/up; read x < $FOLDER/go; \
                  echo back > /dev/tty; exit 6";
    let machine = Machine::at_a_terminal(script);
    machine.wait_until_up();
    let stream = attach(&machine, true, &json!(null));
    machine.go();
    let heard = stream.finish();
    assert_eq!((heard.text(), &heard.exit), ("back\r\n", &exited(6)));
    assert_eq!(said(&machine.ended().1, "stdout"), ["back"]);
}

#[test]
#[ignore = "needs root"]
fn a_host_that_does_not_read_makes_the_process_wait_and_loses_nothing() {
    let much = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); printf '%10000s' $i; done";
    let script = format!("read x; stty raw; {much}; : > $FOLDER/done");
    let machine = Machine::at_a_terminal(&script);
    let mut stream = attach(&machine, false, &json!(null));
    stream.stdin(b"\r");
    machine.wait_until_stuck(&machine.pid());
    assert!(!machine.folder.join("done").exists());
    let expected: String = (1..=300).map(|n| format!("{n:10000}")).collect::<Vec<_>>().concat();
    let heard = stream.finish();
    assert!(heard.text().ends_with(&expected), "{} bytes", heard.stdout.len());
    assert!(said(&machine.ended().1, "stdout").concat().ends_with(&expected));
}

#[test]
#[ignore = "needs root"]
fn only_the_last_screens_are_kept() {
    let machine = Machine::at_a_terminal("seq 1 100000; echo over; read x");
    let mut heard = Heard::default();
    while !String::from_utf8_lossy(&heard.stdout).ends_with("over\r\n") {
        let mut stream = attach(&machine, true, &json!(null));
        heard = Heard::default();
        // The window comes first, and then what was seen, in one piece.
        (0..2).for_each(|_| stream.hear(&mut heard));
    }
    assert_eq!(heard.stdout.len(), 16 * 1024);
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_without_one_is_not_attached_to() {
    let machine = Machine::start("exec sleep 1000");
    let refused =
        machine.upgrade("POST", "/v1/attach", &json!({"replay": true, "size": null})).err().unwrap();
    assert_eq!(refused, (422, json!({"error": "the process has neither a terminal nor standard input"})));
    machine.kill();
}
