//! Warnings that a reader must know before believing a figure.

use crate::bench::figures::counters::Audit;
use crate::bench::figures::recorded::Breakdown;
use crate::bench::figures::result::{CountSource, NO_UNDISTURBED_SAMPLES};
use crate::bench::figures::row::Row;
use crate::bench::sample::records::Recording;
use crate::document::Warning;
use crate::host::surroundings::Surroundings;
use crate::perf::counting::{AbsentCounter, Counting, CountingMode, WAKE_UPS};
use crate::perf::records::YIELDS;
use crate::unit::{Bytes, Nanoseconds, Share};

/// Warnings about the machine rather than the row: where one row has them, others do.
const FEW_UNDISTURBED_SAMPLES: &str = "few-undisturbed-samples";
const CORE_SLOWED: &str = "core-slowed";
const SMT_SIBLING_BUSY: &str = "smt-sibling-busy";
const THROTTLED: &str = "throttled";
const OF_THE_MACHINE: [&str; 4] = [FEW_UNDISTURBED_SAMPLES, CORE_SLOWED, SMT_SIBLING_BUSY, THROTTLED];

/// Share by which a count may differ from the expected one without a warning.
const COUNT_TOLERANCE: f64 = 0.01;
/// Distance from a whole number within which switches per op are still that number.
const WHOLE_TOLERANCE: f64 = 0.03;
/// Share by which recorded switches may differ: recording slows the participants, and may change who comes first.
const RECORDED_TOLERANCE: f64 = 0.05;
/// Below this share of undisturbed samples, neighbours affect the figures.
const FEW_UNDISTURBED_SHARE: f64 = 0.5;
/// Above this share of samples with the CPU below full speed, a reader should know.
pub const CORE_SLOWED_SHARE: f64 = 0.05;
/// The clock's share of ops timed one by one, from which on they are mostly the clock's time.
const CLOCK_IS_MOST: f64 = 0.5;

/// Returns true if warnings of this name are about the machine rather than the row.
pub fn is_of_the_machine(code: &str) -> bool {
    OF_THE_MACHINE.contains(&code)
}

/// Returns true if the line on a report's quality says what warnings of this name do.
pub fn is_in_quality(code: &str) -> bool {
    [FEW_UNDISTURBED_SAMPLES, CORE_SLOWED].contains(&code)
}

/// Returns the warnings about one row.
pub fn of_row(row: &Row) -> Vec<Warning> {
    let about = |(code, message): (&str, String)| Warning::new(code, format!("{}: {message}", row.result.title()));
    let remarks = of_counts(row).into_iter().chain(of_samples(row)).chain(of_surroundings(row)).chain(of_latency(row));
    remarks.map(about).collect()
}

/// A warning's name, and its sentence without the workload it is about.
type Remark = (&'static str, String);

fn of_counts(row: &Row) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let (Some(counted), Some(expected)) = (row.result.switches_per_op, row.result.expected_switches_per_op) {
        if (counted - expected).abs() > COUNT_TOLERANCE * expected {
            let ways = if is_of_several_ways(counted) {
                ", and its ops take several ways, for none makes that many"
            } else {
                ""
            };
            let message = format!(
                "made {counted:.3} switches per op where {expected:.3} were expected{ways}; costs are per counted switch"
            );
            remarks.push(("count-differs", message));
        }
    }
    remarks.extend(of_audit(row));
    if row.result.switches_source == CountSource::Expected && row.result.ns_per_op.is_some() {
        let message = "its switches were not counted; costs use the expected number, marked ~".to_string();
        remarks.push(("not-counted", message));
    }
    if let Some(missing) = row.fewest_foreign_switches.filter(|&foreign| foreign < 0) {
        let message = format!(
            "the CPU's counter saw {} switches fewer in a sample than its participants made; this is a bug, of ctxprof or of the counter: please report it",
            -missing
        );
        remarks.push(("counts-disagree", message));
    }
    for counter in row.result.counters.iter().filter(|counter| counter.running_ratio < 0.999) {
        let (name, ran) = (&counter.name, Share(counter.running_ratio));
        let message =
            format!("`{name}` shared its hardware counter and ran {ran} of the time; its figure is scaled up");
        remarks.push(("multiplexed", message));
    }
    if let Some(cost) = row.result.counting_cost.filter(|cost| row.is_counting_cost_included && cost.median > 1.01) {
        let message = format!("counting on its threads made it {} slower", Share(cost.median - 1.0));
        remarks.push(("counting-costs", message));
    }
    remarks
}

