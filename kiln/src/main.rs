//! kiln, the supervisor inside the jail: starts Firecracker, carries the guest's log and exit status out.
//!
//! The jailer becomes kiln by exec, so kiln runs as the VM's own uid, in its chroot and cgroup, with fds 0 to 2 and
//! no environment. One thread, one poll loop; docs/how-it-starts.md shows its place in the chain.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use kiln::durations::Durations;

fn main() -> ExitCode {
    kiln::program::run(Durations::default())
}
