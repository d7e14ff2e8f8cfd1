//! How long is waited for processes that were asked to end, and for hosts that may come.
#![forbid(unsafe_code)]

use std::time::Duration;

/// See the module. The default is what guests have; tests choose others.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// From the SIGTERM that the rest gets when the image's process ended to the SIGKILL.
    pub rest: Duration,
    /// From the SIGHUP that follows the host's going away from a stream to the SIGKILL.
    pub stream: Duration,
    /// How long a process with standard input waits for the host that is to see all of its output, once it wrote more
    /// than is kept for that: `start -i` attaches at once, and who started it otherwise may never.
    pub attach: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { rest: Duration::from_secs(2), stream: Duration::from_secs(2), attach: Duration::from_secs(10) }
    }
}
