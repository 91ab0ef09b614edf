//! Reasons why a thread left the CPU, from what the kernel's tracepoint showed.

use std::fmt;

use crate::bpf::functions;
use crate::bpf::layout::{FileKind, Record, left};
use crate::program::trace::calls::{self, CallKind};

/// Reason why a thread left the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Futex,
    Sleep,
    Epoll,
    Poll,
    Select,
    Read(FileKind),
    Write(FileKind),
    /// By `sched_yield`.
    Yield,
    /// It was to wait, and was woken on the way: still runnable, it left its CPU to others.
    WokenBefore,
    /// By a thread that was woken on, or moved to, its CPU while it ran.
    PreemptedByWoken,
    SliceUsedUp,
    /// Its cgroup had used up its CPU quota.
    Throttled,
    /// For a child that uses its memory (vfork).
    Child(i16),
    /// Another call; negative outside calls.
    Call(i16),
    /// A call of a 32-bit program, whose numbers are others.
    Call32(i16),
    /// For a page to be read from disk.
    PageFault,
    /// For a page that another thread provides (userfaultfd).
    UserPageFault,
    /// For a disk, in a call that is not for that, or outside calls.
    Disk(i16),
    /// For memory to become free.
    Memory,
    /// Inside the kernel, where no signal ends the wait: in a function, in a call.
    Kernel(Option<&'static str>, i16),
    /// An idle worker of io_uring or vhost.
    Worker,
    Frozen,
    Stopped,
    Traced,
    Exit,
    Unknown,
}

/// States of a thread, as bits: include/linux/sched.h.
mod state {
    pub const INTERRUPTIBLE: u16 = 0x1;
    pub const UNINTERRUPTIBLE: u16 = 0x2;
    pub const STOPPED: u16 = 0x4;
    pub const TRACED: u16 = 0x8;
    pub const DEAD: u16 = 0x80;
    pub const WAKE_KILL: u16 = 0x100;
    /// Waits for a lock that is a spinlock where the kernel is not PREEMPT_RT.
    pub const RT_LOCK: u16 = 0x1000;
    pub const FREEZABLE: u16 = 0x2000;
    pub const FROZEN: u16 = 0x8000;
    pub const OTHER_STANDSTILLS: u16 = UNINTERRUPTIBLE | STOPPED | TRACED;
}

impl Reason {
    /// Returns the reason of an absence. States come combined, so the more specific ones are checked first.
    pub fn of(record: &Record) -> Reason {
        let is = |bits: u16| record.state & bits != 0;
        if is(state::DEAD) || record.has(left::FOR_GOOD) {
            return Reason::Exit;
        }
        if record.state == 0 {
            return runnable(record);
        }
        if is(state::RT_LOCK) {
            return kernel(record);
        }
        // A thread that is stopped, traced, or in vfork counts as frozen as well, and is not.
        if is(state::FROZEN) || record.has(left::FROZEN) && record.state & state::OTHER_STANDSTILLS == 0 {
            return Reason::Frozen;
        }
        if is(state::TRACED) {
            return Reason::Traced;
        }
        if is(state::STOPPED) {
            return Reason::Stopped;
        }
        if is(state::UNINTERRUPTIBLE) {
            return uninterruptible(record);
        }
        if is(state::INTERRUPTIBLE) {
            return interruptible(record);
        }
        Reason::Unknown
    }
}

/// Returns the number of the call; −1 if it is not of this architecture's table.
fn call(record: &Record) -> i16 {
    if record.has(left::IN_32_BIT_CALL) || record.has(left::AS_WORKER) { -1 } else { record.call }
}

/// Returns the kind of wait in the call that the thread was in, by the numbers of its program.
fn kind(record: &Record) -> CallKind {
    if record.has(left::IN_32_BIT_CALL) { calls::kind_32_bit(record.call) } else { calls::kind(call(record)) }
}

/// Returns the reason of a thread that was still runnable.
fn runnable(record: &Record) -> Reason {
    if record.has(left::THROTTLED) {
        return Reason::Throttled;
    }
    if kind(record) == CallKind::Yield && !record.has(left::PREEMPTED) {
        return Reason::Yield;
    }
    if record.has(left::WOKEN) {
        return Reason::WokenBefore;
    }
    if record.has(left::TO_WOKEN) { Reason::PreemptedByWoken } else { Reason::SliceUsedUp }
}

