//! Clocks, in nanoseconds.

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Returns `CLOCK_MONOTONIC`, read through the vDSO where the clocksource supports that.
///
/// # Panics
/// If the kernel has no such clock; every Linux has.
#[inline]
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC).expect("every Linux kernel has CLOCK_MONOTONIC")
}

/// Returns the time since boot, suspend included: the clock of threads' start times.
///
/// # Panics
/// If the kernel has no such clock; every Linux has.
pub fn since_boot_ns() -> u64 {
    read(ClockId::CLOCK_BOOTTIME).expect("every Linux kernel has CLOCK_BOOTTIME")
}

/// Returns the cost of reading the clock, in ns: the median of many readings in a row. A difference of two may be off by as much.
pub fn read_cost_ns() -> u64 {
    let mut costs: [u64; 101] = std::array::from_fn(|_| {
        let before = monotonic_ns();
        monotonic_ns() - before
    });
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Returns the CPU time of a thread of this process so far; `None` once it has ended.
pub fn thread_cpu_ns(thread: Pid) -> Option<u64> {
    read(cpu_clock(thread, CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD))
}

/// Returns the CPU time of all threads of a process so far; `None` once it is reaped.
pub fn process_cpu_ns(process: Pid) -> Option<u64> {
    read(cpu_clock(process, CPUCLOCK_SCHED))
}

/// Clock of the scheduler's CPU time, to the nanosecond.
const CPUCLOCK_SCHED: i32 = 2;
/// Flag for a thread's id; the kernel answers for threads of the caller's own process only.
const CPUCLOCK_PERTHREAD: i32 = 4;

/// Returns the kernel's clock id of a thread's or a process's CPU time: the inverted id above three bits for the kind.
///
/// # References
/// `include/linux/posix-timers_types.h` of the kernel, which glibc's `pthread_getcpuclockid` follows.
fn cpu_clock(id: Pid, which: i32) -> ClockId {
    ClockId::from_raw((!id.as_raw() << 3) | which)
}

fn read(clock: ClockId) -> Option<u64> {
    let time = clock_gettime(clock).ok()?;
    Some(u64::try_from(time.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::gettid;

    #[test]
    fn a_threads_cpu_clock_runs_while_it_works_and_stands_while_it_sleeps() {
        let before = thread_cpu_ns(gettid()).unwrap();
        let until = monotonic_ns() + 20_000_000;
        while monotonic_ns() < until {}
        let worked = thread_cpu_ns(gettid()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let slept = thread_cpu_ns(gettid()).unwrap();
        assert!(worked > before, "no CPU time passed while spinning");
        assert!(slept - worked < 40_000_000, "{} ns of CPU time passed in a sleep", slept - worked);
    }

    #[test]
    fn a_thread_that_has_ended_has_no_clock() {
        let thread = std::thread::spawn(gettid).join().unwrap();
        // The kernel may take a moment to release the id after join has returned.
        let gone = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            thread_cpu_ns(thread).is_none()
        });
        assert!(gone);
    }
}
