//! start.json, as kiln hands it on: init takes what kiln takes for its first line, or says why not.
#![no_main]

use std::path::Path;

use kiln::start::Start;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(start) = Start::parse(bytes.to_vec(), Path::new("/start.json")) {
        assert_eq!(start.line, bytes);
        assert!(start.run.len() == 26 && start.run.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if let Ok(seen) = guest::start::Start::parse(bytes) {
            assert_eq!(seen.run, start.run, "the log and the guest speak of the same run");
        }
    }
});
