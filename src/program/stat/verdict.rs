//! The largest part of a program's time: its own code, the kernel, run queues, switching, or waiting for something else.

use serde::{Deserialize, Serialize};

use crate::program::stat::cost_estimate::CostEstimate;
use crate::program::stat::figures::Figures;

/// A part of a program's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Code of the program.
    UserCode,
    /// System calls and interrupts, switching excluded.
    KernelTime,
    /// Runnable threads waiting for a CPU.
    RunQueue,
    /// Estimated CPU time of context switches.
    Switching,
    /// No thread ran or was runnable.
    Blocked,
}

/// The largest of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub cause: Cause,
    pub time_ns: f64,
    /// By the CPU time; of `blocked`, by the elapsed time.
    pub ratio: f64,
}

/// Returns the largest part; `None` of a program without CPU time.
///
/// Blocked is the time for which none of its threads ran or was runnable, at least: that one thread waits while another works
/// costs nothing.
///
/// Waits of threads that were never seen are unknown. Where these made more than a few of the switches, neither run queues nor
/// blocked time are looked at.
pub fn verdict(
    totals: &Figures,
    unseen: Option<&Figures>,
    elapsed_ns: u64,
    cost: Option<&CostEstimate>,
) -> Option<Verdict> {
    const A_FEW: f64 = 0.25;
    let unseen_switches = unseen.map_or(0, Figures::switches) as f64;
    let are_waits_known = unseen_switches <= A_FEW * totals.switches() as f64;
    let (cpu_ns, elapsed_ns) = (totals.on_cpu_ns as f64, elapsed_ns as f64);
    // A cost that cannot hold says nothing.
    let cost = cost.filter(|cost| cost.share_of_cpu.is_some_and(|share| share.low <= 1.0));
    let switching_ns = cost.map_or(0.0, |cost| cost.cpu_ns.median.min(cpu_ns));
    let mut causes = vec![
        (Cause::UserCode, totals.user_ns as f64, cpu_ns),
        (Cause::KernelTime, (totals.sys_ns as f64 - switching_ns).max(0.0), cpu_ns),
        (Cause::Switching, switching_ns, cpu_ns),
    ];
    if let Some(waits_ns) = totals.run_queue_wait_ns.filter(|_| are_waits_known).map(|ns| ns as f64) {
        causes.push((Cause::RunQueue, waits_ns, cpu_ns));
        causes.push((Cause::Blocked, (elapsed_ns - cpu_ns - waits_ns).max(0.0), elapsed_ns));
    }
    let (cause, time_ns, whole_ns) = causes.into_iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    (cpu_ns > 0.0 && whole_ns > 0.0).then(|| Verdict { cause, time_ns, ratio: time_ns / whole_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::stat::cost_estimate::Range;

    fn check(user: u64, sys: u64, waits: u64, switching: f64, elapsed: u64, expect: (Cause, f64)) {
        let (user_ns, sys_ns, run_queue_wait_ns) = (user, sys, Some(waits));
        let totals = Figures { on_cpu_ns: user + sys, user_ns, sys_ns, run_queue_wait_ns, ..Figures::default() };
        let range = |middle: f64| Range { low: middle / 2.0, median: middle, high: middle * 2.0 };
        let cost = CostEstimate {
            switches: 1,
            lines: Vec::new(),
            cost_ns: range(switching),
            cpu_ns: range(switching),
            share_of_cpu: Some(range(switching / (user + sys) as f64)),
            cost_source: Vec::new(),
        };
        let Verdict { cause, ratio, .. } = verdict(&totals, None, elapsed, Some(&cost)).unwrap();
        assert!(cause == expect.0 && (ratio - expect.1).abs() < 1e-9, "{cause:?} {ratio}, and not {expect:?}");
    }

    #[test]
    fn the_largest_of_five_is_named_with_its_ratio() {
        check(900, 100, 50, 40.0, 1000, (Cause::UserCode, 0.9));
        check(100, 900, 50, 40.0, 1000, (Cause::KernelTime, 0.86));
        check(100, 900, 50, 700.0, 1000, (Cause::Switching, 0.7));
        check(41, 549, 30_700, 30.0, 309, (Cause::RunQueue, 30_700.0 / 590.0));
        check(5, 5, 0, 2.0, 1000, (Cause::Blocked, 0.99));
        // A thread that waits while another works is not blocked time.
        check(900, 50, 0, 10.0, 1000, (Cause::UserCode, 900.0 / 950.0));
        // This cost cannot hold.
        check(100, 400, 0, 1500.0, 500, (Cause::KernelTime, 0.8));
    }

    #[test]
    fn without_cpu_time_there_is_none_and_unknown_waits_are_no_cause() {
        assert_eq!(verdict(&Figures::default(), None, 1000, None), None);
        let totals = Figures { on_cpu_ns: 10, user_ns: 6, sys_ns: 4, ..Figures::default() };
        assert_eq!(verdict(&totals, None, 1000, None).unwrap().cause, Cause::UserCode);
        let totals = Figures { run_queue_wait_ns: Some(1), voluntary_switches: 100, ..totals };
        let unseen = |voluntary_switches| Figures { voluntary_switches, ..Figures::default() };
        assert_eq!(verdict(&totals, Some(&unseen(20)), 1000, None).unwrap().cause, Cause::Blocked);
        assert_eq!(verdict(&totals, Some(&unseen(30)), 1000, None).unwrap().cause, Cause::UserCode);
    }
}
