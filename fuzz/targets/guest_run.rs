//! run.json, start.json, secrets, and the lines with the time.
#![no_main]

use guest::run::Run;
use guest::secrets::Secrets;
use guest::start::Start;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(start) = Start::parse(bytes) {
        let _ = guest::etc::resolv(&start.etc_resolv);
        let _ = guest::etc::hosts(&start.etc_hosts);
    }
    if let Ok(secrets) = Secrets::parse(bytes) {
        assert!(secrets.files.iter().all(|file| !file.name.contains('/') && file.name != ".."));
    }
    if let Ok(told) = guest::clock::parse(bytes) {
        assert!(told.clock_us > 0 && told.clock_us / 1_000_000 < 1 << 33 && told.boot_us >= 0);
    }
    if let Ok(run) = Run::parse(bytes) {
        assert!(!run.process.args[0].is_empty());
        assert!(run.files.iter().all(|file| file.path.starts_with('/')));
        assert!(run.ssh_keys.iter().all(|key| key.lines().count() == 1));
        let _ = guest::limits::all(&run.process.rlimits);
        let _ = guest::etc::hosts(&run.etc_hosts);
        let _ = guest::env::complete(&run.process.env, &run.hostname, "/");
    }
});
