//! What kiln says on the log connection, in pieces: start.json, then the time. The same lines however they arrive.
#![no_main]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use guest::host_lines::{HostLines, MAX_BYTES};
use guest::{clock, start::Start, sys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let bytes = &bytes[..bytes.len().min(MAX_BYTES / 2)]; // what a pipe takes without a reader
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let reader = File::from(OwnedFd::from(reader));
    sys::set_nonblocking(&reader).expect("a flag of an open descriptor");
    let (mut lines, mut found) = (HostLines::new(reader), Vec::new());
    for piece in bytes.chunks(usize::from(step) * 64 + 1) {
        writer.write_all(piece).expect("it fits");
        while let Some(line) = lines.next_line().expect("it goes on") {
            let _ = (Start::parse(&line), clock::parse(&line));
            found.extend(line);
        }
    }
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    assert_eq!(found, bytes[..whole]);
    drop(writer);
    assert!(lines.next_line().is_err() && lines.fd().is_none(), "an end is told once");
});
