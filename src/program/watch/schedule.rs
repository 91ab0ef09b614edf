//! Schedule of a watch.

use std::time::{Duration, Instant};

use crate::program::watch::plan::WatchPlan;

/// Interval of polls: short at first, as the program may be, then longer and longer.
const SHORTEST_STEP: Duration = Duration::from_millis(50);
const LONGEST_STEP: Duration = Duration::from_millis(500);
const STEP_OF_ELAPSED: u32 = 4;
/// With exit records, all threads are polled only for what the records lack: in longer programs, and less and less often.
const FIRST_CLOSE_POLL: Duration = Duration::from_secs(1);
const LONGEST_BETWEEN_CLOSE_POLLS: Duration = Duration::from_secs(10);
/// Polls take at most a hundredth of the time, however many threads there are.
const STEPS_PER_POLL: u32 = 100;
/// Interval of calls to a follower.
const FOLLOWING_STEP: Duration = Duration::from_millis(20);
/// Time that a program's orphans may outlive it before the user learns what is being waited for.
const PATIENCE_WITH_ORPHANS: Duration = Duration::from_secs(1);

/// Times at which things are due.
pub(super) struct Due {
    pub(super) poll: Instant,
    /// Next poll of every thread.
    close_poll: Instant,
    /// End of the current interval, and its length.
    interval: Option<(Instant, Duration)>,
    pub(super) limit: Option<Instant>,
    /// Next call to the follower.
    following: Option<Instant>,
}

impl Due {
    pub(super) fn of(plan: &WatchPlan<'_>, began: Instant, is_followed: bool) -> Due {
        Due {
            poll: began + SHORTEST_STEP,
            close_poll: began + FIRST_CLOSE_POLL,
            interval: plan.interval.map(|interval| (began + interval, interval)),
            limit: plan.limit.map(|limit| began + limit),
            following: is_followed.then_some(began + FOLLOWING_STEP),
        }
    }

    pub(super) fn next(&self) -> Instant {
        let others = self.interval.map(|(at, _)| at).into_iter().chain(self.limit).chain(self.following);
        others.fold(self.poll, Instant::min)
    }

    /// Returns true if an interval is over; the next one then begins.
    pub(super) fn interval_is_over(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.interval {
            Some((at, interval)) if now >= *at => {
                *at = (*at + *interval).max(now);
                true
            }
            _ => false,
        }
    }

    /// Returns true if the follower is due; its next call comes a step later.
    pub(super) fn following_is_due(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.following {
            Some(at) if now >= *at => {
                *at = now + FOLLOWING_STEP;
                true
            }
            _ => false,
        }
    }

    /// Returns true if every thread is due for a poll, which is rare.
    pub(super) fn close_poll_is_due(&mut self, began: Instant) -> bool {
        let now = Instant::now();
        let due = now >= self.close_poll;
        if due {
            self.close_poll = now + (now - began).min(LONGEST_BETWEEN_CLOSE_POLLS);
        }
        due
    }

    /// Schedules the next poll: later the longer the program has run and the more CPU time the last one took (`polling`).
    pub(super) fn polled(&mut self, polling: Duration, began: Instant) {
        self.poll = Instant::now() + step(polling, began.elapsed());
    }
}

/// Returns the time from a poll to the next.
fn step(polling: Duration, elapsed: Duration) -> Duration {
    let step = (elapsed / STEP_OF_ELAPSED).clamp(SHORTEST_STEP, LONGEST_STEP);
    step.max(polling * STEPS_PER_POLL)
}

/// Orphans of the program, and whether they were reported.
#[derive(Default)]
pub(super) struct Orphans {
    since: Option<Instant>,
    reported: bool,
}

impl Orphans {
    /// Returns true once, when they have been waited for long enough to be reported.
    pub(super) fn are_due_for_report(&mut self) -> bool {
        let since = self.since.get_or_insert_with(Instant::now);
        let now = !self.reported && since.elapsed() > PATIENCE_WITH_ORPHANS;
        self.reported |= now;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_come_soon_then_less_often_and_take_a_hundredth_of_the_time() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(20));
        for (polling, elapsed_s, step_ms) in [
            (short, 0.01, 100),
            (Duration::ZERO, 0.01, 50),
            (short, 1.0, 250),
            (short, 3600.0, 500),
            (long, 3600.0, 2000),
        ] {
            let step = step(polling, Duration::from_secs_f64(elapsed_s));
            assert_eq!(step, Duration::from_millis(step_ms), "{polling:?} after {elapsed_s} s");
        }
    }
}
