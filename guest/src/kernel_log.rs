//! The kernel's own log, /dev/kmsg: one record per read, `level,sequence,time,flags;text`.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::sys;

const PATH: &str = "/dev/kmsg";
/// The longest record: CONSOLE_EXT_LOG_MAX, linux/include/linux/printk.h.
const MAX_RECORD_BYTES: usize = 8 * 1024;

/// Puts a line into the log as an error, which the console shows.
pub fn tell(text: &str) {
    if let Ok(mut log) = OpenOptions::new().write(true).open(PATH) {
        let _ = log.write_all(format!("<3>init: {text}\n").as_bytes());
    }
}

/// The last line about a process that was killed for memory.
pub fn last_oom_kill() -> Option<String> {
    let log = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(PATH).ok()?;
    find_last_oom_kill(log)
}

fn find_last_oom_kill(mut log: File) -> Option<String> {
    let mut found = None;
    let mut record = vec![0; MAX_RECORD_BYTES];
    loop {
        match log.read(&mut record) {
            Ok(0) => return found,
            Ok(len) => found = oom_kill(&record[..len]).or(found),
            // A record was overwritten before it could be read; the next one is there.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => return found,
        }
    }
}

/// `Memory cgroup out of memory: Killed process 42 (app) …` or `Out of memory: …`: mm/oom_kill.c, __oom_kill_process.
fn oom_kill(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (head, line) = text.lines().next()?.split_once(';')?;
    // Facility 0 is the kernel's: what processes write here has another.
    let is_kernels = head.split(',').next()?.parse::<u32>().is_ok_and(|priority| priority < 8);
    (is_kernels && line.contains("ut of memory: Killed process ")).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::oom_kill;

    #[test]
    fn only_the_kernels_words_count() {
        let line = "Out of memory: Killed process 41 (tail) total-vm:260340kB, anon-rss:200000kB";
        assert_eq!(oom_kill(format!("3,339,990,-;{line}\n SUBSYSTEM=x\n").as_bytes()).as_deref(), Some(line));
        let group = "Memory cgroup out of memory: Killed process 7 (a)";
        assert_eq!(oom_kill(format!("3,1,2,-;{group}\n").as_bytes()).as_deref(), Some(group));
        for record in
            [format!("11,339,990,-;{line}\n"), "6,1,2,-;Linux version\n".into(), line.into(), String::new()]
        {
            assert_eq!(oom_kill(record.as_bytes()), None, "{record}");
        }
    }
}
