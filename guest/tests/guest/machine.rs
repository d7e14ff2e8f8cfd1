//! init's loop in a PID namespace, and the host that talks to it.
//!
//! Needs root, since a process becomes a user: the tests are ignored unless asked for, and fail without it. Every wait is
//! for an event and has a deadline; what init itself waits for takes longer, unless a test is about its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How long any one thing may take; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A machine that runs.
pub struct Machine {
    /// With fifos for the processes: up and held for what they tell us, go for what we tell them, inside for their own.
    pub folder: PathBuf,
    up: File,
    child: Child,
    log: mpsc::Receiver<Vec<Value>>,
}

/// The host's side of a stream.
pub struct Stream {
    pub socket: UnixStream,
}

/// What a process wrote, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub window: u32,
    pub exit: Value,
}

impl Machine {
    /// Starts it with a shell script as the image's process, and waits until that was executed.
    pub fn start(script: &str) -> Self {
        Self::run(&["sh", "-c", script])
    }

    /// The same with any program.
    pub fn run(args: &[&str]) -> Self {
        Self::with("", "nothing", args)
    }

    /// With a terminal for the image's process, which is a shell script.
    pub fn at_a_terminal(script: &str) -> Self {
        Self::with("", "tty", &["sh", "-c", script])
    }

    /// With standard input for it, of who attaches.
    pub fn with_input(script: &str) -> Self {
        Self::with("", "stdin", &["sh", "-c", script])
    }

