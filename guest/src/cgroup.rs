//! The cgroup of the image's process: what tells whether the kernel killed it for memory.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};

use crate::failure::{Doing, Failure};

const ROOT: &str = "/sys/fs/cgroup";
const APP: &str = "/sys/fs/cgroup/app";
const CONTROLLERS: [&str; 5] = ["cpu", "io", "memory", "pids", "cpuset"];

/// Makes the group and opens the file by which a process joins it.
pub fn make() -> Result<File, Failure> {
    for controller in CONTROLLERS {
        // One by one: a kernel without one of them shall still give the others.
        let _ = fs::write(format!("{ROOT}/cgroup.subtree_control"), format!("+{controller}"));
    }
    fs::create_dir(APP).doing("make the process's cgroup")?;
    OpenOptions::new().write(true).open(format!("{APP}/cgroup.procs")).doing("open the process's cgroup")
}

/// Whether the kernel killed a process of the group, or below it, for memory; the machine's own lack counts too.
pub fn had_oom_kill() -> bool {
    let read = |path: &str| fs::read_to_string(path).ok().and_then(|text| counter(&text, "oom_kill"));
    read(&format!("{APP}/memory.events")).or_else(|| read("/proc/vmstat")).is_some_and(|count| count > 0)
}

fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(key, _)| *key == name)?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn counters_are_read_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(counter(events, "oom_kill"), Some(1));
        assert_eq!(counter(events, "oom_kil"), None);
        assert_eq!(counter("", "oom_kill"), None);
    }
}
