//! The image's process and what it leaves: signals, orphans, the end.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::machine::{DEADLINE, Machine};
use serde_json::{Value, json};

/// Lines of a stream, in order.
fn lines(log: &[Value], source: &str) -> Vec<String> {
    let of_source = log.iter().filter(|line| line["source"] == source);
    of_source.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs root"]
fn its_end_is_reported_as_it_was() {
    for (script, code, signal) in [
        ("exit 0", json!(0), json!(null)),
        ("exit 42", json!(42), json!(null)),
        ("kill -SEGV $$", json!(null), json!(11)),
    ] {
        let machine = Machine::start(script);
        let report = machine.ended().0;
        assert_eq!((&report["exit_code"], &report["signal"]), (&code, &signal));
        assert_eq!((&report["oom_killed"], &report["error"]), (&json!(false), &json!(null)));
    }
}

#[test]
#[ignore = "needs root"]
fn ten_thousand_lines_and_both_streams_arrive_whole() {
    let machine = Machine::start("seq 1 10000; printf 'no newline' >&2; exit 3");
    let (report, log) = machine.ended();
    let expected: Vec<String> = (1..=10_000).map(|n| n.to_string()).collect();
    assert_eq!(lines(&log, "stdout"), expected);
    assert_eq!(lines(&log, "stderr"), ["no newline"]);
    assert_eq!(report["exit_code"], 3);
}

#[test]
#[ignore = "needs root"]
fn every_signal_is_passed_on_as_often_as_it_comes() {
    // All but KILL, STOP, and those that the shell or its children need for themselves.
    let signals = [1, 2, 3, 10, 12, 15, 18, 28, 34, 64];
    let traps = signals.map(|n| format!("trap 'echo got {n}; echo > $FOLDER/up' {n}; ")).concat();
    let script = format!(
        "sleep 1000 & {traps} trap 'exit 9' 30; echo up; echo > $FOLDER/up; while :; do wait $!; done"
    );
    let machine = Machine::start(&script);
    machine.wait_until_up();
    for _ in 0..2 {
        for signal in signals {
            assert_eq!(machine.signal(signal), 200);
            machine.wait_until_up();
        }
    }
    assert_eq!(machine.signal(30), 200);
    let (report, log) = machine.ended();
    let got: Vec<String> = signals.iter().chain(&signals).map(|n| format!("got {n}")).collect();
    assert_eq!(lines(&log, "stdout")[1..], got);
    assert_eq!(report["exit_code"], 9);
}

#[test]
#[ignore = "needs root"]
fn it_leads_a_session_and_orphans_are_reaped() {
    let script = "ps -o pid=,pgid=,sid= -p $$; for i in 1 2 3 4 5; do (sleep 999 & ) ; done; echo > $FOLDER/up; exec sleep 1000";
    let machine = Machine::start(script);
    machine.wait_until_up();
    let kills = "until [ $(pgrep -c -x -f 'sleep 999') = 5 ]; do sleep 0.01; done; pkill -x -f 'sleep 999'; \
                 while ps -eo stat=,args= | grep -Eq '^Z|sleep 999$'; do sleep 0.01; done; echo none";
    assert_eq!(machine.exec(&["sh", "-c", kills], &json!({})).finish().text(), "none\n");
    machine.signal(9);
    let log = machine.ended().1;
    let first = &lines(&log, "stdout")[0];
    let ids: Vec<&str> = first.split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{first}");
}

#[test]
#[ignore = "needs root"]
fn what_it_leaves_is_asked_first_and_may_have_a_last_word() {
    // The sleep first: a shell's child that has its trap still, but not its own program yet, would lose the signal.
    let child = "sleep 1000 & trap 'echo bye; exit' TERM; echo up; echo > $FOLDER/inside; wait";
    let script = format!("({child}) & read x < $FOLDER/inside; exit 4");
    let machine = Machine::start(&script);
    let (report, log) = machine.ended();
    assert_eq!(report["exit_code"], 4);
    assert_eq!(lines(&log, "stdout"), ["up", "bye"]);
}

#[test]
#[ignore = "needs root"]
fn a_shell_at_a_terminal_is_not_waited_for() {
    let machine = Machine::start("exec sleep 1000");
    let tty = json!({"tty": {"rows": 24, "cols": 80}, "env": ["PS1=ready$ ", "ENV="]});
    let mut stream = machine.exec(&["sh", "-i"], &tty);
    stream.wait_for("ready$ ");
    machine.signal(9);
    machine.ended();
}

#[test]
#[ignore = "needs root"]
fn what_does_not_go_is_killed() {
    let child = "trap '' TERM HUP; echo up; echo > $FOLDER/inside; while :; do sleep 1000; done";
    let script = format!("({child}) & read x < $FOLDER/inside; exit 5");
    let machine = Machine::with("rest=100", "nothing", &["sh", "-c", &script]);
    let (report, log) = machine.ended();
    assert_eq!((&report["exit_code"], lines(&log, "stdout")), (&json!(5), vec!["up".to_owned()]));
}

#[test]
#[ignore = "needs root"]
fn a_signal_to_what_ended_is_refused() {
    let child = "trap '' TERM HUP; echo > $FOLDER/inside; read x < $FOLDER/go";
    let script = format!("({child}) & read x < $FOLDER/inside; exit 6");
    let machine = Machine::start(&script);
    let until = Instant::now() + DEADLINE;
    let status = loop {
        assert!(Instant::now() < until, "its end is not seen");
        let (code, status) = machine.ask("GET", "/v1/status", &json!(null));
        assert_eq!(code, 200);
        if status["state"] != "running" {
            break status;
        }
    };
    assert_eq!(
        (&status["state"], &status["exit_code"], &status["pid"]),
        (&json!("exited"), &json!(6), &json!(null))
    );
    assert_eq!(machine.signal(15), 409);
    assert_eq!(machine.try_exec(&["true"], &json!({})).err().unwrap().0, 409);
    machine.go();
    machine.ended();
}

#[test]
#[ignore = "needs root"]
fn an_init_system_is_pid_1_and_has_a_proc_of_its_own() {
    let script = "#!/bin/sh\necho $$ $container\nreadlink /proc/self/exe /proc/1/exe > /dev/null && echo proc\n\
                  mount -t tmpfs tmpfs /mnt && echo inside > /mnt/file\n\
                  sleep 1000 &\ntrap 'exit 6' TERM\necho > $FOLDER/up\nwait\n";
    let init = program("long", script);
    let machine = Machine::run(&[init.to_str().unwrap()]);
    machine.wait_until_up();
    let heard = machine.exec(&["sh", "-c", "cat /mnt/file; ps -o args= -p 1"], &json!({})).finish();
    assert_eq!(heard.text(), format!("inside\n/bin/sh {}\n", init.display()), "a command sees what it sees");
    let stream = machine.upgrade("GET", "/v1/files", &json!({"path": "/mnt/file", "follow": false})).unwrap();
    assert!(stream.finish().text().contains("inside\n"), "and so do copies");
    machine.signal(15);
    let (report, log) = machine.ended();
    assert_eq!(
        (&report["exit_code"], lines(&log, "stdout")),
        (&json!(6), vec!["1 inferno".to_owned(), "proc".into()])
    );
    std::fs::remove_dir_all(init.parent().unwrap()).unwrap();
}

#[test]
#[ignore = "needs root"]
fn an_init_system_that_ends_at_once_is_reported_as_any_other() {
    let init = program("short", "#!/bin/sh\nexit 7\n");
    let machine = Machine::run(&[init.to_str().unwrap()]);
    assert_eq!(machine.ended().0["exit_code"], 7);
    std::fs::remove_dir_all(init.parent().unwrap()).unwrap();
}

#[test]
#[ignore = "needs root"]
fn an_entrypoint_that_executes_an_init_system_is_pid_1() {
    // As s6-overlay's /init does, which wants to be it.
    let init = program("behind", "#!/bin/sh\n[ $$ = 1 ] || exit 100\necho init is $$ $1\nexit 8\n");
    let folder = init.parent().unwrap();
    let make = "printf '#!/bin/sh\\nset -e\\nexec \"$@\"\\n' > entrypoint && chmod 755 entrypoint";
    assert!(Command::new("sh").args(["-c", make]).current_dir(folder).status().unwrap().success());
    let (entrypoint, init) = (folder.join("entrypoint"), init.to_str().unwrap());
    let (report, log) = Machine::run(&[entrypoint.to_str().unwrap(), init, "x"]).ended();
    assert_eq!((&report["exit_code"], lines(&log, "stdout")), (&json!(8), vec!["init is 1 x".to_owned()]));
    let (report, log) = Machine::start(&format!("echo first; exec {init} y")).ended();
    assert_eq!(
        (&report["exit_code"], lines(&log, "stdout")),
        (&json!(8), vec!["first".to_owned(), "init is 1 y".into()])
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs root"]
fn who_is_pid_1_can_be_asked_for() {
    let process = Machine::with("init=process", "nothing", &["sh", "-c", "echo $$; exit 9"]);
    let (report, log) = process.ended();
    assert_eq!((&report["exit_code"], lines(&log, "stdout")), (&json!(9), vec!["1".to_owned()]));
    let init = program("asked", "#!/bin/sh\n[ $$ = 1 ] && exit 100\nexit 0\n");
    let inferno = Machine::with("init=inferno", "nothing", &[init.to_str().unwrap()]);
    assert_eq!(inferno.ended().0["exit_code"], 0);
    std::fs::remove_dir_all(init.parent().unwrap()).unwrap();
}

#[test]
#[ignore = "needs root"]
fn systemd_is_asked_to_halt_where_others_are_to_end() {
    let init = program("systemd", "");
    let folder = init.parent().unwrap();
    let make = "cp -L /bin/sh systemd && ln -sf systemd init";
    assert!(Command::new("sh").args(["-c", make]).current_dir(folder).status().unwrap().success());
    let script = "sleep 1000 & trap 'exit 9' 37; trap 'exit 1' TERM; echo > $FOLDER/up; wait";
    let init = init.to_str().unwrap();
    for args in [&[init, "-c", script][..], &["sh", "-c", "exec \"$0\" \"$@\"", init, "-c", script]] {
        let machine = Machine::run(args);
        machine.wait_until_up();
        assert_eq!(machine.signal(15), 200);
        assert_eq!(machine.ended().0["exit_code"], 9, "{args:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Makes an `init` in a folder of its own. By another process, since what a test forks meanwhile would hold a file of
/// ours open for writing, and such a file cannot be executed.
fn program(name: &str, script: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("guest-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let make = "printf %s \"$0\" > init && chmod 755 init";
    assert!(Command::new("sh").args(["-c", make, script]).current_dir(&folder).status().unwrap().success());
    folder.join("init")
}
