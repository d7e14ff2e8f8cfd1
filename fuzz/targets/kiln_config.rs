//! kiln.json, and the arguments of the jailer.
#![no_main]

use std::ffi::OsString;
use std::path::Path;

use kiln::config::{self, Config};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = Config::parse(bytes, Path::new("/kiln.json"), "01JD8ZK3V5N9Q2R7T4W6X8Y0AB") {
        assert_eq!(config.id, "01JD8ZK3V5N9Q2R7T4W6X8Y0AB");
        assert_ne!(config.port_socket(config.vsock_stdout_port), config.port_socket(config.vsock_exit_port));
    }
    let args = String::from_utf8_lossy(bytes);
    let _ = config::jail_id(args.split('\n').map(OsString::from));
});
