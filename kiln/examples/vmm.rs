//! Stands where Firecracker stands, for the tests of kiln: no VM, but a process that does what the test says.
//!
//! The test listens on /script.sock in the jail and sends one command per line; the guest's side of the vsock
//! sockets is played by the test itself. What it finds itself started with is its first line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

fn main() {
    let mut script = UnixStream::connect("/script.sock").expect("the test listens before it starts kiln");
    writeln!(script, "{}", found()).expect("the test reads");
    for command in BufReader::new(script).lines() {
        let command = command.expect("commands are text");
        match command.split_once(' ').unwrap_or((&command, "")) {
            ("out", text) => println!("{text}"),
            ("err", text) => eprintln!("{text}"),
            ("exit", code) => std::process::exit(code.parse().expect("a number")),
            _ => panic!("unknown command {command}"),
        }
    }
}

/// Arguments, number of environment variables, blocked signals, open descriptors, signal at the parent's death.
fn found() -> String {
    // SAFETY: the set is filled by sigprocmask before it is read; fcntl and prctl take integers and a valid pointer.
    let (blocked, open, death) = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
        let blocked = (1..=64).filter(|signal| libc::sigismember(&raw const set, *signal) == 1).count();
        // 3 is the script's socket.
        let open = (0..256).filter(|fd| *fd != 3 && libc::fcntl(*fd, libc::F_GETFD) >= 0).collect::<Vec<_>>();
        let mut death = 0;
        libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death);
        (blocked, open, death)
    };
    let args: Vec<String> = std::env::args().skip(1).collect();
    format!("args={args:?} env={} blocked={blocked} open={open:?} death={death}", std::env::vars_os().count())
}
