//! `trace`: why a program's threads leave the CPU, and who wakes them.
//!
//! ```text
//! load ─ attach ─ fork ─ exec ─ the program runs ────────────── ends ─ detach ─ cost of tracing measured ─ document
//!                                 └ every 20 ms: rings emptied ┘
//! ```

mod calls;
pub(crate) mod collect;
pub mod cost;
pub mod document;
pub mod reason;
mod view;

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::tracer::{Programs, Tracer};
use crate::program::trace::collect::Collected;
use crate::program::watch::{self, Follower, Progress, WatchPlan};
use crate::program::watched::{ProgramEnd, Watched};

/// Everything seen of a program.
#[derive(Debug)]
pub struct Traced {
    pub watched: Watched,
    pub(crate) collected: Collected,
    pub records_lost: u64,
    /// Threads not followed for lack of room.
    pub unfollowed: u64,
}

impl Traced {
    pub fn switches(&self) -> u64 {
        self.collected.total.switches
    }
}

/// Makes the buffers of records so small that records are lost: for tests.
const SMALL_BUFFER: &str = "CTXPROF_TEST_RECORD_BUFFER";

/// Returns a tracer that is loaded and not yet attached.
///
/// # Errors
/// Those of [`Tracer::load`].
pub fn load(programs: Programs) -> Result<Tracer> {
    let record_bytes = env::var(SMALL_BUFFER).ok().and_then(|bytes| bytes.parse().ok());
    calls::with_numbers(|numbers| Tracer::load(programs, numbers, record_bytes))
}

/// Runs a program to its end and records every switch of its threads; with `each_thread`, each is reported by itself.
///
/// # Errors
/// Those of [`watch::run`]; the tracer cannot be attached.
pub fn run(
    tracer: &mut Tracer,
    plan: &WatchPlan<'_>,
    each_thread: bool,
    tell: &mut dyn FnMut(Progress),
) -> Result<Traced> {
    let mut following = Following { tracer, collected: Collected::new(each_thread) };
    let watched = watch::run_with(plan, Some(&mut following), tell);
    let all_has_ended = watched
        .as_ref()
        .is_ok_and(|watched| !matches!(watched.ended, ProgramEnd::GoesOn) && watched.caveats.left_running.is_empty());
    if all_has_ended {
        following.wait_for_the_last();
    }
    following.tracer.detach();
    let watched = watched?;
    following.empty(true);
    let Following { tracer, mut collected } = following;
    for thread in tracer.alive() {
        collected.thread(&thread);
    }
    Ok(Traced { watched, collected, records_lost: tracer.lost(), unfollowed: tracer.unfollowed() })
}

/// A tracer at work.
struct Following<'t> {
    tracer: &'t mut Tracer,
    collected: Collected,
}

/// Time that the kernel may take to free a task whose last switch was not seen.
const PATIENCE: Duration = Duration::from_millis(500);

impl Following<'_> {
    /// Waits for a while until every thread is known to have ended.
    fn wait_for_the_last(&mut self) {
        let begun = Instant::now();
        loop {
            self.empty(false);
            if self.tracer.alive().is_empty() || begun.elapsed() > PATIENCE {
                return;
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn empty(&mut self, all: bool) {
        let Following { tracer, collected } = self;
        tracer.drain(all, &mut |step| collected.step(step));
    }
}

impl Follower for Following<'_> {
    fn before_fork(&mut self) -> Result<()> {
        self.tracer.attach()?;
        self.tracer.expect_root();
        Ok(())
    }

    fn before_exec(&mut self) -> Result<()> {
        self.tracer.follow_root()
    }

    fn follow(&mut self) {
        self.empty(false);
    }
}