/// Returns true if so many switches are the average of ops that make different numbers of them: no whole number, by
/// more than a neighbour's preemptions in undisturbed samples.
fn is_of_several_ways(switches_per_op: f64) -> bool {
    (switches_per_op - switches_per_op.round()).abs() > WHOLE_TOLERANCE
}

/// Returns a warning if the kernel's two counts differ, or if counting with perf changes the number.
fn of_audit(row: &Row) -> Option<Remark> {
    let Audit { accounting_per_op: accounting, perf_by_accounting } = row.result.audit?;
    // A workload whose switches are not the kernel's makes a few of those by chance, too few to compare.
    if row.result.switches_source != CountSource::Kernel {
        return None;
    }
    if (perf_by_accounting - 1.0).abs() > COUNT_TOLERANCE {
        let perf = accounting * perf_by_accounting;
        let message = format!(
            "perf counted {perf:.3} switches per op on its CPU, kernel accounting {accounting:.3} of its participants, in the same samples; costs are by kernel accounting"
        );
        return Some(("audit-differs", message));
    }
    // Of a count that varies anyway nothing follows from a difference within its interval.
    let (timed, interval) = (row.result.kernel_switches_per_op?, row.result.switches_per_op_interval?);
    let is_beyond =
        interval.low.is_some_and(|low| accounting < low) || interval.high.is_some_and(|high| accounting > high);
    (is_beyond && (accounting - timed).abs() > COUNT_TOLERANCE * timed).then(|| {
        let message = format!(
            "made {accounting:.3} switches per op while perf counted them and {timed:.3} otherwise; costs are by the latter"
        );
        ("counting-changes-switches", message)
    })
}

fn of_samples(row: &Row) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let (undisturbed, taken) = (row.result.samples.undisturbed, row.result.samples.taken);
    if !row.tells_disturbed {
        let message = "across CPUs, disturbed samples cannot be told without CPU-wide counters; its figures are of all samples but those of a slowed core".to_string();
        remarks.push(("disturbance-unknown", message));
    }
    if !row.undisturbed_only && taken > 0 {
        let message = format!(
            "only {undisturbed} of {taken} samples undisturbed, too few; using all samples, interference included"
        );
        remarks.push((NO_UNDISTURBED_SAMPLES, message));
    } else if (undisturbed as f64) < FEW_UNDISTURBED_SHARE * taken as f64 {
        let message =
            format!("{undisturbed} of {taken} samples undisturbed; something else is busy on this CPU or beside it");
        remarks.push((FEW_UNDISTURBED_SAMPLES, message));
    }
    let slowed = row.result.samples.slowed as f64 / taken.max(1) as f64;
    if slowed > CORE_SLOWED_SHARE {
        let again = match row.repeated {
            0 => String::new(),
            1 => "; one repetition was repeated for that".to_string(),
            repeated => format!("; {repeated} repetitions were repeated for that"),
        };
        let share = Share(slowed);
        let what = if row.result.ns_per_op.is_some_and(|ns| ns.is_at_most()) {
            format!("CPU below full speed in {share} of samples, too many to exclude: costs are upper bounds")
        } else {
            format!("{share} of samples excluded: CPU below full speed")
        };
        let message = format!("{what} (busy SMT sibling, noisy neighbour or lower frequency){again}");
        remarks.push((CORE_SLOWED, message));
    }
    remarks
}

fn of_surroundings(row: &Row) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let Some(busy) = row.sibling_busy.filter(|&busy| busy > Surroundings::SIBLING_BUSY) {
        let message =
            format!("the other hardware thread of this core was busy {} of the time, which slows both", Share(busy));
        remarks.push((SMT_SIBLING_BUSY, message));
    }
    if let Some(throttled) = row.throttled.filter(|&throttled| throttled > 0) {
        remarks.push((THROTTLED, format!("the cgroup's CPU quota stopped it {throttled} times")));
    }
    remarks
}

fn of_latency(row: &Row) -> Vec<Remark> {
    let Some(latency) = &row.result.latency else { return Vec::new() };
    let mut remarks = Vec::new();
    if latency.clock_share > CLOCK_IS_MOST {
        let message = format!(
            "reading the clock after every op is {} of what its ops took one by one: its latencies are mostly the clock's",
            Share(latency.clock_share)
        );
        remarks.push(("latency-of-the-clock", message));
    }
    if let Some(by_plain) = latency.by_plain.filter(|_| latency.disagrees()) {
        let message = format!(
            "an op timed by itself took {:.3} times what it takes among others, which the {} ns of the clock do not explain: its latencies are not those of its plain loop",
            by_plain.median,
            Nanoseconds(latency.clock_ns)
        );
        remarks.push(("latency-disagrees", message));
    }
    remarks
}

