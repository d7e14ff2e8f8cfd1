//! How long processes that were asked to end may take before they are killed.
#![forbid(unsafe_code)]

use std::time::Duration;

/// See the module. The default is what guests have; tests choose others.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// From the SIGTERM that the rest gets when the image's process ended to the SIGKILL.
    pub rest: Duration,
    /// From the SIGHUP that follows the host's going away from a stream to the SIGKILL.
    pub stream: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { rest: Duration::from_secs(2), stream: Duration::from_secs(2) }
    }
}
