//! Cost of tracing per switch, measured on this host: two processes pass a byte to and fro on one CPU while the tracer is
//! attached and detached in turn.
//!
//! ```text
//! ping-pong  ██████ off ██████ attach ██████ on ██████ detach ██████ off ██████ …
//! ```
//!
//! A window is compared with its two neighbours, so that other load affects both.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::{pipe, read, write};

use crate::bpf::tracer::Tracer;
use crate::estimate::Estimate;
use crate::sys::affinity::{self, Pinned};
use crate::sys::clock::monotonic_ns;
use crate::sys::fork::Partner;
use crate::sys::policy::{Applied, Policy};
use crate::sys::shared::Shared;
use crate::sys::usage::ThreadStatus;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub ns_per_switch: Estimate,
    /// Round-trip time, traced ÷ untraced.
    pub ratio: Estimate,
    /// Of the ping-pong, whose cost per switch includes them.
    pub wakings_per_switch: f64,
    pub ns_per_switch_untraced: f64,
}

/// Measurement windows with and without the tracer.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub rounds: usize,
    /// Limit of rounds; beyond `rounds`, they go on only while the cost is known to no better than half of it.
    pub most_rounds: usize,
    pub window: Duration,
    /// True if the tracer follows the two processes; false measures its cost to processes that it does not follow.
    pub followed: bool,
    /// Uses SCHED_BATCH, under which a woken thread does not preempt its waker: each switch has its wake-up.
    pub batch: bool,
}

/// Windows measured after a program has ended.
pub const AFTERWARDS: Windows =
    Windows { rounds: 9, most_rounds: 45, window: Duration::from_millis(20), followed: true, batch: false };

/// Pause after attaching and detaching, which disturb the ping-pong.
const SETTLING: Duration = Duration::from_millis(3);

/// Measures the cost of a tracer that is loaded and not attached.
///
/// # Errors
/// No process or pipe can be made, or the tracer cannot be attached.
pub fn measure(tracer: &mut Tracer, windows: Windows) -> Result<Cost> {
    let pair = Pair::start(tracer, windows)?;
    let mut seen = vec![pair.window(windows.window)?];
    for round in 1..=windows.most_rounds {
        tracer.attach()?;
        seen.push(pair.settled_window(tracer, windows.window)?);
        tracer.detach();
        seen.push(pair.settled_window(tracer, windows.window)?);
        if round >= windows.rounds && costs(&seen).is_some_and(|cost| is_known(&cost)) {
            break;
        }
    }
    let on = || seen.iter().skip(1).step_by(2);
    let off = || seen.iter().step_by(2);
    let switches =
        |windows: &mut dyn Iterator<Item = &Window>| windows.map(Window::switches).sum::<u64>().max(1) as f64;
    Ok(Cost {
        ns_per_switch: costs(&seen).context("no window")?,
        ratio: Estimate::over(triples(&seen).map(|(off_ns, on)| on.ns_per_trip() / off_ns)).context("no window")?,
        wakings_per_switch: on().map(|window| window.voluntary).sum::<u64>() as f64 / switches(&mut on()),
        ns_per_switch_untraced: off().map(|window| window.ns).sum::<u64>() as f64 / switches(&mut off()),
    })
}

/// Returns true if an estimate shows more than that the machine is busy.
pub fn is_known(cost: &Estimate) -> bool {
    cost.low.is_some_and(|low| low > 0.0) && cost.relative_half_width().is_some_and(|width| width < 0.5)
}

/// Returns the extra cost per switch in the windows with the tracer attached.
fn costs(seen: &[Window]) -> Option<Estimate> {
    Estimate::over(triples(seen).map(|(off_ns, on)| (on.ns_per_trip() - off_ns) / on.switches_per_trip()))
}

