//! Frames of a stream, from the host.
#![no_main]

use guest::frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut read = 0;
    while let Ok(Some((_, len))) = frame::parse(&bytes[read..]) {
        assert!((8..=8 + frame::MAX_PAYLOAD_BYTES).contains(&len));
        assert_eq!(frame::parse(&bytes[read..read + len - 1]), Ok(None));
        read += len;
    }
});
