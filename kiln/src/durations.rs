//! How long kiln waits for what may never come.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The time limits of kiln. The default is what every VM's kiln has; tests choose others.
#[derive(Clone, Copy, Debug)]
pub struct Durations {
    /// How long the starter may take to hand its secrets over: it waits for kiln to fetch them.
    pub secrets: Duration,
    /// From init's exit report to the guest's end: it only has to sync, unmount and reboot.
    pub guest_end: Duration,
    /// How long the collector may take to write the last lines to its files, once Firecracker has ended.
    pub last_lines: Duration,
    /// How long the request with an exit report may take to arrive.
    pub request: Duration,
    /// How long the log connection may then take to end, before the report is believed all the same.
    pub log_end: Duration,
    /// For how much of that the log still waits for a slow collector, before lines are dropped to reach its end.
    pub flow_control: Duration,
    /// Between tries to connect to the collector when no event will tell, and between connections that it ends at once.
    pub retry: Duration,
    /// At most one complaint about bad records in this time, however many there are.
    pub complaint: Duration,
    /// Between tellings of the time, for what the guest's clock drifts; of a step of the host's it is told at once.
    pub clock: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            secrets: Duration::from_secs(10),
            guest_end: Duration::from_secs(5),
            last_lines: Duration::from_secs(2),
            request: Duration::from_secs(5),
            log_end: Duration::from_secs(5),
            flow_control: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            complaint: Duration::from_secs(1),
            clock: Duration::from_secs(60),
        }
    }
}