/// Returns each window with the tracer attached, and the round-trip time of its two neighbours.
fn triples(seen: &[Window]) -> impl Iterator<Item = (f64, &Window)> {
    seen.windows(3).step_by(2).filter_map(|three| {
        let [before, on, after] = three else { return None };
        Some(((before.ns_per_trip() + after.ns_per_trip()) / 2.0, on))
    })
}

/// Activity of the pair in a window of time.
#[derive(Debug, Clone, Copy)]
struct Window {
    ns: u64,
    trips: u64,
    voluntary: u64,
    involuntary: u64,
}

impl Window {
    fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }

    fn ns_per_trip(&self) -> f64 {
        self.ns as f64 / self.trips as f64
    }

    fn switches_per_trip(&self) -> f64 {
        self.switches() as f64 / self.trips as f64
    }
}

/// Two processes that pass a byte to and fro until dropped.
struct Pair {
    trips: Shared<AtomicU64>,
    statuses: [ThreadStatus; 2],
    _partners: [Partner; 2],
}

impl Pair {
    fn start(tracer: &mut Tracer, windows: Windows) -> Result<Pair> {
        let cpus = affinity::allowed()?;
        let cpu = *cpus.cpus().last().context("no CPU is allowed")?;
        let ((from_first, to_second), (from_second, to_first)) = (pipe().context("pipe")?, pipe().context("pipe")?);
        let trips = Shared::new(AtomicU64::new(0)).context("shared memory")?;
        let trip = |reader: &OwnedFd, writer: &OwnedFd, counts: bool| {
            let mut byte = [0];
            while read(reader, &mut byte) == Ok(1) && write(writer, &byte) == Ok(1) {
                if counts {
                    trips.fetch_add(1, Ordering::Relaxed);
                }
            }
            0
        };
        if windows.followed {
            tracer.attach()?;
        }
        // They are forked with their CPU and policy, and this process then goes back.
        let pinned = Pinned::to(cpu)?;
        let policy = Applied::to(windows.batch.then_some(Policy::Batch), None).context("sched_setscheduler")?;
        let fork = |body: &mut dyn FnMut() -> i32| -> Result<Partner> {
            if windows.followed {
                tracer.expect_root();
            }
            let partner = Partner::fork(body)?;
            if windows.followed {
                tracer.follow_root()?;
            }
            Ok(partner)
        };
        let first = fork(&mut || {
            // The byte.
            let _ = write(&to_second, &[0]);
            trip(&from_second, &to_second, true)
        })?;
        let second = fork(&mut || trip(&from_first, &to_first, false))?;
        drop((policy, pinned));
        tracer.detach();
        let statuses = [ThreadStatus::open(first.pid(), first.pid())?, ThreadStatus::open(second.pid(), second.pid())?];
        Ok(Pair { trips, statuses, _partners: [first, second] })
    }

    /// Returns [`Pair::window`] after the tracer has been attached or detached, and discards its records.
    fn settled_window(&self, tracer: &mut Tracer, length: Duration) -> Result<Window> {
        sleep(SETTLING);
        let window = self.window(length);
        tracer.drain(true, &mut |_| {});
        window
    }

    /// Returns the pair's activity over this time.
    fn window(&self, length: Duration) -> Result<Window> {
        let before = self.look()?;
        sleep(length);
        let after = self.look()?;
        let window = Window {
            ns: after.ns - before.ns,
            trips: after.trips - before.trips,
            voluntary: after.voluntary - before.voluntary,
            involuntary: after.involuntary - before.involuntary,
        };
        ensure!(window.trips > 0 && window.switches() > 0, "two processes that hand a byte to and fro made no switch");
        Ok(window)
    }

    fn look(&self) -> Result<Window> {
        let (ns, trips) = (monotonic_ns(), self.trips.load(Ordering::Relaxed));
        let [first, second] = [self.statuses[0].read()?, self.statuses[1].read()?];
        let (voluntary, involuntary) = (first.voluntary + second.voluntary, first.involuntary + second.involuntary);
        Ok(Window { ns, trips, voluntary, involuntary })
    }
}
