//! PID 1 of every Inferno guest, as a library whose parts can be tested without being PID 1.
//!
//! One thread, one poll loop. `boot` is the order of things; each other module is one thing. All `unsafe` is in
//! `sys`, but for the entry symbol in `main.rs`.
#![deny(unsafe_code)]
#![expect(clippy::must_use_candidate, reason = "a library for one program and its tests")]
#![expect(clippy::missing_panics_doc, reason = "each `expect` says why it cannot fail")]

pub mod api;
pub mod attachment;
pub mod base64;
pub mod boot;
pub mod cgroup;
pub mod clock;
pub mod connection;
#[cfg(test)]
mod contract;
pub mod durations;
pub mod end;
pub mod env;
pub mod etc;
pub mod exit_report;
pub mod failure;
pub mod files;
pub mod format;
pub mod frame;
pub mod guest_log;
pub mod host_lines;
pub mod http;
pub mod init_system;
pub mod input;
pub mod kernel_log;
pub mod limits;
pub mod listener;
pub mod lookup;
pub mod mounts;
pub mod net;
pub mod netlink;
pub mod outbox;
pub mod output;
pub mod peer;
pub mod process;
pub mod respond;
pub mod root;
pub mod run;
pub mod secrets;
pub mod session;
pub mod shell;
pub mod split;
pub mod ssh;
pub mod start;
pub mod stat;
pub mod supervisor;
#[allow(unsafe_code)]
pub mod sys;
pub mod tar;
pub mod user;
pub mod volumes;
