//! How long init waits for what may never come.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The time limits of init. The default is what guests have; tests choose others.
#[derive(Clone, Copy, Debug)]
pub struct Durations {
    /// For start.json, which kiln sends as soon as the log is connected.
    pub start: Duration,
    /// From the SIGTERM that the rest gets when the image's process ended to the SIGKILL.
    pub rest: Duration,
    /// How long killed processes may take to go.
    pub drain: Duration,
    /// From the SIGHUP that follows the host's going away from a stream to the SIGKILL.
    pub stream: Duration,
    /// How long a process with standard input waits for the host that is to see all of its output, once it wrote more
    /// than is kept for that: `start -i` attaches at once, and who started it otherwise may never.
    pub attach: Duration,
    /// How long a terminal may take to come to its end after its process did.
    pub terminal: Duration,
    /// For a whole request of the host's, from accept to the last byte of the answer.
    pub request: Duration,
    /// For making all of the guest's ssh keys, of which the RSA one takes longest.
    pub host_keys: Duration,
    /// How long the host may take no line before the report is sent all the same: with it kiln reads what is left.
    pub last_lines: Duration,
    /// For the whole exchange of the exit report: kiln answers late, after 5 s, when the log does not come to its end.
    pub report: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            rest: Duration::from_secs(2),
            drain: Duration::from_secs(3),
            stream: Duration::from_secs(2),
            attach: Duration::from_secs(10),
            terminal: Duration::from_secs(1),
            request: Duration::from_secs(5),
            host_keys: Duration::from_secs(30),
            last_lines: Duration::from_secs(2),
            report: Duration::from_secs(8),
        }
    }
}
