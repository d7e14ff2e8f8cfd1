//! A VM's life as kiln sees it: start, readiness, end, and each way that can fail.

use std::fs;

use crate::jail::{Jail, START, answer, collect, exited, messages, record, started};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn ten_thousand_lines_and_the_exit_code_arrive() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (mut kiln, mut vmm) = jail.boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert_eq!(kiln.notified(), "READY=1\nSTATUS=pid 42 in the guest");
    assert_eq!(kiln.said(), "", "and the starter's pipes end at once");
    for n in 0..10_000 {
        log.write_all(record("stdout", &format!("line {n}")).as_bytes()).unwrap();
    }
    drop(log);
    let answer = kiln.report(&exited(42));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    vmm.command("exit 0");
    let lines = lines.lines();
    let expected: Vec<String> = (0..10_000).map(|n| format!("line {n}")).collect();
    assert_eq!(messages(&lines, "stdout"), expected);
    assert!(kiln.told_nothing_more());
    let (status, file, names) = kiln.ended();
    assert_eq!(status.code(), Some(42));
    assert_eq!(file["vm_exit_code"], 0);
    assert_eq!(file["exit_code"], 42);
    assert!(file["vm_error"].is_null() && file["signal"].is_null() && file["error"].is_null(), "{file}");
    assert!(file["started_at"].as_str().unwrap() < file["exited_at"].as_str().unwrap(), "{file}");
    assert!(!names.iter().any(|name| name.starts_with("control.sock")), "{names:?}");
}

#[test]
fn the_guest_is_told_the_time_again_and_again() {
    let since = SystemTime::now();
    let (kiln, mut vmm) = Jail::new().with("clock", 1).boot();
    let mut log = BufReader::new(kiln.log());
    let (mut last, mut last_boot) = (us(since), 0);
    for _ in 0..3 {
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told.as_object().unwrap().len(), 2, "{line}");
        let now = told["clock_us"].as_u64().unwrap();
        assert!(last < now && now <= us(SystemTime::now()), "{last} {line}");
        let boot = told["boot_us"].as_u64().unwrap();
        assert!(last_boot < boot, "{last_boot} {line}");
        (last, last_boot) = (now, boot);
    }
    drop(log);
    vmm.command("exit 0");
    kiln.ended();
}

#[test]
fn a_guest_is_told_the_time_as_soon_as_it_has_connected() {
    let (kiln, mut vmm) = Jail::new().boot();
    let mut line = String::new();
    BufReader::new(kiln.log()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"clock_us\":"), "{line}");
    vmm.command("exit 0");
    kiln.ended();
}

fn us(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[test]
fn a_guest_that_does_not_want_to_know_the_time_is_served_all_the_same() {
    let (kiln, mut vmm) = Jail::new().with("clock", 0).boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"));
    // Until kiln's end of the connection is full, and beyond.
    for _ in 0..400 {
        kiln.turn();
    }
    let before = kiln.memory_kib("VmRSS:");
    for _ in 0..50 {
        kiln.turn();
    }
    assert!(kiln.memory_kib("VmRSS:") <= before + 64, "what is not taken is not kept");
    drop(log);
    assert!(kiln.report(&exited(3)).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(3));
}

#[test]
fn the_end_is_said_in_words() {
    // As Firecracker has it: a connection that the guest half closed stays open here.
    let (kiln, mut vmm) = Jail::new().boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    let mut report = kiln.post(&exited(7));
    log.write_all(b"{\"type\":\"end\"}\n").unwrap();
    assert!(answer(&mut report).starts_with("HTTP/1.1 200 "));
    let told = answer(&mut log);
    assert_eq!(told.lines().count(), 1, "kiln told the time once, and closes what is over: {told}");
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(7));
}

#[test]
fn a_report_whose_log_never_ends_is_believed_late() {
    let (kiln, mut vmm) = Jail::new().with("log_end", 100).boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"), "the key was read");
    assert!(kiln.report(&exited(8)).starts_with("HTTP/1.1 200 "));
    drop(log);
    vmm.command("exit 0");
    assert_eq!(kiln.ended().0.code(), Some(8));
}

