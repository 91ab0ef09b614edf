//! The state of each thread, and each run slice and absence when it is over.

use std::collections::HashMap;

/// A thread, by its source's number: unique until [`What::Ended`].
pub type ThreadNumber = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<L, W> {
    pub at_ns: u64,
    pub thread: ThreadNumber,
    pub what: What<L, W>,
}

/// Kind of event. `L` is the reason why a thread left the CPU, `W` its waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<L, W> {
    /// It is switched in. It was runnable for so long, if the source knows.
    Entered {
        cpu: u32,
        queue_ns: Option<u64>,
    },
    /// It is switched out.
    Left(L),
    /// It has been woken, perhaps before it has left.
    Woken(W),
    Ended,
}

/// A run slice or an absence that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over<L, W> {
    Slice(Slice),
    Absence(Absence<L, W>),
}

/// Time on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub thread: ThreadNumber,
    pub cpu: u32,
    pub from_ns: u64,
    pub to_ns: u64,
}

/// Time off the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence<L, W> {
    pub thread: ThreadNumber,
    pub from_ns: u64,
    pub to_ns: u64,
    pub queue_ns: Option<u64>,
    pub left: L,
    pub woken: Option<Woken<W>>,
}

/// The last wake-up of an absence, or the one just before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Woken<W> {
    pub at_ns: u64,
    pub by: W,
}

#[derive(Debug, Clone, Copy)]
enum Track<L, W> {
    Running { since_ns: u64, cpu: u32, woken: Option<Woken<W>> },
    Suspended { since_ns: u64, left: L, woken: Option<Woken<W>> },
}

/// All living threads.
#[derive(Debug)]
pub struct Tracks<L, W> {
    threads: HashMap<ThreadNumber, Track<L, W>>,
    gaps: u64,
}

impl<L, W> Default for Tracks<L, W> {
    fn default() -> Self {
        Tracks { threads: HashMap::new(), gaps: 0 }
    }
}

impl<L, W> Tracks<L, W> {
    /// Processes the next event, and returns the run slice or absence that it ends. Unknown are a thread's states before its first event
    /// and between two events that do not match ([`Tracks::gaps`]).
    pub fn take(&mut self, event: Event<L, W>) -> Option<Over<L, W>> {
        let Event { at_ns, thread, what } = event;
        match what {
            What::Entered { cpu, queue_ns } => {
                let running = Track::Running { since_ns: at_ns, cpu, woken: None };
                match self.threads.insert(thread, running)? {
                    Track::Suspended { since_ns, left, woken } => {
                        let absence = Absence { thread, from_ns: since_ns, to_ns: at_ns, queue_ns, left, woken };
                        Some(Over::Absence(absence))
                    }
                    Track::Running { .. } => self.gap(),
                }
            }
            What::Left(left) => {
                let suspended = |woken| Track::Suspended { since_ns: at_ns, left, woken };
                match self.threads.remove(&thread) {
                    Some(Track::Running { since_ns, cpu, woken }) => {
                        self.threads.insert(thread, suspended(woken));
                        Some(Over::Slice(Slice { thread, cpu, from_ns: since_ns, to_ns: at_ns }))
                    }
                    Some(Track::Suspended { .. }) => {
                        self.threads.insert(thread, suspended(None));
                        self.gap()
                    }
                    None => {
                        self.threads.insert(thread, suspended(None));
                        None
                    }
                }
            }
            What::Woken(by) => {
                if let Some(Track::Running { woken, .. } | Track::Suspended { woken, .. }) =
                    self.threads.get_mut(&thread)
                {
                    *woken = Some(Woken { at_ns, by });
                }
                None
            }
            What::Ended => match self.threads.remove(&thread)? {
                Track::Running { since_ns, cpu, .. } => {
                    Some(Over::Slice(Slice { thread, cpu, from_ns: since_ns, to_ns: at_ns }))
                }
                Track::Suspended { .. } => None,
            },
        }
    }

    /// Returns the number of living threads that have had an event.
    pub fn alive(&self) -> usize {
        self.threads.len()
    }

    /// Returns the number of events that did not match the one before, as where records were lost.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    fn gap(&mut self) -> Option<Over<L, W>> {
        self.gaps += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON_CPU_0: What<char, char> = What::Entered { cpu: 0, queue_ns: Some(2) };

    fn played(events: &[(u64, ThreadNumber, What<char, char>)]) -> (Vec<Over<char, char>>, Tracks<char, char>) {
        let mut tracks = Tracks::default();
        let over = events.iter().filter_map(|&(at_ns, thread, what)| tracks.take(Event { at_ns, thread, what }));
        let over = over.collect();
        (over, tracks)
    }

    #[test]
    fn slices_and_absences_follow_one_another() {
        let (over, tracks) = played(&[
            (10, 1, ON_CPU_0),
            (15, 1, What::Left('f')),
            (16, 2, ON_CPU_0),
            (18, 1, What::Woken('w')),
            (20, 2, What::Left('p')),
            (20, 1, ON_CPU_0),
            (25, 1, What::Ended),
        ]);
        let slice = |thread, from_ns, to_ns| Over::Slice(Slice { thread, cpu: 0, from_ns, to_ns });
        let woken = Some(Woken { at_ns: 18, by: 'w' });
        let absence = Absence { thread: 1, from_ns: 15, to_ns: 20, queue_ns: Some(2), left: 'f', woken };
        assert_eq!(over, [slice(1, 10, 15), slice(2, 16, 20), Over::Absence(absence), slice(1, 20, 25)]);
        assert_eq!((tracks.alive(), tracks.gaps()), (1, 0));
    }

    #[test]
    fn a_waking_that_comes_before_the_switch_is_of_the_absence_that_follows() {
        let (over, _) = played(&[
            (1, 1, ON_CPU_0),
            (2, 1, What::Woken('w')),
            (3, 1, What::Left('f')),
            (4, 1, ON_CPU_0),
            (5, 1, What::Left('g')),
            (6, 1, ON_CPU_0),
        ]);
        let wakers: Vec<Option<char>> = over
            .iter()
            .filter_map(|over| match over {
                Over::Absence(absence) => Some(absence.woken.map(|woken| woken.by)),
                Over::Slice(_) => None,
            })
            .collect();
        assert_eq!(wakers, [Some('w'), None]);
    }

    #[test]
    fn what_was_not_seen_is_no_absence_and_no_slice() {
        let (over, tracks) = played(&[
            (1, 1, What::Left('f')),
            (2, 1, What::Left('f')),
            (3, 2, ON_CPU_0),
            (4, 2, ON_CPU_0),
            (5, 3, What::Ended),
            (6, 4, What::Woken('w')),
        ]);
        assert_eq!((over.as_slice(), tracks.gaps(), tracks.alive()), ([].as_slice(), 2, 2));
    }
}
