//! init, PID 1 of a guest. All of it is in the library; here is only the entry.
//!
//! `no_main`, since std's own start-up opens /dev/null for each of fds 0 to 2 that is closed and aborts when it
//! cannot; in an initramfs there are neither those fds nor a /dev/null, and a PID 1 that aborts is a kernel panic.
#![no_main]

use std::ffi::{c_char, c_int};

/// Called by the C library's start-up code. Never returns.
// SAFETY: no other symbol of this program is called `main`, since `no_main` stops rustc from making one.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    guest::boot::run()
}
