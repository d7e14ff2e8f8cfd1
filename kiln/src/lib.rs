//! kiln, the supervisor inside the jail, as a library whose parsers can be fuzzed without being jailed.
//!
//! One thread, one poll loop; docs/how-it-starts.md shows its place in the chain. All `unsafe` is in `sys`.
#![deny(unsafe_code)]
#![expect(clippy::must_use_candidate, reason = "a library for one program and its fuzz targets")]
#![expect(clippy::missing_panics_doc, reason = "each `expect` says why it cannot fail")]

pub mod clock;
pub mod collector;
pub mod config;
#[cfg(test)]
mod contract;
pub mod durations;
pub mod exit_listener;
pub mod exit_report;
pub mod exit_status;
pub mod format;
pub mod guest;
pub mod guest_log;
pub mod host_log;
pub mod lines;
pub mod listen;
pub mod notify;
pub mod outbox;
pub mod program;
pub mod ring;
pub mod run_outcome;
pub mod seccomp;
pub mod secrets;
pub mod start;
pub mod supervisor;
#[allow(unsafe_code)]
pub mod sys;
pub mod vmm;
