//! Counts the switches that a piece of your own code makes.
//!
//! | | counts | source | costs |
//! |---|---|---|---|
//! | [`switches`] | kernel switches of a thread, this process or its children, by kind | kernel accounting, getrusage(2) | two system calls; nothing per switch |
//! | [`events`] | the calling thread's kernel switches, cycles, page faults, … | perf_event_open(2), where that is allowed | a switch takes some 15 to 25 % longer |
//! | [`polls`] | how often a task's future is polled | a counter around the future | an addition per poll |
//!
//! A kernel switch is one that the kernel makes from thread to thread. Tasks that take turns on one thread make none,
//! which is their purpose: for them, polls are counted.

use std::future::{Future, poll_fn};
use std::pin::pin;

use anyhow::Result;

use crate::perf::counting::AbsentCounter;
use crate::perf::fallback_chain;
use crate::perf::meter::{Edge, Meter, Reading, Ring};
#[doc(inline)]
pub use crate::sys::usage::SwitchCount;
use crate::sys::usage::{of_calling_thread, of_children, of_this_process};

/// Threads or processes whose switches are counted, and the exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The calling thread's, all of them (`RUSAGE_THREAD`). Threads that the work starts or wakes are not included.
    CallingThread,
    /// Those of all threads of this process, also unrelated ones (`RUSAGE_SELF`). A thread's last switch, at its end, is missing:
    /// its accounting closes before.
    Process,
    /// Those of child processes that are waited for meanwhile, and of all that they have waited for themselves
    /// (`RUSAGE_CHILDREN`). Such a child counts whole, whenever it was started, except for the last switch of each thread; one
    /// that still runs, or that nobody waits for, does not count at all.
    Children,
}

/// Does the work; returns its result and the number of kernel switches made meanwhile.
///
/// The kernel counts them anyway, so that this needs no privileges and slows no switch.
///
/// ```
/// use ctxprof::count::{self, Whose};
/// use std::{process::Command, thread, time::Duration};
///
/// let nap = || thread::sleep(Duration::from_millis(1));
///
/// // A sleeping thread gives up the CPU: a voluntary switch.
/// let ((), switches) = count::switches(Whose::CallingThread, nap)?;
/// assert!(switches.voluntary >= 1);
///
/// // Another thread's sleeps are the process's, not this thread's.
/// let (_, switches) = count::switches(Whose::Process, || {
///     thread::spawn(move || (0..10).for_each(|_| nap())).join()
/// })?;
/// assert!(switches.voluntary >= 10);
///
/// // A child counts once it has been waited for.
/// let (status, switches) = count::switches(Whose::Children, || Command::new("sleep").arg("0.01").status())?;
/// assert!(status?.success() && switches.total() >= 1);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// getrusage(2) fails, as it does only where a seccomp filter forbids it. What fails within the work is the work's own.
pub fn switches<T>(whose: Whose, work: impl FnOnce() -> T) -> Result<(T, SwitchCount)> {
    let accounted = match whose {
        Whose::CallingThread => of_calling_thread,
        Whose::Process => of_this_process,
        Whose::Children => of_children,
    };
    let before = accounted()?;
    let value = work();
    Ok((value, accounted()? - before))
}

/// Events counted by perf.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// One for every event that this system counts, `context-switches` first.
    pub counted: Vec<Event>,
    /// Events that it does not count, and why: a virtual machine often has no cycles.
    pub absent: Vec<AbsentCounter>,
    /// Caveats for the reader, such as that cycles are an emulated PMU's.
    pub remarks: Vec<String>,
}

/// One of perf's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// As perf prints it: `context-switches`, `cpu-migrations`, `page-faults`, `task-clock` (ns), `cycles`, `cycles:u`,
    /// `cycles:k`, `instructions`; `msr/tsc/` (ticks, not cycles) where there are no cycles on x86.
    pub name: String,
    /// The count, scaled by the ratio below as `perf stat` does.
    pub count: u64,
    /// The share of the time in which it counted: below 1 it shared its hardware counter with other events.
    pub running_ratio: f64,
}

impl Events {
    /// Returns the count of an event by perf's name; `None` if it is absent.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.counted.iter().find(|event| event.name == name).map(|event| event.count)
    }
}

/// Does the work; returns its result and perf's counts meanwhile, in user mode and in the kernel, of the calling thread and of
/// the threads and processes that the work starts.
///
/// For events that [`switches`] lacks, cycles above all. Every switch of a thread observed this way takes some 15 to 25 %
/// longer, and for about a second after the end: count with it, and time without it. The events are opened before the work
/// begins, which takes a few milliseconds.
///
/// ```
/// use ctxprof::count;
///
/// let nap = || std::thread::sleep(std::time::Duration::from_millis(1));
/// match count::events(nap) {
///     Ok(((), events)) => {
///         assert!(events.count("context-switches") >= Some(1));
///         println!("cycles: {:?}", events.count("cycles")); // None where the processor's counters are not available
///     }
///     Err(refused) => println!("{refused:#}"),
/// }
/// ```
///
/// # Errors
/// `perf_event_open` refuses to count switches: `kernel.perf_event_paranoid` is above 1 and this process has neither root's
/// rights nor `CAP_PERFMON`, or a container forbids it. Then the work is not done.
///
/// # References
/// perf_event_open(2).
pub fn events<T>(work: impl FnOnce() -> T) -> Result<(T, Events)> {
    let mut attached = fallback_chain::attach_to_calling_thread()?;
    let meter = attached.meter.as_mut();
    let nothing = vec![None; meter.counters().len()];
    let (mut before, mut after) = (nothing.clone(), nothing);
    read_at(meter, Edge::Begin, &mut before)?;
    let value = work();
    read_at(meter, Edge::End, &mut after)?;

    let counting = attached.counting;
    let mut events = Events { counted: Vec::new(), absent: counting.absent, remarks: counting.remarks };
    for ((info, before), after) in counting.counters.into_iter().zip(before).zip(after) {
        let scaled = before.zip(after).and_then(|(before, after)| scaled(before, after));
        match scaled {
            Some((count, running_ratio)) => events.counted.push(Event { name: info.name, count, running_ratio }),
            None => {
                let reason = "it never ran: other events held the hardware counters".to_string();
                events.absent.push(AbsentCounter { name: info.name, reason });
            }
        }
    }
    Ok((value, events))
}