#[test]
fn firecracker_starts_with_nothing_it_should_not_have() {
    let (kiln, vmm) = Jail::real().boot();
    let args = r#"["--id", "01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "--no-api", "--config-file", "/firecracker.json"]"#;
    assert_eq!(vmm.found, format!("args={args} env=0 blocked=0 open=[0, 1, 2] death=9\n"));
    // Answers come from the loop, which begins once kiln has confined itself.
    assert!(kiln.report("{}").starts_with("HTTP/1.1 400 "));
    let status = fs::read_to_string(format!("/proc/{}/status", kiln.child.id())).unwrap();
    for line in ["Name:\tkiln\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Threads:\t1\n"] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    let rss = kiln.memory_kib("VmRSS");
    // A release has at most 2 MiB, which the benchmark shows; a debug build's text adds to that.
    let most = if cfg!(debug_assertions) { 4096 } else { 2048 };
    assert!(rss <= most, "{rss} KiB");
    for port in [10000, 10001] {
        let meta = fs::metadata(kiln.jail.path(&format!("control.sock_{port}"))).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&meta) & 0o777, 0o600);
    }
    kiln.signal("KILL");
    vmm.gone();
    assert_eq!(kiln.ended().0.signal(), Some(9));
}

#[test]
fn a_vm_that_ends_without_a_report_is_an_error() {
    let (mut kiln, mut vmm) = Jail::real().boot();
    vmm.command("out [    1.0] Kernel panic - not syncing: Attempted to kill init!\u{1b}[2J");
    vmm.command("exit 0");
    let said = kiln.said();
    let reason = "kernel panic: not syncing: Attempted to kill init!\u{fffd}[2J";
    assert!(said.starts_with(&format!("kiln: {reason}\n")), "{said}");
    assert!(said.contains("kiln:   [    1.0] Kernel panic"), "{said}");
    assert_eq!(kiln.notified(), format!("STATUS={reason}"));
    let (status, file, _) = kiln.ended();
    assert_eq!(status.code(), Some(125));
    assert_eq!((&file["vm_error"], &file["vm_exit_code"]), (&reason.into(), &0.into()));
    assert!(file["started_at"].is_null() && file["exit_code"].is_null(), "{file}");
}

#[test]
fn a_guest_that_restarts_itself_says_nothing_of_its_process() {
    let (kiln, mut vmm) = Jail::new().boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"));
    vmm.command("exit 0");
    drop(log);
    let (status, file, _) = kiln.ended();
    let reason = "the guest was restarted from inside, without a report of its process";
    assert_eq!((status.code(), &file["vm_error"]), (Some(125), &reason.into()));
    assert!(!file["started_at"].is_null() && file["exit_code"].is_null(), "{file}");
}

#[test]
fn the_exit_status_stays_small_whatever_the_guest_says() {
    let (kiln, mut vmm) = Jail::new().boot();
    vmm.command(&format!("out Kernel panic - {}", "\u{1}".repeat(16_000)));
    let error = "\u{2}".repeat(4096);
    let body = serde_json::json!({"exit_code": 125, "signal": null, "oom_killed": false, "error": error});
    assert!(kiln.report(&body.to_string()).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 1");
    assert!(kiln.ended().1.to_string().len() < 16 * 1024);
}

#[test]
fn firecrackers_own_failures_are_explained() {
    let (mut kiln, mut vmm) = Jail::real().boot();
    vmm.command("out 2026-11-24T14:17:02.123456789 [x:main] RunWithoutApiError error: no kernel");
    vmm.command("exit 152");
    assert!(kiln.said().starts_with("kiln: firecracker ended with 152 (bad configuration): no kernel\n"));
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["vm_exit_code"]), (Some(125), &152.into()));
}

#[test]
fn a_process_that_cannot_start_is_reported_in_inits_words() {
    let (mut kiln, mut vmm) = Jail::new().boot();
    vmm.command("out [    0.1] a line of the console");
    let body = r#"{"exit_code":127,"signal":null,"oom_killed":false,"error":"exec /nope: no such file"}"#;
    assert!(kiln.report(body).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 0");
    assert_eq!(kiln.said(), "kiln: exec /nope: no such file\n");
    assert_eq!(kiln.notified(), "STATUS=exec /nope: no such file");
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["exit_code"]), (Some(127), &127.into()));
    assert!(file["vm_error"].is_null(), "{file}");
}

#[test]
fn no_firecracker_no_vm() {
    let jail = Jail::real();
    fs::remove_file(jail.path("firecracker")).unwrap();
    let mut kiln = jail.start();
    let reason = "cannot start /firecracker: No such file or directory (os error 2)";
    assert_eq!(kiln.said(), format!("kiln: {reason}\n"));
    assert_eq!(kiln.notified(), format!("STATUS={reason}"));
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["vm_error"]), (Some(125), &reason.into()));
}

