//! The system calls that kiln may make once Firecracker runs; any other ends it, and the VM with it.
//!
//! kiln shares its uid with a process that is assumed hostile and reads that process's bytes. After the filter is in
//! place it can start no program, trace no process, change no identity, and reach nothing but sockets and files of its jail.
#![forbid(unsafe_code)]

use std::io;

use crate::sys;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64: linux/include/uapi/linux/audit.h
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

/// Calls that only x86_64 has; newer architectures have the `at` and `p` forms alone.
#[cfg(target_arch = "x86_64")]
const OF_ARCH: &[libc::c_long] =
    &[libc::SYS_poll, libc::SYS_open, libc::SYS_unlink, libc::SYS_rename, libc::SYS_dup2];
#[cfg(target_arch = "aarch64")]
const OF_ARCH: &[libc::c_long] = &[];

const ALLOWED: &[libc::c_long] = &[
    // the loop and its connections
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_ppoll,
    libc::SYS_close,
    libc::SYS_accept4,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_dup3,
    libc::SYS_restart_syscall,
    // the child's end
    libc::SYS_kill,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_send_signal,
    // exit_status.json, and the sockets to remove
    libc::SYS_openat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    // memory and time
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    // the end, also by a panic
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Confines kiln from here on.
pub fn confine() -> io::Result<()> {
    sys::install_filter(&program())
}

/// Classic BPF over struct seccomp_data { int nr; u32 arch; … }: seccomp(2). The x32 calls of x86_64 have other
/// numbers, so they are in no list.
fn program() -> Vec<libc::sock_filter> {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: u16::try_from(code).expect("BPF codes fit in a sock_filter"),
        jt,
        jf,
        k,
    };
    let kill = step(give, libc::SECCOMP_RET_KILL_PROCESS, 0, 0);
    let mut program = vec![step(load, 4, 0, 0), step(equal, ARCH, 1, 0), kill, step(load, 0, 0, 0)];
    for call in OF_ARCH.iter().chain(ALLOWED) {
        program.push(step(equal, u32::try_from(*call).expect("call numbers are small"), 0, 1));
        program.push(step(give, libc::SECCOMP_RET_ALLOW, 0, 0));
    }
    program.push(kill);
    program
}
