//! Records of the log connection, from a guest: what kiln takes becomes one line of valid JSON for the host.
#![no_main]

use kiln::clock::Timestamp;
use kiln::host_log::Origin;
use kiln::guest_log::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Record::Log { source, message, partial }) = Record::parse(bytes) {
        let mut line = Vec::new();
        let origin =
            Origin { vm_id: "01JD8ZK3V5N9Q2R7T4W6X8Y0AB".into(), run: "01JD8ZM0G7C4R1X6B9T2W5Y8HE".into() };
        message.entry(source, partial).write(&mut line, Timestamp::now(), &origin);
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        let value: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
        assert_eq!(value["vm_id"], "01JD8ZK3V5N9Q2R7T4W6X8Y0AB");
    }
});