#[test]
fn init_is_handed_what_the_start_says_before_it_asks() {
    let jail = Jail::new();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    let mut init = kiln.guest(10000);
    let mut handed = vec![0; START.len()];
    init.read_exact(&mut handed).unwrap();
    assert_eq!(handed, START.as_bytes());
    init.write_all(record("stdout", "a line of its run").as_bytes()).unwrap();
    let mut another = kiln.guest(10000);
    assert_eq!(answer(&mut another), "", "nobody else is");
    drop(init);
    vmm.command("exit 0");
    let lines = lines.lines();
    assert_eq!(messages(&lines, "stdout"), ["a line of its run"]);
    assert!(lines.iter().all(|line| line["run"] == "01JD8ZM0G7C4R1X6B9T2W5Y8HE"), "{lines:?}");
    kiln.ended();
}

/// The starter's end: takes kiln's connection and sends it this much.
fn hand_over(listener: UnixListener, line: &str) -> thread::JoinHandle<()> {
    let line = line.to_owned();
    thread::spawn(move || {
        // What is too long is not read to its end.
        let _ = listener.accept().unwrap().0.write_all(line.as_bytes());
    })
}

#[test]
fn secrets_come_by_their_socket_and_reach_init_behind_start_json() {
    let jail = Jail::new().with("clock", 1);
    let secret = format!("{{\"files\":[],\"env\":[\"A={}\"]}}\n", "x".repeat(1_000_000));
    let (listener, lines) = (jail.secrets(), collect(jail.collector()));
    let starter = hand_over(listener, &secret);
    let (kiln, mut vmm) = jail.boot();
    starter.join().unwrap();
    let mut init = BufReader::new(kiln.guest(10000));
    let mut handed = String::new();
    init.read_line(&mut handed).unwrap();
    assert_eq!(handed, START.replace("false", "true"));
    // The connection takes less than all of it, and kiln goes on meanwhile.
    kiln.turn();
    handed.clear();
    init.read_line(&mut handed).unwrap();
    assert!(handed == secret, "{} bytes", handed.len());
    handed.clear();
    init.read_line(&mut handed).unwrap();
    assert!(handed.starts_with("{\"clock_us\":"), "{handed}");
    let mut another = kiln.guest(10000);
    assert_eq!(answer(&mut another), "", "nobody else is");
    kiln.turn();
    let memory = fs::File::open(format!("/proc/{}/mem", kiln.child.id()));
    if let Ok(memory) = memory {
        assert!(!holds(&memory, kiln.child.id(), &"x".repeat(200)), "kiln keeps none of it");
    }
    drop(init);
    vmm.command("exit 0");
    assert!(!serde_json::to_string(&lines.lines()).unwrap().contains("xxxx"));
    let (_, status, _) = kiln.ended();
    assert!(!status.to_string().contains("xxxx"));
}