/// Returns the reason of a wait that no signal ends.
fn uninterruptible(record: &Record) -> Reason {
    let call = call(record);
    if record.has(left::FOR_IO) {
        if call < 0 {
            return if record.has(left::AS_WORKER) { Reason::Disk(-1) } else { Reason::PageFault };
        }
        let on_disk = matches!(record.file, FileKind::Regular | FileKind::Directory | FileKind::Device);
        return match calls::kind(call) {
            CallKind::Read if on_disk => Reason::Read(record.file),
            CallKind::Write if on_disk => Reason::Write(record.file),
            _ => Reason::Disk(call),
        };
    }
    if record.has(left::FOR_MEMORY) {
        return Reason::Memory;
    }
    // Nothing else waits in this state in these calls.
    let for_child = state::WAKE_KILL | state::FREEZABLE;
    if call >= 0 && calls::kind(call) == CallKind::Fork && record.state & for_child == for_child {
        return Reason::Child(call);
    }
    kernel(record)
}

fn kernel(record: &Record) -> Reason {
    Reason::Kernel(record.place.and_then(functions::name_at), call(record))
}

/// Returns the reason of a wait that a signal ends.
fn interruptible(record: &Record) -> Reason {
    if record.has(left::AS_WORKER) {
        return Reason::Worker;
    }
    if record.call < 0 {
        return Reason::UserPageFault;
    }
    match kind(record) {
        CallKind::Futex => Reason::Futex,
        CallKind::Sleep => Reason::Sleep,
        CallKind::Epoll => Reason::Epoll,
        CallKind::Poll => Reason::Poll,
        CallKind::Select => Reason::Select,
        CallKind::Read if record.file != FileKind::Unknown => Reason::Read(record.file),
        CallKind::Write if record.file != FileKind::Unknown => Reason::Write(record.file),
        _ if record.has(left::IN_32_BIT_CALL) => Reason::Call32(record.call),
        _ => Reason::Call(record.call),
    }
}