/// Reads all counters, those of switches farthest from the work.
fn read_at(meter: &mut dyn Meter, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
    let rings = match edge {
        Edge::Begin => [Ring::Outer, Ring::Inner],
        Edge::End => [Ring::Inner, Ring::Outer],
    };
    rings.into_iter().try_for_each(|ring| meter.read(ring, edge, readings))
}

/// Returns a count scaled to the whole time, and the share of it in which the event ran; `None` if it never did.
fn scaled(before: Reading, after: Reading) -> Option<(u64, f64)> {
    let (enabled, running) = (after.enabled_ns - before.enabled_ns, after.running_ns - before.running_ns);
    let ratio = (running > 0).then(|| running as f64 / enabled.max(running) as f64)?;
    Some((((after.count - before.count) as f64 / ratio).round() as u64, ratio))
}

/// Awaits a future; returns its output and the number of its polls.
///
/// The first poll starts it; each further one returns to it after an `.await` that had to wait. If its thread ran another task
/// in between, that was two task switches, away and back. The runtime's own turns are not counted, nor are the parts of a
/// `join!` by themselves.
///
/// ```
/// use ctxprof::count::{self, Whose};
/// use tokio::task::yield_now;
///
/// let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let gives_way = || async { for _ in 0..1000 { yield_now().await } };
///
/// // Two tasks that take turns on this thread: 2000 yields, and the kernel sees one thread that runs on.
/// let (polled, switches) = count::switches(Whose::CallingThread, || {
///     runtime.block_on(async {
///         let other = tokio::spawn(count::polls(gives_way()));
///         let one = tokio::spawn(count::polls(gives_way()));
///         (one.await, other.await)
///     })
/// })?;
/// let (((), one), ((), other)) = (polled.0?, polled.1?);
/// assert_eq!((one, other), (1001, 1001));
/// assert!(switches.voluntary < 10, "{switches:?}"); // 0, unless another thread of this process interferes
/// # Ok::<(), anyhow::Error>(())
/// ```
pub async fn polls<F: Future>(task: F) -> (F::Output, u64) {
    let mut task = pin!(task);
    let mut polls = 0;
    let value = poll_fn(|context| {
        polls += 1;
        task.as_mut().poll(context)
    })
    .await;
    (value, polls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Ability, missing};
    use std::task::{Context, Poll, Waker};
    use std::thread;
    use std::time::Duration;

    fn nap() {
        thread::sleep(Duration::from_micros(200));
    }

    #[test]
    fn a_threads_switches_are_those_of_the_work_and_not_of_others() {
        let asleep = thread::spawn(|| thread::sleep(Duration::from_millis(20)));
        let (value, switches) = switches(Whose::CallingThread, || (0..10).map(|_| nap()).count()).unwrap();
        assert_eq!(value, 10);
        assert!((10..20).contains(&switches.voluntary), "{switches:?}");
        let before = of_calling_thread().unwrap();
        let ((), none) = super::switches(Whose::CallingThread, || ()).unwrap();
        let around = of_calling_thread().unwrap() - before;
        assert!(none.total() <= around.total() && none.voluntary == 0, "{none:?}");
        asleep.join().unwrap();
    }

    #[test]
    fn what_a_count_never_ran_for_is_absent_and_what_ran_in_part_is_scaled() {
        let reading = |count, enabled_ns, running_ns| Reading { count, enabled_ns, running_ns };
        assert_eq!(scaled(reading(5, 100, 100), reading(15, 200, 200)), Some((10, 1.0)));
        assert_eq!(scaled(reading(5, 100, 100), reading(15, 200, 150)), Some((20, 0.5)));
        assert_eq!(scaled(reading(0, 100, 0), reading(0, 200, 0)), None);
    }

    #[test]
    fn events_are_counted_between_the_ends_of_the_work_or_refused_with_a_reason() {
        match events(|| (0..10).for_each(|_| nap())) {
            Ok(((), events)) => {
                let counted = events.count("context-switches").unwrap();
                assert!((10..100).contains(&counted), "{events:?}");
                assert_eq!(events.counted[0].name, "context-switches");
                assert_eq!(events.count("no such event"), None);
            }
            Err(error) => {
                missing(Ability::Perf, &format!("{error:#}"));
                assert!(format!("{error:#}").contains("counting on this thread is refused"), "{error:#}");
            }
        }
    }

    #[test]
    fn every_poll_is_counted() {
        let mut left = 3;
        let pending_thrice = poll_fn(|_| {
            left -= 1;
            if left >= 0 { Poll::Pending } else { Poll::Ready("done") }
        });
        let mut counted = pin!(polls(pending_thrice));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(counted.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(counted.as_mut().poll(&mut context), Poll::Ready(("done", 4)));
    }
}
