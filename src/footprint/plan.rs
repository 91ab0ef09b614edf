//! Which counts are measured, and how many parties there may be at most.

use std::path::Path;

use crate::footprint::kind::PartyKind;
use crate::footprint::party::Shape;
use crate::host::ceilings::{self, Ceiling};
use crate::sample::footprint::Stopped;

/// What is to be measured.
#[derive(Debug)]
pub struct FootprintPlan<'a> {
    pub kinds: Vec<&'static PartyKind>,
    /// The highest count, where it is not each kind's own.
    pub max: Option<u64>,
    pub incarnations: u32,
    pub shape: Shape,
    /// This program, which is run again to hold parties.
    pub program: &'a Path,
}

/// From a count to the next, and how many of them there are.
const RATIO: u64 = 2;
const COUNTS: usize = 4;

/// Geometric counts up to `max`, rising; fewer where `max` is small.
pub fn counts(max: u64) -> Vec<u64> {
    let mut counts: Vec<u64> =
        (0..COUNTS as u32).map(|power| max / RATIO.pow(power)).filter(|&count| count > 0).collect();
    counts.dedup();
    counts.reverse();
    counts
}

/// What a party uses up of what is limited, by a first look at a few.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Appetite {
    pub bytes: f64,
    pub mappings: f64,
    /// What the process that holds them has before there are any.
    pub mappings_before: u64,
}

/// How many parties there may be here, and the limit that says so.
pub fn most(asked: u64, kind: &PartyKind, appetite: Appetite, root: &Path) -> (u64, Option<Stopped>) {
    let per_party = |each: f64| move |ceiling: Ceiling| (ceiling, each);
    let threads = if kind.is_thread { ceilings::of_threads(root) } else { Vec::new() };
    let limits = threads.into_iter().map(per_party(1.0));
    let limits = limits.chain(ceilings::of_memory(root).into_iter().map(per_party(appetite.bytes)));
    let mappings = ceilings::of_mappings(root, appetite.mappings_before).map(per_party(appetite.mappings));
    lowest(asked, limits.chain(mappings))
}

fn lowest(asked: u64, limits: impl Iterator<Item = (Ceiling, f64)>) -> (u64, Option<Stopped>) {
    let most = |ceiling: &Ceiling, each: f64| (ceiling.room() as f64 / each) as u64;
    let hit = limits
        .filter(|(_, each)| *each > 0.0)
        .map(|(ceiling, each)| (most(&ceiling, each), ceiling))
        .min_by_key(|(most, _)| *most)
        .filter(|(most, _)| *most < asked);
    match hit {
        Some((most, ceiling)) => (most, Some(stopped(asked, most, &ceiling))),
        None => (asked, None),
    }
}

/// What stops at this limit.
pub(super) fn stopped(asked: u64, reached: u64, ceiling: &Ceiling) -> Stopped {
    let Ceiling { name, value, used, .. } = ceiling;
    Stopped {
        limit: name.clone(),
        value: Some(*value),
        reason: format!("{name} is {value}, of which {used} are in use"),
        remedy: Some(ceiling.remedy.clone()),
        asked,
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ceiling(value: u64, used: u64) -> Ceiling {
        Ceiling { name: "a limit".to_string(), value, used, spared: 0, remedy: "raise it".to_string() }
    }

    #[test]
    fn counts_are_geometric_and_each_there_once() {
        assert_eq!(counts(4000), [500, 1000, 2000, 4000]);
        assert_eq!(counts(3), [1, 3]);
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(0), [] as [u64; 0]);
    }

    #[test]
    fn the_limit_with_the_least_room_decides_and_is_named() {
        let limits = || [(ceiling(100, 40), 1.0), (ceiling(1000, 0), 50.0), (ceiling(7, 7), 0.0)].into_iter();
        let (most, stopped) = lowest(30, limits());
        let stopped = stopped.unwrap();
        assert_eq!((most, stopped.reached, stopped.asked, stopped.value), (20, 20, 30, Some(1000)));
        assert_eq!(stopped.reason, "a limit is 1000, of which 0 are in use");
        assert_eq!(lowest(20, limits()), (20, None));
    }

    proptest! {
        #[test]
        fn counts_rise_to_the_highest(max in 1_u64..1 << 40) {
            let counts = counts(max);
            prop_assert!(counts.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(counts.last(), Some(&max));
        }
    }
}
