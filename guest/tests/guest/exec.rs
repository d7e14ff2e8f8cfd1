//! Commands run beside the image's process, by the host, over real sockets with real processes.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};

use crate::machine::{DEADLINE, Heard, Machine, Stream, exited, killed};
use serde_json::json;

const FOREVER: &str = "exec sleep 1000";

#[test]
#[ignore = "needs root"]
fn output_comes_apart_and_the_code_last() {
    let machine = Machine::start(FOREVER);
    let heard = machine.exec(&["sh", "-c", "printf 'a\\0\\377'; echo b >&2; exit 7"], &json!({})).finish();
    assert_eq!((heard.stdout.as_slice(), heard.stderr.as_slice()), (&b"a\0\xff"[..], &b"b\n"[..]));
    assert_eq!((heard.exit, heard.window), (exited(7), 0));
    let heard = machine.exec(&["sh", "-c", "kill -SEGV $$"], &json!({})).finish();
    assert_eq!(heard.exit, killed(11));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_has_the_images_surroundings_and_what_was_asked() {
    let machine = Machine::start(FOREVER);
    let script = "echo $IMAGE $HOME $HOSTNAME $PWD $MORE ${TERM-none}; id -u; id -g";
    let plain = machine.exec(&["sh", "-c", script], &json!({})).finish();
    assert_eq!(plain.text(), "yes /root web1 / none\n0\n0\n");
    let asked = json!({"env": ["MORE=x y", "IMAGE=no"], "cwd": "/usr", "user": "1234:5678"});
    let other = machine.exec(&["sh", "-c", script], &asked).finish();
    assert_eq!(other.text(), "no / web1 /usr x y none\n1234\n5678\n");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_started_is_said_with_dockers_code() {
    let machine = Machine::start(FOREVER);
    for (args, with, code) in [
        (&["no-such-program"][..], json!({}), 127),
        (&["/etc/passwd"], json!({}), 126),
        (&["/etc"], json!({}), 126),
        (&["true"], json!({"cwd": "/no/such/folder"}), 126),
        (&["true"], json!({"user": "no-such-user"}), 126),
        (&["true"], json!({"user": "4294967296"}), 126),
        (&["true"], json!({"user": "0:4294967296"}), 126),
    ] {
        let (status, body) = machine.try_exec(args, &with).err().unwrap();
        assert_eq!((status, &body["exit_code"]), (422, &code.into()), "{args:?}: {body}");
        assert!(!body["error"].as_str().unwrap().is_empty());
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn input_is_binary_and_ends_while_output_goes_on() {
    let machine = Machine::start(FOREVER);
    let mut stream = machine.exec(&["sh", "-c", "cat; echo done"], &json!({"stdin": true}));
    let all: Vec<u8> = (0..=255).collect();
    stream.stdin(&all);
    stream.end_stdin();
    let heard = stream.finish();
    assert_eq!(heard.stdout, [&all[..], b"done\n"].concat());
    assert_eq!(heard.exit, exited(0));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn much_input_flows_by_leave_and_comes_back_whole() {
    const CHUNKS: usize = 200;
    let machine = Machine::start(FOREVER);
    let mut stream = machine.exec(&["cat"], &json!({"stdin": true}));
    let chunk = |n: usize| vec![u8::try_from(n % 251).unwrap(); 50_000];
    let (mut heard, mut spent) = (Heard::default(), 0);
    for n in 0..CHUNKS {
        while heard.window - spent < 50_000 {
            stream.hear(&mut heard);
        }
        stream.stdin(&chunk(n));
        spent += 50_000;
    }
    stream.end_stdin();
    while heard.exit.is_null() {
        stream.hear(&mut heard);
    }
    assert_eq!(heard.stdout, (0..CHUNKS).flat_map(chunk).collect::<Vec<_>>());
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_signal_passes_input_that_nobody_reads() {
    let machine = Machine::start(FOREVER);
    let mut stream = machine.exec(&["sleep", "1000"], &json!({"stdin": true}));
    stream.stdin(&vec![b'x'; 65_536]);
    stream.signal(15);
    assert_eq!(stream.finish().exit, killed(15));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_that_reads_no_input_ends_all_the_same() {
    let machine = Machine::start(FOREVER);
    let script = "exec <&-; echo closed; read x < $FOLDER/go";
    let mut stream = machine.exec(&["sh", "-c", script], &json!({"stdin": true}));
    let mut heard = stream.wait_for("closed\n");
    // Far more than a pipe holds.
    for sent in 0..1000 {
        while heard.window < (sent + 1) * 1000 {
            stream.hear(&mut heard);
        }
        stream.stdin(&[0; 1000]);
    }
    machine.go();
    while heard.exit.is_null() {
        stream.hear(&mut heard);
    }
    assert_eq!(heard.exit, exited(0));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn more_input_than_there_was_leave_for_ends_the_process() {
    let machine = Machine::start(FOREVER);
    let mut stream = machine.exec(&["sleep", "1000"], &json!({"stdin": true}));
    // What the pipe holds may be sent beside the first window.
    (0..2).for_each(|_| stream.stdin(&vec![0; 65_536]));
    stream.stdin(&[0]);
    assert_gone(&mut stream);
    let mut stream = machine.exec(&["sleep", "1000"], &json!({}));
    stream.stdin(&[0]);
    assert_gone(&mut stream);
    let mut stream = machine.exec(&["sleep", "1000"], &json!({"stdin": true}));
    stream.socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_gone(&mut stream);
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_host_that_does_not_read_makes_the_process_wait() {
    let machine = Machine::start(FOREVER);
    let count = machine.folder.join("count").display().to_string();
    let script = "echo $$; i=0; \
                  while [ $i -lt 3000 ]; do i=$((i+1)); printf '%10000s' $i; echo >> $0; done; echo end >&2";
    let mut stream = machine.exec(&["sh", "-c", script, &count], &json!({}));
    let mut heard = stream.wait_for("\n");
    let pid = heard.text().split_once('\n').unwrap().0.to_owned();
    // The others go on meanwhile.
    machine.wait_until_stuck(&pid);
    let written = std::fs::metadata(&count).unwrap().len();
    assert!(written < 300, "{written} times 10 kB were written before anything was read");
    while heard.exit.is_null() {
        stream.hear(&mut heard);
    }
    let said = heard.stdout.len() - pid.len() - 1;
    assert_eq!((said, heard.stderr.as_slice()), (30_000_000, &b"end\n"[..]));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_caller_that_goes_away_takes_the_process_along() {
    let machine = Machine::start(FOREVER);
    let polite = "sleep 1000 & trap 'echo hup > $FOLDER/up; exit' HUP; echo up; wait";
    let mut stream = machine.exec(&["sh", "-c", polite], &json!({}));
    stream.wait_for("up\n");
    drop(stream);
    assert_eq!(machine.wait_until_up(), "hup\n");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_that_does_not_care_for_its_callers_end_is_killed() {
    let machine = Machine::with("stream=100", "nothing", &["sh", "-c", FOREVER]);
    let held = machine.watch_held();
    let script = "exec 9> $FOLDER/held; trap '' HUP; echo up; exec sleep 1000";
    let mut stubborn = machine.exec(&["sh", "-c", script], &json!({}));
    stubborn.wait_for("up\n");
    drop(stubborn);
    held.recv_timeout(DEADLINE).expect("it is killed");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_at_a_terminal_goes_on_when_its_caller_leaves() {
    let machine = Machine::start(FOREVER);
    let held = machine.watch_held();
    // Far more than a terminal holds, so that somebody must read it.
    let script = "exec 9> $FOLDER/held; echo up; read typed; seq 1 100000; \
                  echo $typed $(tty) > $FOLDER/up; read x < $FOLDER/go";
    let mut stream = machine.exec(&["sh", "-c", script], &json!({"tty": {"rows": 24, "cols": 80}}));
    stream.wait_for("up\r\n");
    stream.stdin(b"before\r");
    stream.send(5, &[]);
    assert_gone(&mut stream);
    let said = machine.wait_until_up();
    assert!(said.starts_with("before /dev/pts/"), "{said:?}");
    machine.go();
    held.recv_timeout(DEADLINE).expect("it ends when it likes");
    let zombies = || machine.exec(&["ps", "-o", "pid=,comm=", "-C", "sh"], &json!({})).finish();
    assert!((0..1000).any(|_| !zombies().text().contains("defunct")), "{:?}", zombies().text());
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_process_that_was_left_ends_with_the_machine() {
    let machine = Machine::start(FOREVER);
    let script = "trap '' TERM; trap 'exit' HUP; echo up; while :; do read x; done";
    let mut stream = machine.exec(&["sh", "-c", script], &json!({"tty": {"rows": 24, "cols": 80}}));
    stream.wait_for("up\r\n");
    stream.send(5, &[]);
    assert_gone(&mut stream);
    assert_eq!(machine.signal(15), 200);
    assert_eq!(machine.ended().0["signal"], 15);
}

#[test]
#[ignore = "needs root"]
fn a_process_without_a_terminal_cannot_be_left() {
    let machine = Machine::start(FOREVER);
    let held = machine.watch_held();
    let mut stream =
        machine.exec(&["sh", "-c", "exec 9> $FOLDER/held; echo up; exec sleep 1000"], &json!({}));
    stream.wait_for("up\n");
    stream.send(5, &[]);
    assert_gone(&mut stream);
    held.recv_timeout(DEADLINE).expect("it ends with its caller");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_a_process_leaves_running_is_not_waited_for() {
    let machine = Machine::start(FOREVER);
    let heard = machine.exec(&["sh", "-c", "sleep 1000 & echo left"], &json!({})).finish();
    assert_eq!((heard.text(), &heard.exit), ("left\n", &exited(0)));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_terminal_is_one() {
    let machine = Machine::start(FOREVER);
    let tty = json!({"stdin": true, "tty": {"rows": 30, "cols": 100}});
    let script = "tty; stty size; echo $TERM; ps -o tpgid= -p $$ | tr -d ' '; read line; stty size; echo got $line; exit 3";
    let mut stream = machine.exec(&["sh", "-c", script], &tty);
    let first = stream.wait_for("xterm\r\n");
    assert!(
        first.text().starts_with("/dev/pts/") && first.text().contains("\r\n30 100\r\n"),
        "{:?}",
        first.text()
    );
    stream.send(3, &[0, 40, 0, 120]);
    stream.stdin(b"hello\r");
    let heard = stream.finish();
    assert!(heard.text().contains("40 120\r\ngot hello\r\n"), "{:?}", heard.text());
    assert_eq!((heard.exit, heard.stderr.len()), (exited(3), 0));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_terminal_passes_control_characters_and_the_end_of_input() {
    let machine = Machine::start(FOREVER);
    let tty = json!({"tty": {"rows": 24, "cols": 80}});
    let mut stream = machine.exec(&["cat"], &tty);
    stream.stdin(b"up\r");
    // Once from the terminal, once from the program, which is there then.
    stream.wait_for("up\r\nup\r\n");
    stream.stdin(&[3]);
    assert_eq!(stream.finish().exit, killed(2));
    let mut stream = machine.exec(&["cat"], &tty);
    stream.stdin(b"text\r");
    stream.end_stdin();
    assert_eq!(stream.finish().exit, exited(0));
    let held = machine.watch_held();
    let mut stream = machine.exec(&["sh", "-c", "exec 9> $FOLDER/held; echo up; sleep 1000"], &tty);
    stream.wait_for("up\r\n");
    drop(stream);
    held.recv_timeout(DEADLINE).expect("they end with their terminal");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_terminals_last_words_arrive() {
    let machine = Machine::start(FOREVER);
    let tty = json!({"tty": {"rows": 24, "cols": 80}});
    for _ in 0..50 {
        let heard = machine.exec(&["sh", "-c", "seq 1 2000"], &tty).finish();
        assert!(heard.text().ends_with("\r\n2000\r\n"), "{} bytes", heard.stdout.len());
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_hundred_at_once() {
    let machine = Machine::start(FOREVER);
    let mut streams: Vec<_> = (0..100)
        .map(|n| machine.exec(&["sh", "-c", &format!("read x; echo {n} $x")], &json!({"stdin": true})))
        .collect();
    for stream in &mut streams {
        stream.stdin(b"go\n");
    }
    let heard: BTreeSet<String> =
        streams.into_iter().map(|stream| stream.finish().text().to_owned()).collect();
    assert_eq!(heard, (0..100).map(|n| format!("{n} go\n")).collect());
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_is_left_to_itself_outlives_its_caller_and_says_nothing() {
    let machine = Machine::start(FOREVER);
    let null = machine.exec(&["stat", "-c", "%u", "/dev/null"], &json!({})).finish();
    let script = "echo lost; echo lost >&2; fds=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); \
                  read x < $FOLDER/go; \
                  echo $(ps -o pid= -o sid= -p $$) $fds $(stat -c %u /dev/null) > $FOLDER/up; exec sleep 1000";
    let ask = |program: &[&str]| {
        let body = json!({"args": program, "env": [], "cwd": null, "user": "1234", "stdin": false, "tty": null, "detach": true});
        machine.ask("POST", "/v1/exec", &body)
    };
    let (status, answer) = ask(&["sh", "-c", script]);
    assert_eq!((status, answer.as_object().unwrap().len()), (200, 1), "{answer}");
    machine.go();
    let said = machine.wait_until_up();
    let (pid, owner) = (answer["pid"].to_string(), null.text().trim());
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words, [&pid, &pid, "/dev/null", "/dev/null", "/dev/null", owner]);
    let (status, refusal) = ask(&["no-such-program"]);
    assert_eq!((status, &refusal["exit_code"]), (422, &json!(127)));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn there_is_a_limit_and_then_a_word() {
    let machine = Machine::start(FOREVER);
    let streams: Vec<_> = (0..128).map(|_| machine.exec(&["sleep", "1000"], &json!({}))).collect();
    assert_eq!(machine.try_exec(&["true"], &json!({})).err().unwrap().0, 429);
    assert_eq!(machine.ask("GET", "/v1/ping", &json!({})).0, 200);
    drop(streams);
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn when_the_image_s_process_ends_so_do_the_others_and_are_told() {
    let machine = Machine::start("sleep 1000 & trap 'exit 5' TERM; echo > $FOLDER/up; wait");
    machine.wait_until_up();
    let stream = machine.exec(&["sleep", "1000"], &json!({}));
    assert_eq!(machine.signal(15), 200);
    assert_eq!(stream.finish().exit, killed(15));
    assert_eq!(machine.ended().0["exit_code"], 5);
}

/// The guest closes the stream without a word about an exit.
fn assert_gone(stream: &mut Stream) {
    use std::io::Read;
    stream.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut rest = Vec::new();
    match stream.socket.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(!rest.windows(9).any(|window| window == b"exit_code"), "{rest:?}");
}
