//! The way to the collector: absent, slow, stuck, replaced.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use crate::jail::{Jail, Kiln, collect, exited, greeted, heard, messages, record, within};

#[test]
fn a_flood_that_nobody_hears_costs_bounded_memory_and_is_counted() {
    const LINES: u64 = 20_000;
    let (kiln, mut vmm) = Jail::new().boot();
    let mut log = kiln.log();
    let before = kiln.memory_kib("VmRSS");
    for n in 0..LINES {
        log.write_all(record("stdout", &format!("{n:0600}")).as_bytes()).unwrap();
    }
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    let grown = kiln.memory_kib("VmHWM") - before;
    assert!(grown < 1024, "{grown} KiB more after 13 MB of log; the ring is 256 KiB");
    let lines = collect(kiln.jail.collector());
    // The name that appeared makes kiln connect, and the VM's end makes it close.
    vmm.command("exit 0");
    let lines = lines.lines();
    let dropped = lines[0]["dropped"].as_u64().unwrap();
    assert_eq!(lines[0]["message"], format!("log ring was full: {dropped} lines dropped"));
    let kept = messages(&lines, "stdout");
    assert_eq!(kept.len() as u64 + dropped, LINES);
    let expected: Vec<String> = (dropped..LINES).map(|n| format!("{n:0600}")).collect();
    assert_eq!(kept, expected);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_slow_collector_makes_the_guest_wait_and_loses_nothing() {
    let jail = Jail::new();
    let listener = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let stream = within(move || listener.accept().unwrap().0);
    let mut log = kiln.log();
    let written = fill(&kiln, &mut log);
    let writer = std::thread::spawn(move || {
        for n in written..20_000 {
            log.write_all(line(n).as_bytes()).unwrap();
        }
    });
    let reader = std::thread::spawn(move || heard(stream));
    writer.join().unwrap();
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let lines = reader.join().unwrap();
    let expected: Vec<String> = (0..20_000).map(|n| format!("{n:0200}")).collect();
    assert_eq!(messages(&lines, "stdout"), expected);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_stuck_collector_keeps_nothing_from_ending() {
    let jail = Jail::new().with("last_lines", 100);
    let listener = jail.collector();
    let (kiln, vmm) = jail.boot();
    let stuck = within(move || listener.accept().unwrap().0);
    let mut log = kiln.log();
    fill(&kiln, &mut log);
    kiln.signal("TERM");
    vmm.gone();
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["vm_signal"]), (Some(137), &9.into()));
    drop(stuck);
}

#[test]
fn a_stuck_collector_does_not_keep_the_exit_status_from_arriving() {
    let jail = Jail::new().with("flow_control", 100).with("last_lines", 100);
    let listener = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let stuck = within(move || listener.accept().unwrap().0);
    let mut log = kiln.log();
    fill(&kiln, &mut log);
    drop(log);
    assert!(kiln.report(&exited(3)).contains(" 200 "));
    vmm.command("exit 0");
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["exit_code"]), (Some(3), &3.into()));
    drop(stuck);
}

