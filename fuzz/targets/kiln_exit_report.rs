//! Exit reports, as they arrive from a guest.
#![no_main]

use kiln::exit_report::Posted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(posted)) = Posted::parse(bytes) {
        let ends = (posted.report.exit_code, posted.report.signal);
        assert!(!matches!(ends, (Some(_), Some(_))));
        let _ = posted.report.code();
        assert_eq!(Posted::parse(&bytes[..bytes.len() - 1]), Ok(None), "a whole report has no whole beginning");
    }
});
