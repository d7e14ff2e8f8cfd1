//! The guest's cgroups: one of the image's process, which tells whether the kernel killed it for memory, and one of
//! what is started beside it. systemd and Docker divide their own further, and then no process may join it any more.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};

use crate::failure::{Doing, Failure};

const ROOT: &str = "/sys/fs/cgroup";
const APP: &str = "/sys/fs/cgroup/app";
const EXEC: &str = "/sys/fs/cgroup/exec";
const CONTROLLERS: [&str; 5] = ["cpu", "io", "memory", "pids", "cpuset"];

/// The files by which a process joins its group.
#[derive(Debug)]
pub struct Groups {
    /// The image's process.
    pub app: File,
    /// What the host starts beside it.
    pub exec: File,
}

/// Makes the groups.
pub fn make() -> Result<Groups, Failure> {
    for controller in CONTROLLERS {
        // One by one: a kernel without one of them shall still give the others.
        let _ = fs::write(format!("{ROOT}/cgroup.subtree_control"), format!("+{controller}"));
    }
    Ok(Groups { app: group(APP)?, exec: group(EXEC)? })
}

fn group(path: &str) -> Result<File, Failure> {
    fs::create_dir(path).doing(format_args!("make cgroup {path}"))?;
    let file = format!("{path}/cgroup.procs");
    OpenOptions::new().write(true).open(&file).doing(format_args!("open {file}"))
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
