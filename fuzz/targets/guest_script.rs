//! A shell script of an image, and its parameters: what it executes, with a NUL between them.
#![no_main]

use std::path::Path;

use guest::init_system;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let args = ["sh", "-c"].into_iter().chain(text.split('\0')).map(ToString::to_string);
    let nowhere = "/no/such/folder";
    let _ = init_system::is_run_by(&args.collect::<Vec<_>>(), nowhere, Path::new(nowhere));
});