#[test]
fn a_new_collector_gets_what_the_old_one_did_not() {
    let jail = Jail::new();
    let first = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let mut first = greeted(within(move || first.accept().unwrap().0));
    let mut log = kiln.log();
    log.write_all(record("stdout", "to the first").as_bytes()).unwrap();
    let mut line = String::new();
    first.read_line(&mut line).unwrap();
    assert!(line.contains("to the first"), "{line}");
    let written = u32::try_from(line.len()).unwrap().to_le_bytes();
    // In two pieces: where one ends is not where the other begins.
    first.get_mut().write_all(&written[..1]).unwrap();
    first.get_mut().write_all(&written[1..]).unwrap();
    log.write_all(record("stdout", "heard, not written").as_bytes()).unwrap();
    line.clear();
    first.read_line(&mut line).unwrap();
    drop(first);
    log.write_all(record("stdout", "to nobody").as_bytes()).unwrap();
    let lines = collect(kiln.jail.collector());
    log.write_all(record("stdout", "to the second").as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let expected = ["heard, not written", "to nobody", "to the second"];
    assert_eq!(messages(&lines.lines(), "stdout"), expected);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_collector_of_another_version_gets_no_more_and_the_next_one_all() {
    let jail = Jail::new();
    let other = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let mut other = within(move || other.accept().unwrap().0);
    let mut log = kiln.log();
    log.write_all(record("stdout", "first").as_bytes()).unwrap();
    // What one from before there were versions says of the hello: it wrote so many bytes.
    other.write_all(&30_u32.to_le_bytes()).unwrap();
    let mut rest = String::new();
    other.read_to_string(&mut rest).unwrap();
    log.write_all(record("stdout", "second").as_bytes()).unwrap();
    let lines = collect(kiln.jail.collector());
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let lines = lines.lines();
    assert_eq!(messages(&lines, "stdout"), ["first", "second"]);
    assert!(messages(&lines, "kiln").iter().any(|text| text.contains("another version")), "{lines:?}");
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_collector_that_hung_up_just_now_is_tried_again_before_the_end() {
    let jail = Jail::new().with("retry", 1000);
    let listener = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let first = listener.try_clone().unwrap();
    drop(within(move || first.accept().unwrap()));
    let mut log = kiln.log();
    log.write_all(record("stdout", "the only line").as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let lines = collect(listener).lines();
    assert_eq!(messages(&lines, "stdout"), ["the only line"]);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_collector_that_dies_with_the_last_line_unwritten_takes_it_from_nobody() {
    let jail = Jail::new().with("retry", 100);
    jail.configure("log", serde_json::json!({"debug": true}));
    let listener = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let first = listener.try_clone().unwrap();
    let mut first = greeted(within(move || first.accept().unwrap().0));
    let mut log = kiln.log();
    log.write_all(record("stdout", "the last line").as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    // kiln's own word of the end comes after all others.
    let mut line = String::new();
    while !line.contains("firecracker ended") {
        line.clear();
        assert!(first.read_line(&mut line).unwrap() > 0);
    }
    drop(first);
    let lines = collect(listener).lines();
    assert_eq!(messages(&lines, "stdout"), ["the last line"]);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn a_flood_on_the_console_takes_no_other_lines_place() {
    let jail = Jail::new();
    let listener = jail.collector();
    let (kiln, mut vmm) = jail.boot();
    let stream = within(move || listener.accept().unwrap().0);
    let mut log = kiln.log();
    (0..500).for_each(|n| log.write_all(line(n).as_bytes()).unwrap());
    let filler = "x".repeat(1000);
    (0..3000).for_each(|n| vmm.command(&format!("out {n} {filler}")));
    let reader = std::thread::spawn(move || heard(stream));
    drop(log);
    assert!(kiln.report(&exited(0)).contains(" 200 "));
    vmm.command("exit 0");
    let lines = reader.join().unwrap();
    let expected: Vec<String> = (0..500).map(|n| format!("{n:0200}")).collect();
    assert_eq!(messages(&lines, "stdout"), expected);
    assert_eq!(kiln.ended().0.code(), Some(0));
}

#[test]
fn the_console_and_firecracker_are_told_apart() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    vmm.command("out [    0.1] Linux version 6.12\r");
    vmm.command("out 2026-11-24T14:17:02.123456789 [x:main] Running Firecracker v1.16.1");
    vmm.command("err Error: something");
    vmm.command("exit 1");
    let lines = lines.lines();
    assert_eq!(messages(&lines, "kernel"), ["[    0.1] Linux version 6.12"]);
    assert_eq!(messages(&lines, "firecracker").len(), 2);
    assert!(lines.iter().any(|line| line["level"] == "error" && line["message"] == "Error: something"));
    assert_eq!(kiln.ended().0.code(), Some(125));
}

fn line(n: usize) -> String {
    record("stdout", &format!("{n:0200}"))
}

/// Writes lines until the guest would have to wait; returns how many. Each was written whole.
fn fill(kiln: &Kiln, log: &mut UnixStream) -> usize {
    log.set_nonblocking(true).unwrap();
    let (mut count, mut turns) = (0, 0);
    // kiln may only be busy: it is not going to read when it did not while its loop went round.
    while turns < 3 {
        let text = line(count);
        match log.write(text.as_bytes()) {
            Ok(len) => {
                assert_eq!(len, text.len(), "a line was cut");
                (count, turns) = (count + 1, 0);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                kiln.turn();
                turns += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(count < 100_000, "the guest never had to wait");
    }
    assert!(count > 500, "kiln holds some lines: {count}");
    log.set_nonblocking(false).unwrap();
    count
}
