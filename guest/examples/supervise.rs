//! init's loop without the machine around it, for the tests: PID 1 of a PID namespace, Unix sockets for vsock.
//!
//! `supervise FOLDER DURATIONS tty|stdin|nothing COMMAND…` connects to FOLDER/log.sock, listens on FOLDER/api.sock, runs
//! the command as the image's process, and leaves the exit report in FOLDER/report.json. DURATIONS is empty for a
//! guest's own, else `NAME=MILLISECONDS` of fields of `Durations`, with commas between; `all` sets every one of them, and
//! `init=process` or `init=inferno` says who is PID 1.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use guest::durations::Durations;
use guest::listener::Listener;
use guest::outbox::Outbox;
use guest::process::Launcher;
use guest::run::{Init, Process};
use guest::supervisor::Supervisor;
use guest::sys;

fn main() {
    if let Some(status) = guest::files::run_if_asked() {
        std::process::exit(status);
    }
    // Its end kills every process that it sees.
    assert!(sys::is_pid_1(), "run it as PID 1 of a namespace");
    let born = Instant::now();
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("a folder is given"));
    let (durations, init) = durations(&args.next().expect("durations are given"));
    let input = args.next().expect("it is said what input there is");
    let (tty, stdin) = (input == "tty", input == "stdin");
    let signals = sys::take_signals().expect("signals can be taken");
    let log = UnixStream::connect(folder.join("log.sock")).expect("the test listens");
    let listener = UnixListener::bind(folder.join("api.sock")).expect("the folder is new");
    listener.set_nonblocking(true).expect("a socket can be");
    let own = format!("FOLDER={}", folder.display());
    let env = vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(), "IMAGE=yes".to_owned(), own];
    let (args, cwd) = (args.collect(), "/".to_owned());
    let image = Process { args, env, cwd, user: String::new(), rlimits: vec![], tty, stdin, init };
    let mut launcher = Launcher::new(image, "web1".to_owned());
    let started = launcher.start().expect("the command can be started");
    let outbox = Outbox::new(Some(File::from(OwnedFd::from(log))));
    let listener = Listener::Unix(listener);
    let supervisor = Supervisor::new(started, launcher, signals, outbox, listener, born, durations)
        .expect("pipes are well");
    let (report, mut outbox) = supervisor.run().expect("poll works");
    outbox.finish(durations.last_lines);
    std::fs::write(folder.join("report.json"), report.to_json()).expect("the folder is there");
}

fn durations(text: &str) -> (Durations, Init) {
    let (mut made, mut init) = (Durations::default(), Init::Auto);
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, ms) = pair.split_once('=').expect("a name and a number");
        if name == "init" {
            init = if ms == "process" { Init::Process } else { Init::Inferno };
            continue;
        }
        let time = Duration::from_millis(ms.parse().expect("milliseconds"));
        match name {
            "all" => made = all(time),
            "rest" => made.rest = time,
            "stream" => made.stream = time,
            "attach" => made.attach = time,
            _ => panic!("no test changes {name}"),
        }
    }
    (made, init)
}

fn all(time: Duration) -> Durations {
    Durations {
        start: time,
        rest: time,
        drain: time,
        stream: time,
        attach: time,
        terminal: time,
        request: time,
        host_keys: time,
        last_lines: time,
        report: time,
    }
}
