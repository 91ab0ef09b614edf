//! Records of every switch, from perf's ring buffers: on CPUs, or on the participants' threads where only that is allowed.
//!
//! ```text
//! one event on each CPU    sched:sched_waking, sampled, with context_switch: wake-ups and switches in one buffer, in order
//! beside it                syscalls:sys_enter_sched_yield, to distinguish a yield from a preemption
//! without tracefs          a dummy event with context_switch: switches only
//! unprivileged             the same on each participant's thread, user mode only: other threads are not seen
//! ```

pub(crate) mod parse;

use serde::{Deserialize, Serialize};
use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use perf_event::events::{Event as PerfEvent, Software};
use perf_event::{Builder, Clock, ReadFormat, SampleFlag, Sampler};

use crate::perf::counting::{AbsentCounter, CountingMode, WAKE_UPS};
use crate::perf::records::parse::{Parsed, Samples, offset_of, parse};
use crate::perf::refusal::{self, Refused};
use crate::perf::tracefs::{event_file, tracepoint};
use crate::sched::timeline::RecordSource;

pub use parse::Record;

/// The kernel's name for records of switches.
pub const SWITCH_RECORDS: &str = "PERF_RECORD_SWITCH";

/// Calls of sched_yield(2), recorded to distinguish them from preemptions: the kernel reports both threads as runnable.
pub const YIELDS: &str = "syscalls:sys_enter_sched_yield";

/// Event of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Got the CPU.
    In,
    /// Left it to sleep.
    Out,
    /// Left it while runnable.
    OutRunnable,
    /// Began to be woken, on the waker's CPU.
    Waking,
    /// Called sched_yield(2).
    Yield,
}

/// Size of each buffer: 300 round trips of six switches. Two of them are within what every user may lock where there are two CPUs
/// (kernel.perf_event_mlock_kb is 516 for each by default; the rest counts against RLIMIT_MEMLOCK).
const BUFFER_BYTES: usize = 256 * 1024;

/// Ring buffers that fill while recording is on.
pub struct Recorder {
    source: RecordSource,
    buffer_bytes: usize,
    absent: Vec<AbsentCounter>,
    buffers: Vec<Buffer>,
}

/// Records since the last call, ordered by time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub records: Vec<Record>,
    /// Records that did not fit.
    pub lost: u64,
}

struct Buffer {
    sampler: Sampler,
    samples: Samples,
    /// The kernel's count at the last call.
    lost: u64,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Cpu(usize),
    Thread(Pid),
}

impl Recorder {
    /// Opens buffers for participants on these CPUs; recording is off.
    ///
    /// # Errors
    /// [`Refused::Absent`] with the system's answers, on CPUs and on threads.
    pub fn open(cpus: &[usize], participants: &[Pid]) -> Result<Recorder, Refused> {
        let buffer_bytes = buffer_bytes().map_err(|reason| Refused::absent(SWITCH_RECORDS, reason))?;
        let on_cpus = match Recorder::on_cpus(cpus, buffer_bytes) {
            Ok(recorder) => return Ok(recorder),
            Err(reason) => reason,
        };
        if cpus.len() > 1 {
            let reason = format!("{on_cpus}; the records of threads do not say what was idle, which two CPUs need");
            return Err(Refused::absent(SWITCH_RECORDS, reason));
        }
        Recorder::on_threads(participants, buffer_bytes, &on_cpus)
            .map_err(|on_threads| Refused::absent(SWITCH_RECORDS, format!("{on_cpus}; on threads: {on_threads}")))
    }

