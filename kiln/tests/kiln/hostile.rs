//! A guest that lies, floods and repeats itself.

use std::io::Write;

use crate::jail::{Jail, answer, collect, exited, messages, record, started};

#[test]
fn there_is_one_log_connection_and_one_exit_report() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    let mut log = kiln.log();
    let mut second = kiln.guest(10000);
    assert_eq!(answer(&mut second), "", "closed at once");
    log.write_all(record("stdout", "the first").as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(7)).starts_with("HTTP/1.1 200 "));
    assert_eq!(answer(&mut kiln.guest(10001)), "", "closed without a word");
    assert_eq!(answer(&mut kiln.guest(10000)), "", "nor is there a second after the end");
    vmm.command("exit 0");
    assert_eq!(messages(&lines.lines(), "stdout"), ["the first"]);
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["exit_code"]), (Some(7), &7.into()));
}

#[test]
fn only_the_holder_of_the_key_may_report() {
    let (kiln, mut vmm) = Jail::new().boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"), "the key was read");
    for field in ["Host: kiln", "Authorization: Bearer ffffffffffffffffffffffffffffffff"] {
        assert!(answer(&mut kiln.post_with(field, &exited(0))).starts_with("HTTP/1.1 403 "), "{field}");
    }
    log.write_all(b"{\"type\":\"hello\",\"key\":\"ffffffffffffffffffffffffffffffff\"}\n").unwrap();
    drop(log);
    assert!(kiln.report(&exited(9)).starts_with("HTTP/1.1 200 "), "the first key holds");
    vmm.command("exit 0");
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["exit_code"]), (Some(9), &9.into()));
}

#[test]
fn a_log_that_names_no_key_lets_nobody_report() {
    let (kiln, mut vmm) = Jail::new().with("log_end", 100).boot();
    let log = kiln.guest(10000);
    assert!(answer(&mut kiln.post(&exited(0))).starts_with("HTTP/1.1 409 "), "after some patience");
    drop(log);
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(125));
}

#[test]
fn invalid_records_are_counted_not_forwarded() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    let mut log = kiln.log();
    let mut bad = String::from("not json\n");
    bad += &record("kernel", "forged");
    bad += "{\"type\":\"log\",\"source\":\"stdout\",\"message\":\"x\",\"partial\":false,\"vm_id\":\"another\"}\n";
    bad += &record("stdout", &"x".repeat(1_000_000));
    bad += &"{}\n".repeat(10_000);
    log.write_all(bad.as_bytes()).unwrap();
    log.write_all(record("stderr", "a good one").as_bytes()).unwrap();
    log.write_all(b"{\"type\":\"log\",\"sou").unwrap();
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let lines = lines.lines();
    assert_eq!(messages(&lines, "stderr"), ["a good one"]);
    assert!(messages(&lines, "stdout").is_empty() && messages(&lines, "kernel").is_empty());
    let complaints = messages(&lines, "kiln");
    let counted: u64 = complaints
        .iter()
        .map(|text| {
            text.strip_prefix("guest sent ").unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(counted, 10_005, "{complaints:?}");
    assert_eq!(complaints.len(), 2, "one at once, one of all that came since: {complaints:?}");
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn requests_that_are_no_report_change_nothing() {
    let (kiln, mut vmm) = Jail::new().boot();
    for (request, status) in [
        ("GET /exit HTTP/1.1\r\n\r\n", "405"),
        ("POST / HTTP/1.1\r\n\r\n", "404"),
        ("POST /exit HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "400"),
        ("POST /exit HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"),
        ("\r\n\r\n", "400"),
    ] {
        let mut stream = kiln.guest(10001);
        stream.write_all(request.as_bytes()).unwrap();
        let answer = answer(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer:?}");
    }
    assert!(kiln.report(&exited(5)).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(5));
}

#[test]
fn connections_that_say_nothing_are_few_and_end() {
    let (kiln, mut vmm) = Jail::new().boot();
    let mut held: Vec<_> = (0..5).map(|_| kiln.guest(10001)).collect();
    assert_eq!(answer(&mut held[0]), "", "the fifth takes the place of the first");
    assert!(kiln.report(&exited(1)).starts_with("HTTP/1.1 200 "), "and the report that of the next");
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(1));
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let (kiln, mut vmm) = Jail::new().with("request", 100).boot();
    assert!(answer(&mut kiln.guest(10001)).starts_with("HTTP/1.1 408 "));
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(125));
}

#[test]
fn the_process_starts_once() {
    let (kiln, mut vmm) = Jail::new().boot();
    let mut log = kiln.log();
    log.write_all(started().repeat(3).as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    assert!(kiln.notified().starts_with("READY=1\n"));
    assert!(kiln.told_nothing_more());
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn two_thousand_connections_cost_nothing_and_keep_nobody_out() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"));
    let before = kiln.memory_kib("VmRSS");
    for _ in 0..1000 {
        drop(kiln.guest(10000));
        let _ = kiln.guest(10001).write_all(b"POST /exit HTTP/1.1\r\nContent-Length: 99\r\n\r\n");
    }
    log.write_all(record("stdout", "still heard").as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(3)).starts_with("HTTP/1.1 200 "));
    let grown = kiln.memory_kib("VmHWM") - before;
    assert!(grown < 512, "{grown} KiB");
    vmm.command("exit 0");
    assert_eq!(messages(&lines.lines(), "stdout"), ["still heard"]);
    assert_eq!(kiln.ended().0.code(), Some(3));
}
