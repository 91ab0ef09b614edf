//! Absences summed up by a key.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use hdrhistogram::Histogram;

/// Durations in ns, to two significant digits.
#[derive(Debug, Clone)]
pub struct Spread(Histogram<u64>);

/// Longer ones, beyond five days, count as that.
const LONGEST_NS: u64 = 1 << 49;
/// Maximum of different wakers that a key remembers; others are still counted.
const MOST_WAKERS: usize = 4096;

impl Default for Spread {
    fn default() -> Spread {
        let mut histogram = Histogram::new_with_bounds(1, 1 << 20, 2).expect("bounds in order");
        // It grows on demand: most keys' durations are short.
        histogram.auto(true);
        Spread(histogram)
    }
}

impl Spread {
    pub fn record(&mut self, ns: u64) {
        // It cannot be refused, since the histogram grows.
        let _ = self.0.record(ns.min(LONGEST_NS));
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the duration that this share of them does not exceed; `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share))
    }
}

/// The figures of one absence that are summed up.
#[derive(Debug, Clone, Copy)]
pub struct Summand<W> {
    pub voluntary: bool,
    /// Time off the CPU; `None` while it lasts.
    pub off_ns: Option<u64>,
    /// Run-queue wait.
    pub queue_ns: Option<u64>,
    /// Time from the wake-up to a run queue.
    pub wakeup_ns: Option<u64>,
    pub waker: Option<W>,
}

/// The absences of one key.
#[derive(Debug, Clone)]
pub struct Row<W> {
    pub voluntary: u64,
    pub involuntary: u64,
    pub off_ns: u64,
    pub queue_ns: u64,
    pub queue: Spread,
    pub wakeup: Spread,
    /// Number of absences that a waker ended.
    pub woken: u64,
    wakers: HashMap<W, u64>,
}

impl<W> Row<W> {
    pub fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }
}

impl<W: Copy + Ord + Hash> Row<W> {
    fn new() -> Row<W> {
        Row {
            voluntary: 0,
            involuntary: 0,
            off_ns: 0,
            queue_ns: 0,
            queue: Spread::default(),
            wakeup: Spread::default(),
            woken: 0,
            wakers: HashMap::new(),
        }
    }

    fn add(&mut self, summand: &Summand<W>) {
        *if summand.voluntary { &mut self.voluntary } else { &mut self.involuntary } += 1;
        self.off_ns = self.off_ns.saturating_add(summand.off_ns.unwrap_or(0));
        if let Some(ns) = summand.queue_ns {
            self.queue_ns = self.queue_ns.saturating_add(ns);
            self.queue.record(ns);
        }
        if let Some(ns) = summand.wakeup_ns {
            self.wakeup.record(ns);
        }
        if let Some(waker) = summand.waker {
            self.woken += 1;
            let is_full = self.wakers.len() >= MOST_WAKERS;
            match self.wakers.get_mut(&waker) {
                Some(count) => *count += 1,
                None if is_full => {}
                None => drop(self.wakers.insert(waker, 1)),
            }
        }
    }

    /// Returns the wakers that ended absences, most frequent first, each with its count.
    pub fn wakers(&self) -> Vec<(W, u64)> {
        let mut wakers: Vec<(W, u64)> = self.wakers.iter().map(|(waker, count)| (*waker, *count)).collect();
        wakers.sort_by(|(one, ones), (other, others)| others.cmp(ones).then(one.cmp(other)));
        wakers
    }
}

#[derive(Debug, Clone)]
pub struct Tally<K, W> {
    rows: BTreeMap<K, Row<W>>,
}

impl<K, W> Default for Tally<K, W> {
    fn default() -> Self {
        Tally { rows: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, W: Copy + Ord + Hash> Tally<K, W> {
    pub fn add(&mut self, key: K, summand: &Summand<W>) {
        self.rows.entry(key).or_insert_with(Row::new).add(summand);
    }

    /// Returns every key's row, those with the most switches first.
    pub fn rows(&self) -> Vec<(K, &Row<W>)> {
        let mut rows: Vec<(K, &Row<W>)> = self.rows.iter().map(|(key, row)| (*key, row)).collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.switches()));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_sums_of_its_absences_and_its_most_frequent_waker_first() {
        let mut tally = Tally::default();
        for (key, voluntary, off_ns, waker) in
            [("a", true, 100, 'x'), ("b", true, 7, 'x'), ("a", false, 300, 'y'), ("a", true, 200, 'y')]
        {
            let summand = Summand {
                voluntary,
                off_ns: Some(off_ns),
                queue_ns: Some(off_ns / 10),
                wakeup_ns: None,
                waker: Some(waker),
            };
            tally.add(key, &summand);
        }
        let rows = tally.rows();
        let (key, row) = rows[0];
        assert_eq!((key, row.voluntary, row.involuntary, row.off_ns, row.queue_ns, row.woken), ("a", 2, 1, 600, 60, 3));
        assert_eq!(row.wakers(), [('y', 2), ('x', 1)]);
        assert_eq!((row.queue.quantile(0.5), row.queue.count(), row.wakeup.quantile(0.5)), (Some(20), 3, None));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn durations_of_any_length_are_kept_to_two_digits() {
        for ns in [0, 1, 99, 123_456, 987_654_321, u64::MAX] {
            let mut spread = Spread::default();
            spread.record(ns);
            let kept = spread.quantile(0.5).unwrap() as f64;
            let expected = ns.min(LONGEST_NS) as f64;
            assert!((kept - expected).abs() <= expected * 0.01, "{ns}: {kept}");
        }
    }
}
