//! Counters opened with `perf_event_open`.

use std::ffi::CStr;
use std::io;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use perf_event::events::Event;
use perf_event::events::x86::{Msr, MsrId};
use perf_event::{Builder, Counter as PerfCounter};

use crate::perf::counting::{CounterInfo, CountingMode};
use crate::perf::meter::{Reading, Ring};
use crate::perf::{Counter, EventKind, Side};
use crate::sys::perf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Everything that runs on this CPU.
    Cpu(usize),
    /// The calling thread, and the threads and processes that it creates from now on.
    CallingThread,
    /// The same of another thread.
    Thread(Pid),
    /// The same of a child, once it has called exec.
    AfterExec(Pid),
}

impl Target {
    fn mode(self) -> CountingMode {
        match self {
            Target::Cpu(_) => CountingMode::Cpu,
            Target::CallingThread | Target::Thread(_) | Target::AfterExec(_) => CountingMode::Thread,
        }
    }
}

/// One event, open and counting.
pub(super) struct OpenCounter {
    pub(super) info: CounterInfo,
    pub(super) ring: Ring,
    side: Side,
    event: PerfCounter,
}

/// Returns a builder of a counter, without a target.
pub(super) fn builder_of(counter: &Counter) -> io::Result<Builder<'static>> {
    let mut builder = match counter.event {
        EventKind::Software(event) => Builder::new(event),
        EventKind::Hardware(event) => Builder::new(event),
        EventKind::TimeStampCounter => Builder::new(Msr::new(MsrId::TSC)?),
    };
    // The builder excludes the kernel by default; the msr PMU refuses every exclusion (EINVAL).
    builder
        .exclude_kernel(counter.side == Side::User)
        .exclude_user(counter.side == Side::Kernel)
        .exclude_hv(counter.side != Side::Both);
    Ok(builder)
}

impl OpenCounter {
    /// # Errors
    /// The errno of `perf_event_open`; `NotFound` where the event's PMU is not in /sys.
    pub(super) fn open(counter: &Counter, target: Target) -> io::Result<OpenCounter> {
        let mut builder = builder_of(counter)?;
        match target {
            Target::Cpu(cpu) => builder.any_pid().one_cpu(cpu),
            Target::CallingThread => builder.observe_self().any_cpu().inherit(true),
            Target::Thread(thread) => builder.observe_pid(thread.as_raw()).any_cpu().inherit(true),
            Target::AfterExec(child) => {
                builder.observe_pid(child.as_raw()).any_cpu().inherit(true).enable_on_exec(true)
            }
        };
        let mut event = builder.build()?;
        if !matches!(target, Target::AfterExec(_)) {
            event.enable()?;
        }
        let info = CounterInfo { name: counter.name.to_string(), scope: target.mode() };
        Ok(OpenCounter { info, ring: counter.ring, side: counter.side, event })
    }

    /// Opens an event outside the registry on a CPU; counts only what passes the filter.
    ///
    /// # Errors
    /// The errno of `perf_event_open` or of the filter's ioctl.
    pub(super) fn open_event(
        name: &str,
        event: impl Event,
        filter: Option<&CStr>,
        cpu: usize,
    ) -> io::Result<OpenCounter> {
        let mut event = Builder::new(event).include_kernel().any_pid().one_cpu(cpu).build()?;
        if let Some(filter) = filter {
            perf::set_filter(&event, filter)?;
        }
        event.enable()?;
        let info = CounterInfo { name: name.to_string(), scope: CountingMode::Cpu };
        Ok(OpenCounter { info, ring: Ring::Outer, side: Side::Both, event })
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn read(&mut self) -> Result<Reading> {
        let value = self.event.read_count_and_time().with_context(|| format!("reading `{}`", self.info.name))?;
        Ok(Reading { count: value.count, enabled_ns: value.time_enabled, running_ns: value.time_running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Ability, missing};
    use crate::perf::{CONTEXT_SWITCHES, SOFTWARE};

    /// Returns a counter of the calling thread after ten sleeps; `None` where perf is not available.
    fn after_ten_sleeps(counter: &Counter) -> Option<u64> {
        let mut open = match OpenCounter::open(counter, Target::CallingThread) {
            Ok(open) => open,
            Err(error) => {
                missing(Ability::Perf, &format!("{}: {error}", counter.name));
                return None;
            }
        };
        (0..10).for_each(|_| std::thread::sleep(std::time::Duration::from_micros(100)));
        touch_pages(16);
        Some(open.read().unwrap().count)
    }

    /// Writes to this many pages for the first time: of more memory than an allocator caches, each in a huge page of its own.
    fn touch_pages(count: usize) {
        const APART: usize = 4 << 20;
        let mut pages = vec![0_u8; count * APART];
        pages.iter_mut().step_by(APART).for_each(|byte| *std::hint::black_box(byte) = 1);
    }

    #[test]
    fn switches_are_counted_on_their_own_side_only() {
        if let Some(count) = after_ten_sleeps(&CONTEXT_SWITCHES) {
            assert!(count >= 10, "{count}");
        }
        if let Some(count) = after_ten_sleeps(&Counter { side: Side::User, ..CONTEXT_SWITCHES }) {
            assert_eq!(count, 0, "without the kernel there is nothing to see, and no error that says so");
        }
    }

    #[test]
    fn every_software_counter_opens_and_is_read() {
        for counter in SOFTWARE.iter().filter(|counter| counter.scope.includes(CountingMode::Thread)) {
            let Some(read) = after_ten_sleeps(counter) else { continue };
            // Range that ten sleeps of this thread can cause.
            let possible = match counter.name {
                "cpu-migrations" => 0..=10_000,
                "page-faults" => 16..=10_000,
                "task-clock" => 1..=60_000_000_000,
                name => panic!("nobody knows what {name} may read"),
            };
            assert!(possible.contains(&read), "{}: {read}", counter.name);
        }
    }
}
