//! A test hook that slows one workload by a known share, so that what should find a regression can be tested.

use std::str::FromStr;

use anyhow::Result;

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, Participant, Played, Session};

/// Workload that is slowed, and the share of its time by which it is.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedSlowdown {
    pub workload: String,
    pub share: f64,
}

impl FromStr for InjectedSlowdown {
    type Err = String;

    /// Reads `thread-pipe:0.06`.
    fn from_str(text: &str) -> Result<InjectedSlowdown, String> {
        let parts = text.split_once(':').and_then(|(workload, share)| Some((workload, share.parse().ok()?)));
        match parts {
            Some((workload, share)) if (0.0..=10.0).contains(&share) => {
                Ok(InjectedSlowdown { workload: workload.to_string(), share })
            }
            _ => Err(format!("{text:?} is not WORKLOAD:SHARE, as in thread-pipe:0.06")),
        }
    }
}

/// A session that spins for a share of its time after each play.
pub(super) struct Slowed {
    pub(super) session: Box<dyn Session>,
    pub(super) share: f64,
}

impl Slowed {
    fn hold_back(&self, played: Played) -> Played {
        let extra_ns = (played.elapsed_ns as f64 * self.share) as u64;
        let until = monotonic_ns() + extra_ns;
        while monotonic_ns() < until {}
        Played { elapsed_ns: played.elapsed_ns + extra_ns, ..played }
    }
}

impl Session for Slowed {
    fn participants(&self) -> Vec<Participant> {
        self.session.participants()
    }

    fn fitting(&self, ops: u64) -> u64 {
        self.session.fitting(ops)
    }

    fn visited(&self) -> Option<Vec<usize>> {
        self.session.visited()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        let played = self.session.play(ops)?;
        Ok(self.hold_back(played))
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        let played = self.session.play_each(ops, laps)?;
        laps.lengthen(self.share);
        Ok(self.hold_back(played))
    }

    fn lap_cost_ns(&mut self) -> Result<f64> {
        self.session.lap_cost_ns()
    }

    fn end(self: Box<Self>) -> Result<()> {
        self.session.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_injected_slowdown_is_a_workload_and_a_share() {
        assert_eq!("a-b:0.5".parse(), Ok(InjectedSlowdown { workload: "a-b".to_string(), share: 0.5 }));
        for nonsense in ["", "a", "a:", "a:x", "a:-1", "a:nan", "a:11"] {
            assert!(nonsense.parse::<InjectedSlowdown>().is_err(), "{nonsense:?}");
        }
    }
}