fn file(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pipe => "pipe",
        FileKind::Socket => "socket",
        FileKind::Eventfd => "eventfd",
        FileKind::Timerfd => "timerfd",
        FileKind::Signalfd => "signalfd",
        FileKind::Inotify => "inotify",
        FileKind::Regular => "file",
        FileKind::Directory => "directory",
        FileKind::Device => "device",
        FileKind::Terminal => "terminal",
        FileKind::Other | FileKind::Unknown => "other file",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_call = |out: &mut fmt::Formatter<'_>, number: i16| match calls::name(number) {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "{number}"),
        };
        let within = |out: &mut fmt::Formatter<'_>, what: &str, number: i16| {
            write!(out, "{what}")?;
            if number < 0 {
                return Ok(());
            }
            write!(out, " in ")?;
            of_call(out, number)
        };
        match *self {
            Reason::Futex => write!(out, "futex"),
            Reason::Sleep => write!(out, "sleep"),
            Reason::Epoll => write!(out, "epoll"),
            Reason::Poll => write!(out, "poll"),
            Reason::Select => write!(out, "select"),
            Reason::Read(kind) => write!(out, "read {}", file(kind)),
            Reason::Write(kind) => write!(out, "write {}", file(kind)),
            Reason::Yield => write!(out, "yield"),
            Reason::WokenBefore => write!(out, "woken before it slept"),
            Reason::PreemptedByWoken => write!(out, "preempted by a woken thread"),
            Reason::SliceUsedUp => write!(out, "preempted, slice used up"),
            Reason::Throttled => write!(out, "throttled (CPU quota)"),
            Reason::Child(number) => within(out, "vfork child", number),
            Reason::Call(number) => {
                write!(out, "system call ")?;
                of_call(out, number)
            }
            Reason::Call32(number) => write!(out, "32-bit system call {number}"),
            Reason::PageFault => write!(out, "page fault, disk"),
            Reason::UserPageFault => write!(out, "page fault, userfaultfd"),
            Reason::Disk(number) => within(out, "disk", number),
            Reason::Memory => write!(out, "memory shortage"),
            Reason::Kernel(function, number) => {
                write!(out, "kernel wait")?;
                within(out, &function.map_or(String::new(), |name| format!(", {name}")), number)
            }
            Reason::Worker => write!(out, "idle I/O worker"),
            Reason::Frozen => write!(out, "frozen"),
            Reason::Stopped => write!(out, "stopped"),
            Reason::Traced => write!(out, "traced"),
            Reason::Exit => write!(out, "exit"),
            Reason::Unknown => write!(out, "unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::layout::RECORD;

    fn record(state: u16, call: i64, bits: u16, file: FileKind) -> Record {
        let made_up = Record::read(&[0; RECORD / 8]);
        Record { state, call: call as i16, left: bits, file, ..made_up }
    }

    /// States that the kernel showed where each reason was forced (Linux 6.18, x86-64).
    #[test]
    fn every_way_to_leave_the_cpu_has_its_name() {
        use FileKind::*;
        let check = |state: u16, call: i64, bits: u16, file: FileKind, expected: &str| {
            assert_eq!(Reason::of(&record(state, call, bits, file)).to_string(), expected, "{state:x} {call}");
        };
        check(0x2001, libc::SYS_futex, 0, Unknown, "futex");
        check(0x2001, libc::SYS_clock_nanosleep, 0, Unknown, "sleep");
        check(1, libc::SYS_epoll_pwait, 0, Unknown, "epoll");
        check(1, libc::SYS_ppoll, 0, Unknown, "poll");
        check(1, libc::SYS_pselect6, 0, Unknown, "select");
        check(1, libc::SYS_read, 0, Pipe, "read pipe");
        check(1, libc::SYS_write, 0, Pipe, "write pipe");
        check(1, libc::SYS_recvfrom, 0, Socket, "read socket");
        check(1, libc::SYS_read, 0, Timerfd, "read timerfd");
        check(1, libc::SYS_read, 0, Eventfd, "read eventfd");
        check(1, libc::SYS_read, 0, Unknown, "system call read");
        check(0x102, libc::SYS_read, left::FOR_IO, Regular, "read file");
        check(0x102, -1, left::FOR_IO, Unknown, "page fault, disk");
        check(2, libc::SYS_fsync, left::FOR_IO, Unknown, "disk in fsync");
        check(2, libc::SYS_read, left::FOR_MEMORY, Regular, "memory shortage");
        check(2, -1, 0, Unknown, "kernel wait");
        check(2, libc::SYS_exit_group, 0, Unknown, "kernel wait in exit_group");
        check(0x2102, libc::SYS_clone3, 0, Unknown, "vfork child in clone3");
        check(0x2102, libc::SYS_vfork, left::FROZEN, Unknown, "vfork child in vfork");
        check(8, -1, left::FROZEN, Unknown, "traced");
        check(0, libc::SYS_sched_yield, 0, Unknown, "yield");
        check(0, libc::SYS_sched_yield, left::PREEMPTED, Unknown, "preempted, slice used up");
        check(0, -1, left::TO_WOKEN, Unknown, "preempted by a woken thread");
        check(0, libc::SYS_futex, 0, Unknown, "preempted, slice used up");
        check(0, -1, left::THROTTLED, Unknown, "throttled (CPU quota)");
        check(1, libc::SYS_wait4, 0, Unknown, "system call wait4");
        check(0x104, -1, 0, Unknown, "stopped");
        check(0x104, -1, left::FROZEN, Unknown, "stopped");
        check(8, libc::SYS_kill, 0, Unknown, "traced");
        check(1, libc::SYS_epoll_pwait, left::FROZEN, Unknown, "frozen");
        check(0x8000, libc::SYS_epoll_pwait, 0, Unknown, "frozen");
        check(0x80, libc::SYS_exit, left::FOR_GOOD, Unknown, "exit");
        check(1, libc::SYS_io_uring_enter, left::FOR_IO, Unknown, "system call io_uring_enter");
        check(1, libc::SYS_io_uring_enter, left::AS_WORKER, Unknown, "idle I/O worker");
        check(1, 240, left::IN_32_BIT_CALL, Unknown, "futex");
        check(1, 162, left::IN_32_BIT_CALL, Unknown, "sleep");
        check(0, 158, left::IN_32_BIT_CALL, Unknown, "yield");
        check(1, 3, left::IN_32_BIT_CALL, Unknown, "32-bit system call 3");
        check(0, libc::SYS_ppoll, left::WOKEN, Unknown, "woken before it slept");
        check(0, libc::SYS_ppoll, left::WOKEN | left::TO_WOKEN, Unknown, "woken before it slept");
        check(0, libc::SYS_sched_yield, left::WOKEN, Unknown, "yield");
        check(0, -1, left::WOKEN | left::AS_WORKER, Unknown, "woken before it slept");
        check(1, -1, 0, Unknown, "page fault, userfaultfd");
        check(0x1002, -1, 0, Unknown, "kernel wait");
        check(0x10, -1, 0, Unknown, "unknown");
    }
}
