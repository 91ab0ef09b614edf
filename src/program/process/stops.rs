//! Signals that ask to stop: the first is passed on to the program, the second stops the watch.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// Time within which the same signal counts once: timeout(1) signals its child and then the group, the child again.
const SAME_WISH: Duration = Duration::from_millis(500);
/// Time that a program may take to end before it is reported as still running.
const PATIENCE: Duration = Duration::from_secs(1);

/// Signals that have asked to stop, each with the time of the first.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    heard: Vec<(Signal, Instant)>,
    reported: usize,
}

/// Meaning of a signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    First,
    /// The one before, sent twice.
    Same,
    Again,
}

impl Stops {
    pub(crate) fn heard(&mut self, signal: Signal) -> Wish {
        match self.heard.iter().find(|(other, _)| *other == signal) {
            None => {
                self.heard.push((signal, Instant::now()));
                Wish::First
            }
            Some((_, at)) if at.elapsed() < SAME_WISH => Wish::Same,
            Some(_) => Wish::Again,
        }
    }

    /// Returns each signal once, when the program has had it for long enough without ending.
    pub(crate) fn overdue(&mut self) -> Option<Signal> {
        let (signal, at) = *self.heard.get(self.reported)?;
        (at.elapsed() > PATIENCE).then(|| {
            self.reported += 1;
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
        let reported: Vec<Signal> = std::iter::from_fn(|| stops.overdue()).collect();
        assert_eq!(reported, [Signal::SIGINT, Signal::SIGTERM]);
    }
}
