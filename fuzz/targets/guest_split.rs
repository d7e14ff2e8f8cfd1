//! Output of a process, cut into records: nothing is lost, nothing is too long, no character is cut in two.
#![no_main]

use guest::guest_log::{self, Source};
use guest::split::{MAX_PAYLOAD_BYTES, Splitter};
use kiln::guest_log::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let (mut splitter, mut joined) = (Splitter::default(), Vec::new());
    let mut sink = |line: &[u8], more: bool| {
        assert!(line.len() <= MAX_PAYLOAD_BYTES);
        joined.extend_from_slice(line);
        if !more {
            joined.push(b'\n');
        }
        let written = guest_log::log(Source::Stdout, line, more);
        let read = Record::parse(&written[..written.len() - 1]).expect("kiln takes what init writes");
        assert!(matches!(read, Record::Log { partial, .. } if partial == more));
    };
    bytes.chunks(usize::from(step) * 64 + 1).for_each(|chunk| splitter.feed(chunk, &mut sink));
    splitter.finish(&mut sink);
    let mut expected = bytes.to_vec();
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        expected.push(b'\n');
    }
    assert_eq!(joined, expected);
});