/// Returns a warning about time that the hypervisor took, of `elapsed_ns`.
pub fn of_steal(steal_ns: u64, elapsed_ns: u64) -> Option<Warning> {
    let share = steal_ns as f64 / elapsed_ns.max(1) as f64;
    (share > Surroundings::STEAL).then(|| {
        Warning::new(
            "steal",
            format!(
                "the hypervisor took {} of the pinned CPU's time; samples that it fell into are excluded",
                Share(share)
            ),
        )
    })
}

/// Returns a warning about lost records of a workload's switches; `title` names it.
pub fn of_recording(recording: &Recording, title: &str) -> Option<Warning> {
    let lost = recording.lost();
    let room = Bytes(recording.buffer_bytes as f64);
    (lost > 0).then(|| {
        let message = format!(
            "{title}: {lost} records of switches were lost, for which the ring buffers ({room} each) had no room; ops from there on are left out"
        );
        Warning::new("records-lost", message)
    })
}

/// Returns a warning if recorded ops do not switch as often as those that were counted; `title` names their workload.
pub fn of_recorded_switches(breakdown: &Breakdown, counted_per_op: Option<f64>, title: &str) -> Option<Warning> {
    let (recorded, counted) = (breakdown.switches_per_op, counted_per_op?);
    ((recorded - counted).abs() > RECORDED_TOLERANCE * counted).then(|| {
        let message = format!(
            "{title}: recorded ops made {recorded:.2} switches each, where {counted:.2} were counted without recording: being recorded changes what its participants do"
        );
        Warning::new("recording-differs", message)
    })
}

/// Returns a warning for each kind of event that is missing from a run's records, once.
pub fn of_absent_records<'r>(recordings: impl Iterator<Item = &'r Recording>) -> Vec<Warning> {
    let mut told: Vec<&AbsentCounter> = Vec::new();
    for absent in recordings.flat_map(|recording| &recording.absent) {
        if told.iter().all(|known| known.name != absent.name) {
            told.push(absent);
        }
    }
    let warning = |absent: &AbsentCounter| {
        let AbsentCounter { name, reason } = absent;
        let consequence = match name.as_str() {
            WAKE_UPS => ", so that waiting after a wake-up is part of running",
            YIELDS => ", so that a yield looks like a preemption",
            _ => "",
        };
        Warning::new("not-in-records", format!("{name} was not recorded{consequence}: {reason}"))
    };
    told.into_iter().map(warning).collect()
}

