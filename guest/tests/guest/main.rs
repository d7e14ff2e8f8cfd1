//! init's loop with real processes. One program for all tests: most of them wait, and so they wait at the same time.
#![allow(clippy::unwrap_used)]

mod exec;
mod files;
mod input;
mod machine;
mod process;
mod terminal;