    pub fn source(&self) -> RecordSource {
        self.source
    }

    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes as u64
    }

    /// Returns the events that are not recorded, with the reason.
    pub fn absent(&self) -> &[AbsentCounter] {
        &self.absent
    }

    /// Turns recording on or off.
    ///
    /// # Errors
    /// The kernel refuses, for example because a participant has ended.
    pub fn record(&mut self, on: bool) -> Result<()> {
        for buffer in &mut self.buffers {
            let done = if on { buffer.sampler.enable() } else { buffer.sampler.disable() };
            done.with_context(|| format!("turning recording {}", if on { "on" } else { "off" }))?;
        }
        Ok(())
    }

    /// Drains the buffers.
    ///
    /// # Errors
    /// The kernel does not report the number of lost records.
    pub fn take(&mut self) -> Result<Recorded> {
        let mut recorded = Recorded::default();
        for buffer in &mut self.buffers {
            buffer.take(&mut recorded)?;
        }
        // Each buffer is in order, and the sort is stable.
        recorded.records.sort_by_key(|record| record.at_ns);
        Ok(recorded)
    }

    fn on_cpus(cpus: &[usize], buffer_bytes: usize) -> Result<Recorder, String> {
        let mut recorder =
            Recorder { source: RecordSource::Cpu, buffer_bytes, absent: Vec::new(), buffers: Vec::new() };
        let targets: Vec<Target> = cpus.iter().map(|&cpu| Target::Cpu(cpu)).collect();
        let on_each = |event: &dyn Fn(Target) -> Result<Buffer, String>| -> Result<Vec<Buffer>, String> {
            targets.iter().map(|&target| event(target)).collect()
        };
        let with_wake_ups = || {
            let id_at = woken_at()?;
            on_each(&|target| {
                let event = tracepoint("sched/sched_waking")?;
                Buffer::open(event, target, Samples::Waking { id_at }, true, buffer_bytes)
            })
        };
        match with_wake_ups() {
            Ok(buffers) => recorder.buffers = buffers,
            Err(reason) => {
                recorder.buffers =
                    on_each(&|target| Buffer::open(Software::DUMMY, target, Samples::None, true, buffer_bytes))?;
                recorder.lacks(WAKE_UPS, reason);
            }
        }
        let yields = on_each(&|target| {
            let event = tracepoint("syscalls/sys_enter_sched_yield")?;
            Buffer::open(event, target, Samples::Yield, false, buffer_bytes)
        });
        match yields {
            Ok(buffers) => recorder.buffers.extend(buffers),
            Err(reason) => recorder.lacks(YIELDS, reason),
        }
        Ok(recorder)
    }

    fn on_threads(participants: &[Pid], buffer_bytes: usize, on_cpus: &str) -> Result<Recorder, String> {
        let open = |&thread| Buffer::open(Software::DUMMY, Target::Thread(thread), Samples::None, true, buffer_bytes);
        let buffers = participants.iter().map(open).collect::<Result<_, _>>()?;
        let mut recorder = Recorder { source: RecordSource::Thread, buffer_bytes, absent: Vec::new(), buffers };
        for name in [WAKE_UPS, YIELDS] {
            recorder.lacks(name, format!("records on CPUs are refused: {on_cpus}"));
        }
        Ok(recorder)
    }

    fn lacks(&mut self, name: &str, reason: String) {
        self.absent.push(AbsentCounter { name: name.to_string(), reason });
    }
}

impl Buffer {
    /// # Errors
    /// A sentence for the user: the kernel's answer to the event, or to its buffer.
    fn open(
        event: impl PerfEvent,
        target: Target,
        samples: Samples,
        switches: bool,
        buffer_bytes: usize,
    ) -> Result<Buffer, String> {
        let mut builder = Builder::new(event);
        builder
            .sample(SampleFlag::TID | SampleFlag::TIME | SampleFlag::CPU)
            .sample_period(1)
            .sample_id_all(true)
            .clockid(Clock::MONOTONIC)
            .context_switch(switches)
            .read_format(ReadFormat::LOST);
        if matches!(samples, Samples::Waking { .. }) {
            builder.sample(SampleFlag::RAW);
        }
        let mode = match target {
            Target::Cpu(cpu) => {
                builder.include_kernel().any_pid().one_cpu(cpu);
                CountingMode::Cpu
            }
            Target::Thread(thread) => {
                builder.exclude_kernel(true).observe_pid(thread.as_raw()).any_cpu();
                CountingMode::Thread
            }
        };
        let built = builder.build().or_else(|error| match error.raw_os_error() {
            // Kernels before 6.0 do not report it; the buffer's own records of losses must do.
            Some(libc::EINVAL) => builder.read_format(ReadFormat::empty()).build(),
            _ => Err(error),
        });
        let counter = built.map_err(|error| refusal::explain(mode, &error))?;
        let sampler = counter.sampled(buffer_bytes).map_err(|error| refusal::explain_buffer(buffer_bytes, &error))?;
        Ok(Buffer { sampler, samples, lost: 0 })
    }

    fn take(&mut self, recorded: &mut Recorded) -> Result<()> {
        let mut reported = 0;
        while let Some(record) = self.sampler.next_record() {
            match parse(record.ty(), record.misc(), &record.to_contiguous(), self.samples) {
                Parsed::Record(record) => recorded.records.push(record),
                Parsed::Lost(lost) => reported += lost,
                Parsed::Nothing => {}
            }
        }
        let told = self.sampler.read_full().context("asking for lost records")?.lost();
        recorded.lost += told.map_or(reported, |told| told.saturating_sub(self.lost));
        self.lost = told.unwrap_or_default();
        Ok(())
    }
}

