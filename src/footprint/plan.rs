//! Counts to measure, and the most participants that are possible.

use std::path::Path;

use crate::footprint::kind::ParticipantKind;
use crate::footprint::participant::Shape;
use crate::footprint::samples::Stopped;
use crate::host::ceilings::{self, Ceiling, Needs};

#[derive(Debug)]
pub struct FootprintPlan<'a> {
    pub kinds: Vec<&'static ParticipantKind>,
    /// Highest count, if it is not each kind's default.
    pub max: Option<u64>,
    pub repetitions: u32,
    pub shape: Shape,
    /// This program, which is run again to hold participants.
    pub program: &'a Path,
}

/// Ratio of a count to the one before, and number of counts.
const RATIO: u64 = 2;
const COUNTS: usize = 4;

/// Returns geometric counts up to `max`, rising; fewer if `max` is small.
pub fn counts(max: u64) -> Vec<u64> {
    let mut counts: Vec<u64> =
        (0..COUNTS as u32).map(|power| max / RATIO.pow(power)).filter(|&count| count > 0).collect();
    counts.dedup();
    counts.reverse();
    counts
}

/// Limited resources that a participant takes, by a first look at a few.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceNeed {
    pub bytes: f64,
    pub mappings: f64,
    /// Mappings of the process that holds them, before there are any.
    pub mappings_before: u64,
}

/// Returns the number of participants possible on this host, and the limit behind it.
pub fn most(asked: u64, kind: &ParticipantKind, resource_need: ResourceNeed, root: &Path) -> (u64, Option<Stopped>) {
    let needs = Needs {
        threads: if kind.is_thread { 1.0 } else { 0.0 },
        files: 0.0,
        mappings: resource_need.mappings,
        bytes: resource_need.bytes,
        mappings_before: resource_need.mappings_before,
    };
    let (most, ceiling) = ceilings::most(asked, needs, root);
    (most, ceiling.map(|ceiling| stopped(asked, most, &ceiling)))
}

pub(super) fn stopped(asked: u64, reached: u64, ceiling: &Ceiling) -> Stopped {
    Stopped {
        limit: ceiling.name.clone(),
        value: Some(ceiling.value),
        reason: ceiling.state(),
        remedy: Some(ceiling.remedy.clone()),
        asked,
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_geometric_and_each_there_once() {
        assert_eq!(counts(4000), [500, 1000, 2000, 4000]);
        assert_eq!(counts(3), [1, 3]);
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(0), [] as [u64; 0]);
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
