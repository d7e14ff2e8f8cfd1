//! The resource limits of all processes that the host asks for.
#![forbid(unsafe_code)]

use crate::run::{Resource, Rlimit};
use crate::sys::{self, Limit};

/// Open files, soft and hard: systemd's default since 240, and so Docker's since 25 (its unit no longer sets any). A
/// soft limit of 1024 is what programs that use select(2) or close all descriptors need.
const OPEN_FILES: Limit = Limit { resource: sys::RLIMIT_NOFILE, soft: 1024, hard: 524_288 };

/// What was asked for, after what holds anyway.
pub fn all(asked: &[Rlimit]) -> Vec<Limit> {
    std::iter::once(OPEN_FILES).chain(asked.iter().map(limit)).collect()
}

fn limit(asked: &Rlimit) -> Limit {
    // The one resource that cannot be unlimited: fs.nr_open, as the kernel has it at boot.
    let most = if asked.name == Resource::Nofile { 1024 * 1024 } else { sys::RLIM_INFINITY };
    let bounded = |limit: Option<u64>| limit.unwrap_or(most).min(most);
    Limit { resource: number(asked.name), soft: bounded(asked.soft), hard: bounded(asked.hard) }
}

fn number(resource: Resource) -> u32 {
    match resource {
        Resource::As => sys::RLIMIT_AS,
        Resource::Core => sys::RLIMIT_CORE,
        Resource::Cpu => sys::RLIMIT_CPU,
        Resource::Data => sys::RLIMIT_DATA,
        Resource::Fsize => sys::RLIMIT_FSIZE,
        Resource::Locks => sys::RLIMIT_LOCKS,
        Resource::Memlock => sys::RLIMIT_MEMLOCK,
        Resource::Msgqueue => sys::RLIMIT_MSGQUEUE,
        Resource::Nice => sys::RLIMIT_NICE,
        Resource::Nofile => sys::RLIMIT_NOFILE,
        Resource::Nproc => sys::RLIMIT_NPROC,
        Resource::Rss => sys::RLIMIT_RSS,
        Resource::Rtprio => sys::RLIMIT_RTPRIO,
        Resource::Rttime => sys::RLIMIT_RTTIME,
        Resource::Sigpending => sys::RLIMIT_SIGPENDING,
        Resource::Stack => sys::RLIMIT_STACK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_comes_last_and_can_be_set() {
        let asked = |name, soft, hard| Rlimit { name, soft, hard };
        let all = all(&[asked(Resource::Nofile, Some(7), None), asked(Resource::Memlock, None, None)]);
        let nofile = Limit { resource: sys::RLIMIT_NOFILE, soft: 7, hard: 1024 * 1024 };
        let most = sys::RLIM_INFINITY;
        assert_eq!(
            all,
            [OPEN_FILES, nofile, Limit { resource: sys::RLIMIT_MEMLOCK, soft: most, hard: most }]
        );
    }
}
