//! What asks a program to stop: once is the program's to follow, twice is ours.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// A signal that follows so soon is the same wish: timeout(1) signals its child and then the group, the child again.
const SAME_WISH: Duration = Duration::from_millis(500);
/// How long a program may take to end before somebody is told that it goes on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The signals that have asked for an end, each with when it did first.
#[derive(Debug, Default)]
pub(super) struct Stops {
    heard: Vec<(Signal, Instant)>,
    told: usize,
}

/// What a signal stands for that asks for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    First,
    /// The one before, sent twice.
    Same,
    Again,
}

impl Stops {
    pub(super) fn heard(&mut self, signal: Signal) -> Wish {
        match self.heard.iter().find(|(other, _)| *other == signal) {
            None => {
                self.heard.push((signal, Instant::now()));
                Wish::First
            }
            Some((_, at)) if at.elapsed() < SAME_WISH => Wish::Same,
            Some(_) => Wish::Again,
        }
    }

    /// Once for each, when the program has been told long enough ago to be wondered at.
    pub(super) fn overdue(&mut self) -> Option<Signal> {
        let (signal, at) = *self.heard.get(self.told)?;
        (at.elapsed() > PATIENCE).then(|| {
            self.told += 1;
            signal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_wish_once_and_another_signal_is_another_wish() {
        let mut stops = Stops::default();
        assert_eq!([Signal::SIGINT, Signal::SIGINT].map(|signal| stops.heard(signal)), [Wish::First, Wish::Same]);
        assert_eq!((stops.heard(Signal::SIGTERM), stops.overdue()), (Wish::First, None));
        let earlier = Instant::now().checked_sub(2 * PATIENCE).unwrap();
        stops.heard.iter_mut().for_each(|(_, at)| *at = earlier);
        assert_eq!([Signal::SIGINT, Signal::SIGTERM].map(|signal| stops.heard(signal)), [Wish::Again; 2]);
        let told: Vec<Signal> = std::iter::from_fn(|| stops.overdue()).collect();
        assert_eq!(told, [Signal::SIGINT, Signal::SIGTERM]);
    }
}
