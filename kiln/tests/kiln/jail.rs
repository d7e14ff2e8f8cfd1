//! A chroot in which kiln runs, and both of its peers: the host outside, the guest behind the sockets.
//!
//! Every wait is for an event and has a deadline; nothing sleeps. What kiln itself waits for a limited time would end by
//! that limit on a busy machine: so the tests run it with durations of their own (examples/timed.rs), each longer than
//! the deadline unless a test is about its end. Where no duration matters, they run the program as VMs have it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub const ID: &str = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB";
/// By which init's report is known.
pub const KEY: &str = "00112233445566778899aabbccddeeff";
/// How long any one thing may take; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Not on the PATH of Debian's ordinary users.
const CHROOT: &str = "/usr/sbin/chroot";
const GOLDEN: &str = include_str!("../../../tests/contract/kiln.json");
/// What init is handed.
pub const START: &str = include_str!("../../../tests/contract/start.json");

/// The jail's files, before and after kiln runs in it.
pub struct Jail {
    pub root: PathBuf,
    durations: String,
    notify: UnixDatagram,
    script: UnixListener,
}

/// A kiln that runs.
pub struct Kiln {
    pub jail: Jail,
    pub child: Child,
}

/// The stand-in for Firecracker, waiting for commands.
pub struct Vmm {
    script: BufReader<UnixStream>,
    /// What it found itself started with.
    pub found: String,
}

impl Jail {
    /// With a kiln that waits for everything longer than a test does.
    pub fn new() -> Self {
        let timed = Path::new(env!("CARGO_BIN_EXE_kiln")).with_file_name("examples").join("timed");
        assert!(timed.exists(), "plain `cargo test` builds examples/timed.rs first");
        Self::with_program(&timed)
    }

    /// With kiln as VMs have it.
    pub fn real() -> Self {
        Self::with_program(Path::new(env!("CARGO_BIN_EXE_kiln")))
    }