    /// With these of init's durations, `NAME=MILLISECONDS` as examples/supervise.rs takes them; all others are so long
    /// that whatever waits for their end misses the deadline. `input` is tty, stdin or nothing.
    pub fn with(durations: &str, input: &str, args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            is_root(),
            "needs root: tools/rust-tests --root, or as root `cargo test -- --include-ignored`"
        );
        let name = format!("guest-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let fifos = ["up", "go", "held", "inside"].map(|name| folder.join(name));
        assert!(Command::new("mkfifo").args(["-m", "666"]).args(&fifos).status().unwrap().success());
        // For writing too: else it were open as often as it is read from, and what a neighbour forks keeps it open longer.
        let up = File::options().read(true).write(true).open(&fifos[0]).unwrap();
        let listener = UnixListener::bind(folder.join("log.sock")).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_init")).with_file_name("examples").join("supervise");
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(program)
            .arg(&folder)
            .arg(format!("all={},{durations}", 2 * DEADLINE.as_millis()))
            .arg(input);
        let child = command.args(args).stdin(Stdio::null()).spawn().unwrap();
        let stream = within(move || listener.accept().unwrap().0);
        let (sender, log) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = Vec::new();
            for line in BufReader::new(stream).lines() {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                if line["type"] == "started" {
                    begun.send(()).unwrap();
                }
                lines.push(line);
            }
            let _ = sender.send(lines);
        });
        has_begun.recv_timeout(DEADLINE).expect("it starts");
        Self { folder, up, child, log }
    }

    /// Waits until a process does `echo TEXT > $FOLDER/up`; returns the text.
    pub fn wait_until_up(&self) -> String {
        let mut up = self.up.try_clone().unwrap();
        within(move || {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                up.read_exact(&mut byte).unwrap();
                line.push(byte[0]);
            }
            String::from_utf8(line).unwrap()
        })
    }

    /// Waits in the background: the sender is gone once no process has $FOLDER/held open for writing any more.
    pub fn watch_held(&self) -> mpsc::Receiver<()> {
        let (path, (sender, receiver)) = (self.folder.join("held"), mpsc::channel());
        thread::spawn(move || {
            let _ = (fs::read(path).unwrap(), sender.send(()));
        });
        receiver
    }

    /// Lets a process go on that does `read x < $FOLDER/go`; waits until there is one.
    pub fn go(&self) {
        let path = self.folder.join("go");
        within(move || fs::write(path, "\n").unwrap());
    }

    /// Waits until a process that wrote something makes no progress with it, however often init's loop goes round.
    pub fn wait_until_stuck(&self, pid: &str) {
        let (mut last, mut turns) = (String::new(), 0);
        while turns < 20 {
            // The third field is S where it sleeps; wchar is how much it wrote: proc(5).
            let look = "cut -d' ' -f3 /proc/$0/stat; grep wchar /proc/$0/io";
            let seen = self.exec(&["sh", "-c", look, pid], &json!({})).finish().text().to_owned();
            assert!(seen.contains("wchar"), "process {pid} is gone: {seen:?}");
            let sleeps = seen.starts_with('S') && !seen.ends_with(" 0\n");
            turns = if sleeps && seen == last { turns + 1 } else { 0 };
            last = seen;
        }
    }

    /// The image's process.
    pub fn pid(&self) -> String {
        self.ask("GET", "/v1/status", &json!({})).1["pid"].to_string()
    }

    pub fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(self.folder.join("api.sock")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Asks and returns status and body.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut socket = self.connect();
        socket.write_all(&request(method, path, body)).unwrap();
        answer(&mut socket)
    }

    /// Starts a process; `with` changes fields of a request that has neither input nor terminal.
    pub fn exec(&self, args: &[&str], with: &Value) -> Stream {
        self.try_exec(args, with).unwrap()
    }

    pub fn try_exec(&self, args: &[&str], with: &Value) -> Result<Stream, (u16, Value)> {
        let mut body = json!({"args": args, "env": [], "cwd": null, "user": null, "stdin": false, "tty": null, "detach": false});
        body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        self.upgrade("POST", "/v1/exec", &body)
    }

    pub fn upgrade(&self, method: &str, path: &str, body: &Value) -> Result<Stream, (u16, Value)> {
        let mut socket = self.connect();
        socket.write_all(&request(method, path, body)).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 101 ") {
            assert!(head.contains("\r\nUpgrade: inferno-stream/1\r\n"), "{head}");
            return Ok(Stream { socket });
        }
        let mut rest = String::new();
        socket.read_to_string(&mut rest).unwrap();
        Err((head[9..12].parse().unwrap(), serde_json::from_str(&rest).unwrap()))
    }

    /// Sends a signal to the image's process.
    pub fn signal(&self, number: i32) -> u16 {
        self.ask("POST", "/v1/signal", &json!({"signal": number})).0
    }

    /// Waits for the end; returns the exit report and the log.
    pub fn ended(mut self) -> (Value, Vec<Value>) {
        let log = self.log.recv_timeout(DEADLINE).expect("it ends");
        self.child.wait().unwrap();
        let report = fs::read(self.folder.join("report.json")).unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
        (serde_json::from_slice(&report).unwrap(), log)
    }

    /// Ends it, whatever runs.
    pub fn kill(self) {
        assert_eq!(self.signal(9), 200);
        assert_eq!(self.ended().0["signal"], 9);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // After a failed test; `--kill-child` takes all of the namespace along.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Stream {
    pub fn send(&mut self, kind: u8, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.socket.write_all(&[&[kind, 0, 0, 0], &len[..], payload].concat()).unwrap();
    }

    pub fn stdin(&mut self, bytes: &[u8]) {
        self.send(1, bytes);
    }

    pub fn end_stdin(&mut self) {
        self.send(2, &[]);
    }

    pub fn signal(&mut self, number: u8) {
        self.send(4, &[number]);
    }

    /// The next frame: its kind and payload.
    pub fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 8];
        self.socket.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize];
        assert!(payload.len() <= 65536 && head[1..4] == [0, 0, 0]);
        self.socket.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    /// Takes one frame in.
    pub fn hear(&mut self, heard: &mut Heard) {
        match self.next() {
            (17, bytes) => heard.stdout.extend(bytes),
            (18, bytes) => heard.stderr.extend(bytes),
            (19, more) => heard.window += u32::from_be_bytes(more.try_into().unwrap()),
            (20, text) => heard.exit = serde_json::from_slice(&text).unwrap(),
            (kind, _) => panic!("frame of kind {kind}"),
        }
    }

    /// Reads until standard output holds this text.
    pub fn wait_for(&mut self, text: &str) -> Heard {
        let mut heard = Heard::default();
        while !String::from_utf8_lossy(&heard.stdout).contains(text) {
            assert!(heard.exit.is_null(), "{heard:?}");
            self.hear(&mut heard);
        }
        heard
    }

    /// Everything to the end.
    pub fn finish(mut self) -> Heard {
        let mut heard = Heard::default();
        while heard.exit.is_null() {
            self.hear(&mut heard);
        }
        heard
    }
}

impl Heard {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// How an exit frame says that a process exited.
pub fn exited(code: u8) -> Value {
    json!({"exit_code": code, "signal": null})
}

pub fn killed(signal: u8) -> Value {
    json!({"exit_code": null, "signal": signal})
}

pub fn answer(socket: &mut UnixStream) -> (u16, Value) {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// Does something that may never happen, with the deadline.
pub fn within<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(action()));
    receiver.recv_timeout(DEADLINE).expect("it happens in time")
}

fn request(method: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let upgrade = "Connection: Upgrade\r\nUpgrade: inferno-stream/1";
    let head = format!("{method} {path} HTTP/1.1\r\n{upgrade}\r\nContent-Length: {}\r\n\r\n", body.len());
    (head + &body).into_bytes()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
