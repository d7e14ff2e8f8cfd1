//! Requests to init, as they arrive: the beginning of one must never be an error that the whole is not.
#![no_main]

use guest::http;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(request)) = http::parse(bytes) {
        assert!(bytes.len() <= http::MAX_HEAD_BYTES + 4 + http::MAX_BODY_BYTES);
        assert!(request.path.starts_with('/') && bytes.ends_with(request.body));
        for end in [bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(http::parse(&bytes[..end]), Ok(None), "a whole request has no whole beginning");
        }
    }
    let _ = http::answer_status(bytes);
});
