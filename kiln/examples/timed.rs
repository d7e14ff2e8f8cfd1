//! kiln itself, with durations that the test chose: what the jailer's arguments are followed by, `--durations` and
//! `NAME=MILLISECONDS` of fields of `Durations`, with commas between; `all` sets every one of them.

use std::process::ExitCode;
use std::time::Duration;

use kiln::durations::Durations;

fn main() -> ExitCode {
    let text = std::env::args().skip_while(|arg| arg != "--durations").nth(1).expect("durations are given");
    kiln::program::run(durations(&text))
}

fn durations(text: &str) -> Durations {
    let mut made = Durations::default();
    for pair in text.split(',') {
        let (name, ms) = pair.split_once('=').expect("a name and a number");
        let time = Duration::from_millis(ms.parse().expect("milliseconds"));
        match name {
            "all" => made = all(time),
            "secrets" => made.secrets = time,
            "guest_end" => made.guest_end = time,
            "last_lines" => made.last_lines = time,
            "request" => made.request = time,
            "log_end" => made.log_end = time,
            "flow_control" => made.flow_control = time,
            "retry" => made.retry = time,
            "clock" => made.clock = time,
            _ => panic!("no test changes {name}"),
        }
    }
    made
}

fn all(time: Duration) -> Durations {
    Durations {
        secrets: time,
        guest_end: time,
        last_lines: time,
        request: time,
        log_end: time,
        flow_control: time,
        retry: time,
        complaint: time,
        clock: time,
    }
}