/// Returns the warnings about how the counting was done.
pub fn of_counting(counting: &Counting) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(last) = counting.refused.first() {
        let instead = match counting.mode {
            CountingMode::Thread => "counted on the participants' threads instead, which slows every switch",
            CountingMode::Rusage => "kernel switches come from getrusage and /proc instead, cycles are absent",
            CountingMode::Cpu | CountingMode::None => "",
        };
        warnings.push(Warning::new(
            "counters-degraded",
            format!("no CPU-wide counters: {}; {instead}", last.trim_start_matches("cpu: ")),
        ));
    }
    warnings.extend(counting.remarks.iter().map(|remark| Warning::new("cycles-suspect", remark.clone())));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::chosen::ReferenceLoop;
    use crate::bench::figures::counters::CounterRecord;
    use crate::bench::figures::latency::LatencyFigures;
    use crate::bench::figures::row::summarize;
    use crate::bench::sample::WorkloadSamples;
    use crate::estimate::Estimate;
    use crate::perf::counting::Counting;

    fn quiet_row() -> Row {
        let samples = WorkloadSamples::made_up(Vec::new());
        let counting = Counting::without_counters(CountingMode::Cpu);
        let mut row = summarize(&samples, &counting, ReferenceLoop::of(std::iter::empty()));
        row.result.switches_per_op = Some(2.0);
        row.result.switches_source = CountSource::Kernel;
        (row.result.samples.taken, row.result.samples.undisturbed, row.undisturbed_only, row.fewest_foreign_switches) =
            (100, 99, true, Some(0));
        row
    }

    fn check(change: impl FnOnce(&mut Row), codes: &[&str]) {
        let mut row = quiet_row();
        change(&mut row);
        assert_eq!(of_row(&row).iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn a_row_is_warned_of_for_cause_only() {
        check(|_| {}, &[]);
        check(|row| row.result.switches_per_op = Some(2.019), &[]);
        check(|row| row.result.switches_per_op = Some(6.0), &["count-differs"]);
        let audit = |perf_by_accounting| Some(Audit { accounting_per_op: 2.0, perf_by_accounting });
        check(|row| row.result.audit = audit(1.009), &[]);
        check(|row| row.result.audit = audit(1.015), &["audit-differs"]);
        check(|row| row.result.audit = audit(0.97), &["audit-differs"]);
        let while_counted = |accounting: f64, half: f64| {
            move |row: &mut Row| {
                let interval = Estimate { median: 2.0, low: Some(2.0 - half), high: Some(2.0 + half) };
                (row.result.kernel_switches_per_op, row.result.switches_per_op_interval) = (Some(2.0), Some(interval));
                row.result.audit = Some(Audit { accounting_per_op: accounting, perf_by_accounting: 1.0 });
            }
        };
        check(while_counted(2.07, 0.01), &["counting-changes-switches"]);
        check(while_counted(2.07, 0.1), &[]);
        check(while_counted(2.015, 0.01), &[]);
        check(|row| row.result.samples.undisturbed = 30, &["few-undisturbed-samples"]);
        check(|row| (row.result.samples.undisturbed, row.undisturbed_only) = (0, false), &["no-undisturbed-samples"]);
        check(|row| row.tells_disturbed = false, &["disturbance-unknown"]);
        check(|row| row.result.samples.slowed = 5, &[]);
        check(|row| row.result.samples.slowed = 6, &["core-slowed"]);
        check(|row| row.fewest_foreign_switches = Some(-1), &["counts-disagree"]);
        check(|row| row.sibling_busy = Some(0.05), &[]);
        check(|row| row.sibling_busy = Some(0.5), &["smt-sibling-busy"]);
        check(|row| row.throttled = Some(2), &["throttled"]);
        let cost = |median| Some(Estimate { median, low: None, high: None });
        check(
            |row| (row.result.counting_cost, row.is_counting_cost_included) = (cost(1.17), true),
            &["counting-costs"],
        );
        check(|row| (row.result.counting_cost, row.is_counting_cost_included) = (cost(1.17), false), &[]);
        check(|row| (row.result.counting_cost, row.is_counting_cost_included) = (cost(1.001), true), &[]);
        let latency = |clock_share, low, high| {
            let agreement = Estimate { median: f64::midpoint(low, high), low: Some(low), high: Some(high) };
            let by_plain = Estimate { high: Some(high + clock_share), ..agreement };
            let ratios = LatencyFigures { by_plain: Some(by_plain), ..LatencyFigures::made_up() };
            Some(LatencyFigures { clock_share, agreement: Some(agreement), ..ratios })
        };
        check(|row| row.result.latency = latency(0.01, 0.99, 1.03), &[]);
        check(|row| row.result.latency = latency(0.01, 1.03, 1.05), &["latency-disagrees"]);
        check(|row| row.result.latency = latency(0.01, 0.9, 0.96), &["latency-disagrees"]);
        check(|row| row.result.latency = latency(0.1, 0.9, 0.96), &[]);
        check(|row| row.result.latency = latency(0.5, 1.03, 1.035), &[]);
        check(|row| row.result.latency = latency(0.9, 1.1, 1.15), &["latency-of-the-clock"]);
        let cycles = |running_ratio| {
            let (name, source) = ("cycles".to_string(), CountingMode::Cpu);
            vec![CounterRecord { name, source, per_op: 1.0, total: 1.0, running_ratio }]
        };
        check(|row| row.result.counters = cycles(0.6), &["multiplexed"]);
        check(|row| row.result.counters = cycles(1.0), &[]);
    }

    #[test]
    fn a_count_that_is_no_whole_number_is_of_ops_that_differ() {
        let message = |counted| {
            let mut row = quiet_row();
            row.result.switches_per_op = Some(counted);
            of_row(&row)[0].message.clone()
        };
        assert!(message(5.2).contains("several ways") && message(2.73).contains("several ways"));
        assert!(!message(6.0).contains("several ways") && !message(4.02).contains("several ways"));
    }

    #[test]
    fn steal_is_worth_a_word_from_one_percent() {
        assert!(of_steal(9_000_000, 1_000_000_000).is_none());
        assert!(of_steal(20_000_000, 1_000_000_000).unwrap().message.contains("2.0 %"));
    }
}