/// Returns the offset of the woken thread's id in a sample of a wake-up.
fn woken_at() -> Result<usize, String> {
    /// The inode of the machine's own PID namespace (`PROC_PID_INIT_INO` in the kernel's proc_ns.h).
    const OUTERMOST: &str = "pid:[4026531836]";
    let format = event_file("sched/sched_waking", "format")?;
    let id_at = offset_of(&format, "pid").ok_or("this kernel's sched_waking does not say who is woken")?;
    let namespace = fs::read_link("/proc/self/ns/pid").map_err(|error| format!("/proc/self/ns/pid: {error}"))?;
    if namespace.as_os_str() != OUTERMOST {
        return Err("tracepoints tell threads by the machine's ids, and this PID namespace has its own".to_string());
    }
    Ok(id_at)
}

/// Returns the size of a buffer; a test makes it smaller, so that records are lost.
fn buffer_bytes() -> Result<usize, String> {
    const HOOK: &str = "CTXPROF_TEST_RECORD_BUFFER";
    match std::env::var(HOOK) {
        Ok(text) => text.parse().map_err(|_| format!("{HOOK}: {text:?} is no number of bytes")),
        Err(_) => Ok(BUFFER_BYTES),
    }
}

/// Returns a thread's current name; `None` once it has ended.
pub fn name_of(thread: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{thread}/comm")).ok().map(|name| name.trim_end().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Ability, missing};
    use crate::perf::records::What;
    use crate::sys::affinity::{Pinned, allowed};
    use crate::sys::clock::monotonic_ns;
    use crate::test_lock;
    use nix::unistd::gettid;
    use std::time::Duration;

    /// Returns the records of ten sleeps, and the times of their start and end; `None` where records are not available.
    fn ten_sleeps(open: impl FnOnce(usize) -> Result<Recorder, String>) -> Option<(Recorded, u64, u64)> {
        let _alone = test_lock();
        let cpu = allowed().unwrap().cpus()[0];
        let _pinned = Pinned::to(cpu).unwrap();
        let mut recorder = match open(cpu) {
            Ok(recorder) => recorder,
            Err(reason) => {
                missing(Ability::Perf, &reason);
                return None;
            }
        };
        std::thread::sleep(Duration::from_micros(100));
        let began = monotonic_ns();
        recorder.record(true).unwrap();
        (0..10).for_each(|_| std::thread::sleep(Duration::from_micros(100)));
        recorder.record(false).unwrap();
        let ended = monotonic_ns();
        std::thread::sleep(Duration::from_micros(100));
        let recorded = recorder.take().unwrap();
        assert_eq!(recorder.take().unwrap(), Recorded::default(), "taken once, it is gone");
        Some((recorded, began, ended))
    }

    fn check_sleeps(recorded: &Recorded, began: u64, ended: u64) {
        let own = gettid().as_raw() as u32;
        let of =
            |what: What| recorded.records.iter().filter(|record| record.thread == own && record.what == what).count();
        assert_eq!((of(What::Out), recorded.lost), (10, 0), "{recorded:?}");
        assert_eq!(of(What::In), of(What::Out) + of(What::OutRunnable));
        let times: Vec<u64> = recorded.records.iter().map(|record| record.at_ns).collect();
        assert!(
            times.is_sorted() && times.iter().all(|at| (began..=ended).contains(at)),
            "{began}, {ended}: {times:?}"
        );
    }

    #[test]
    fn every_sleep_is_recorded_by_our_clock_while_recording_is_on() {
        let buffer = BUFFER_BYTES;
        let on_cpu = ten_sleeps(|cpu| Recorder::on_cpus(&[cpu], buffer));
        on_cpu.iter().for_each(|(recorded, began, ended)| check_sleeps(recorded, *began, *ended));
        let on_thread = ten_sleeps(|_| Recorder::on_threads(&[gettid()], buffer, ""));
        on_thread.iter().for_each(|(recorded, began, ended)| check_sleeps(recorded, *began, *ended));
    }

    #[test]
    fn two_cpus_are_not_recorded_on_threads() {
        // No system has so many CPUs.
        let refused = Recorder::open(&[0, usize::from(u16::MAX)], &[gettid()]).err();
        let Some(Refused::Absent(absent)) = refused else { panic!("{refused:?}") };
        assert!(absent.name == SWITCH_RECORDS && absent.reason.contains("two CPUs"), "{absent:?}");
    }
}