/// Whether a process's memory has these bytes. Only root may look.
fn holds(memory: &fs::File, pid: u32, text: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().filter(|line| line.contains(" rw-p ")).any(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let number = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
        memory.read_exact_at(&mut bytes, number(from)).is_ok()
            && bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn secrets_that_do_not_come_whole_are_a_start_that_failed() {
    for (line, says) in [
        (None, "kiln: /secrets.sock: Connection refused (os error 111)".to_owned()),
        (Some(String::new()), "kiln: /secrets.sock: the starter did not send one whole line".to_owned()),
        (
            Some("hunter2".to_owned()),
            "kiln: /secrets.sock: the starter did not send one whole line".to_owned(),
        ),
        (Some("hunter2 ".repeat(200_000)), "kiln: /secrets.sock: it is over 1024 KiB".to_owned()),
    ] {
        let jail = Jail::new();
        let listener = jail.secrets();
        let starter = line.map(|line| hand_over(listener, &line));
        let mut kiln = jail.start();
        assert_eq!(kiln.said(), format!("{says}\n"));
        if let Some(starter) = starter {
            starter.join().unwrap();
        }
        let (status, _, names) = kiln.ended();
        assert_eq!(status.code(), Some(125));
        assert!(!names.iter().any(|name| name.starts_with("control.sock")), "nothing was begun: {names:?}");
    }
    let jail = Jail::new().with("secrets", 100);
    let listener = jail.secrets();
    let mut kiln = jail.start();
    assert_eq!(kiln.said(), "kiln: /secrets.sock: the starter sent nothing for 0 s\n");
    drop(listener);
    assert_eq!(kiln.ended().0.code(), Some(125));
}

#[test]
fn a_start_that_says_nothing_readable_is_none() {
    for (text, says) in [
        (None, "kiln: /start.json: No such file or directory"),
        (Some("{\"format\":2}\n".to_owned()), "kiln: /start.json: missing field `run`"),
        (
            Some(START.replace("\"format\":2", "\"format\":7")),
            "kiln: /start.json: it has format 7, and this kiln reads 2",
        ),
        (Some(START.replace('}', &" ".repeat(64 * 1024))), "kiln: /start.json: it is over 64 KiB"),
    ] {
        let jail = Jail::new();
        fs::remove_file(jail.path("start.json")).unwrap();
        if let Some(text) = text {
            fs::write(jail.path("start.json"), text).unwrap();
        }
        let mut kiln = jail.start();
        let said = kiln.said();
        assert!(said.starts_with(says) && said.lines().count() == 1, "{said}");
        let (status, file, names) = kiln.ended();
        assert_eq!((status.code(), file.is_null()), (Some(125), true));
        assert!(!names.iter().any(|name| name.starts_with("control.sock")), "{names:?}");
    }
}

#[test]
fn another_jails_config_is_refused() {
    let jail = Jail::real();
    jail.configure("id", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC".into());
    let mut kiln = jail.start();
    let said = kiln.said();
    assert!(said.starts_with("kiln: /kiln.json: id is \"01JD8ZK3V5N9Q2R7T4W6X8Y0AC\""), "{said}");
    let (status, file, names) = kiln.ended();
    assert_eq!(status.code(), Some(125));
    assert!(file.is_null() && !names.iter().any(|name| name.starts_with("control")), "nothing was begun");
}

#[test]
fn sigterm_kills_the_vm() {
    let (kiln, vmm) = Jail::real().boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    assert!(kiln.notified().starts_with("READY=1\n"));
    kiln.signal("TERM");
    vmm.gone();
    drop(log);
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["vm_signal"]), (Some(137), &9.into()));
    assert_eq!(file["vm_error"], "killed by signal 15 to kiln");
}

#[test]
fn a_guest_that_stays_after_its_report_is_killed() {
    let (kiln, vmm) = Jail::new().with("guest_end", 1000).boot();
    let body = r#"{"exit_code":null,"signal":11,"oom_killed":true,"error":null}"#;
    assert!(kiln.report(body).starts_with("HTTP/1.1 200 "));
    vmm.gone();
    let (status, file, _) = kiln.ended();
    assert_eq!((status.code(), &file["signal"], &file["oom_killed"]), (Some(139), &11.into(), &true.into()));
    assert_eq!(file["vm_signal"], 9);
    assert_eq!(file["vm_error"], "the guest did not end within 1 s of its exit report");
}

#[test]
fn what_an_earlier_run_left_is_replaced() {
    let jail = Jail::new();
    for name in ["control.sock", "control.sock_10000", "control.sock_10001"] {
        drop(UnixListener::bind(jail.path(name)).unwrap());
    }
    fs::write(jail.path("exit_status.json.tmp"), "half").unwrap();
    let (kiln, mut vmm) = jail.boot();
    assert!(kiln.report(&exited(0)).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 0");
    let (status, file, names) = kiln.ended();
    assert_eq!((status.code(), &file["exit_code"]), (Some(0), &0.into()));
    let left = ["control.sock", "control.sock_10000", "control.sock_10001", "exit_status.json.tmp"];
    assert!(!names.iter().any(|name| left.contains(&name.as_str())), "{names:?}");
}

#[test]
fn an_end_that_cannot_be_recorded_is_said_in_the_log() {
    let jail = Jail::new();
    fs::create_dir(jail.path("exit_status.json.tmp")).unwrap();
    let lines = collect(jail.collector());
    let (kiln, mut vmm) = jail.boot();
    let mut log = kiln.log();
    log.write_all(started().as_bytes()).unwrap();
    drop(log);
    assert!(kiln.report(&exited(3)).starts_with("HTTP/1.1 200 "));
    vmm.command("exit 0");
    let lines = lines.lines();
    let why = "cannot write /exit_status.json: File exists (os error 17)";
    assert_eq!(messages(&lines, "kiln"), [why]);
    let (status, file, _) = kiln.ended();
    assert_eq!(status.code(), Some(3));
    assert!(file.is_null(), "{file}");
}