    fn with_program(kiln: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kiln-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).unwrap();
        let stand_in = Path::new(env!("CARGO_BIN_EXE_kiln")).with_file_name("examples").join("vmm");
        assert!(stand_in.exists(), "plain `cargo test` builds examples/vmm.rs first");
        for (from, to) in [(kiln, "kiln"), (&stand_in, "firecracker")] {
            // By a process of its own: what another test forks now would hold a file of ours open for writing, and such
            // a file cannot be executed.
            assert!(Command::new("cp").arg(from).arg(root.join(to)).status().unwrap().success());
        }
        fs::write(root.join("kiln.json"), GOLDEN).unwrap();
        fs::write(root.join("start.json"), START).unwrap();
        let notify = UnixDatagram::bind(root.join("notify.sock")).unwrap();
        notify.set_read_timeout(Some(DEADLINE)).unwrap();
        let script = UnixListener::bind(root.join("script.sock")).unwrap();
        let jail = Self { root, durations: format!("all={}", 2 * DEADLINE.as_millis()), notify, script };
        if is_root() {
            // As the jailer does it: the VM's uid owns the root of the jail.
            std::os::unix::fs::chown(&jail.root, Some(JAIL_UID), Some(JAIL_UID)).unwrap();
            for socket in ["notify.sock", "script.sock"] {
                fs::set_permissions(jail.path(socket), fs::Permissions::from_mode(0o666)).unwrap();
            }
        }
        jail
    }

    /// The same with another of its durations, of those that examples/timed.rs knows.
    pub fn with(mut self, name: &str, ms: u32) -> Self {
        write!(self.durations, ",{name}={ms}").unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Changes a field of kiln.json.
    pub fn configure(&self, key: &str, value: Value) {
        let mut config: Value = serde_json::from_str(GOLDEN).unwrap();
        assert!(config.get(key).is_some(), "{key}");
        config[key] = value;
        fs::write(self.path("kiln.json"), config.to_string()).unwrap();
    }

    /// Puts a collector's socket at vm_logs.sock, in place of one that is there.
    pub fn collector(&self) -> UnixListener {
        let aside = self.path("next.sock");
        let listener = UnixListener::bind(&aside).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o666)).unwrap();
        fs::rename(&aside, self.path("vm_logs.sock")).unwrap();
        listener
    }

    /// Says in start.json that there are secrets, and listens for kiln as the starter does.
    pub fn secrets(&self) -> UnixListener {
        fs::write(self.path("start.json"), START.replace("false", "true")).unwrap();
        let listener = UnixListener::bind(self.path("secrets.sock")).unwrap();
        fs::set_permissions(self.path("secrets.sock"), fs::Permissions::from_mode(0o666)).unwrap();
        listener
    }

    pub fn start(self) -> Kiln {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let mut command = if is_root() {
            let mut command = Command::new(CHROOT);
            command.arg(format!("--userspec={JAIL_UID}:{JAIL_UID}"));
            command
        } else {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", CHROOT]);
            command
        };
        command.arg(&self.root).args([
            "/kiln",
            "--id",
            ID,
            "--start-time-us",
            "1",
            "--start-time-cpu-us",
            "2",
        ]);
        command.args(["--parent-cpu-time-us", "3", "--of-a-later-jailer", "4"]);
        command.args(["--durations", &self.durations]);
        let child = command.stdin(null).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Kiln { jail: self, child }
    }

    /// Starts kiln and waits for the VMM that it starts.
    pub fn boot(self) -> (Kiln, Vmm) {
        let kiln = self.start();
        let listener = kiln.jail.script.try_clone().unwrap();
        let stream = within(move || listener.accept().unwrap().0);
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut vmm = Vmm { script: BufReader::new(stream), found: String::new() };
        vmm.script.read_line(&mut vmm.found).unwrap();
        (kiln, vmm)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Kiln {
    /// A connection from the guest to a vsock port.
    pub fn guest(&self, port: u32) -> UnixStream {
        let stream = UnixStream::connect(self.jail.path(&format!("control.sock_{port}"))).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Init's log connection, with its first record sent and start.json received.
    pub fn log(&self) -> UnixStream {
        let mut stream = self.guest(10000);
        stream.read_exact(&mut [0; START.len()]).unwrap();
        writeln!(stream, "{{\"type\":\"hello\",\"key\":\"{KEY}\"}}").unwrap();
        stream
    }

    /// Sends an exit report as init does, and returns kiln's answer.
    pub fn report(&self, body: &str) -> String {
        answer(&mut self.post(body))
    }

    /// Waits until kiln's loop went round once more: what was ready before was looked at.
    pub fn turn(&self) {
        assert!(self.report("{}").starts_with("HTTP/1.1 400 "));
    }

    /// Sends an exit report and leaves the answer to come.
    pub fn post(&self, body: &str) -> UnixStream {
        self.post_with(&format!("Authorization: Bearer {KEY}"), body)
    }

    /// The same with another header field.
    pub fn post_with(&self, field: &str, body: &str) -> UnixStream {
        let mut stream = self.guest(10001);
        let head = format!("POST /exit HTTP/1.1\r\n{field}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    /// What kiln told the starter next.
    pub fn notified(&self) -> String {
        let mut bytes = [0; 4096];
        loop {
            match self.jail.notify.recv(&mut bytes) {
                Ok(len) => return String::from_utf8(bytes[..len].to_vec()).unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
            }
        }
    }

    /// Whether nothing was told that `notified` has not returned.
    pub fn told_nothing_more(&self) -> bool {
        self.jail.notify.set_nonblocking(true).unwrap();
        self.jail.notify.recv(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// What kiln wrote to the starter's pipes until it let go of them.
    pub fn said(&mut self) -> String {
        let (mut stdout, mut stderr) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        within(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            stderr.read_to_string(&mut text).unwrap();
            text
        })
    }

    /// Waits for kiln's end; returns how it ended, exit_status.json, and the names left in the jail.
    pub fn ended(mut self) -> (ExitStatus, Value, Vec<String>) {
        let status = within(move || (self.child.wait().unwrap(), self.jail));
        let (status, jail) = status;
        let text = fs::read_to_string(jail.path("exit_status.json")).unwrap_or_else(|_| "null".into());
        let names = fs::read_dir(&jail.root).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        (status, serde_json::from_str(&text).unwrap(), names)
    }

    /// A field of /proc/PID/status, in KiB.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Vmm {
    pub fn command(&mut self, command: &str) {
        writeln!(self.script.get_mut(), "{command}").unwrap();
    }

    /// Waits until it is gone.
    pub fn gone(mut self) {
        assert_eq!(self.script.read_line(&mut String::new()).unwrap_or(0), 0);
    }
}

/// One record of a line, as init writes it.
pub fn record(source: &str, text: &str) -> String {
    format!("{}\n", serde_json::json!({"type": "log", "source": source, "message": text, "partial": false}))
}

pub fn started() -> &'static str {
    "{\"type\":\"started\",\"pid\":42}\n"
}

pub fn exited(code: u8) -> String {
    format!("{{\"exit_code\":{code},\"signal\":null,\"oom_killed\":false,\"error\":null}}")
}

/// Everything that comes until the end: an HTTP answer with `Connection: close`.
pub fn answer(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    if let Err(error) = stream.read_to_string(&mut text) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {text:?}");
    }
    text
}

/// A collector at work in the background.
pub struct Collected(mpsc::Receiver<Vec<Value>>);

/// Takes kiln's connection and reads it to its end, in the background.
pub fn collect(listener: UnixListener) -> Collected {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(heard(listener.accept().unwrap().0));
    });
    Collected(receiver)
}

impl Collected {
    /// Waits for the end of the connection; returns all that was heard.
    pub fn lines(self) -> Vec<Value> {
        self.0.recv_timeout(DEADLINE).expect("the connection ends")
    }
}

/// The collector's side of a connection, on which the hellos were said.
pub fn greeted(stream: UnixStream) -> BufReader<UnixStream> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = BufReader::new(stream);
    let mut hello = String::new();
    // One that ended before it was read says nothing.
    if stream.read_line(&mut hello).unwrap_or(0) > 0 {
        assert_eq!(hello, "{\"protocol\": \"inferno-log/2\"}\n");
        let _ = stream.get_mut().write_all(&2_u32.to_le_bytes());
    }
    stream
}

/// Reads a connection to its end, as a collector: each line is acknowledged.
pub fn heard(stream: UnixStream) -> Vec<Value> {
    let stream = greeted(stream);
    let mut answers = stream.get_ref().try_clone().unwrap();
    let lines = stream.lines();
    // kiln may end without reading the last acknowledgement, and then both directions say so.
    lines
        .map_while(Result::ok)
        .map(|line| {
            let _ = answers.write_all(&u32::try_from(line.len() + 1).unwrap().to_le_bytes());
            serde_json::from_str(&line).unwrap()
        })
        .collect()
}

pub fn messages<'a>(lines: &'a [Value], source: &str) -> Vec<&'a str> {
    let of_source = lines.iter().filter(|line| line["source"] == source);
    of_source.map(|line| line["message"].as_str().unwrap()).collect()
}

/// Does something that may never happen, with the deadline.
pub fn within<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(action()));
    receiver.recv_timeout(DEADLINE).expect("it happens in time")
}

const JAIL_UID: u32 = 61_000;

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
