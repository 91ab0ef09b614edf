//! Cost of `ctxprof trace` per switch: two processes pass a byte back and forth on one CPU while the tracer is attached and detached in
//! turn, so that each window is compared with those beside it. As root.
//!
//! ```sh
//! cargo bench --bench trace_cost -- 40
//! ```

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use ctxprof::bpf::tracer::Programs;
use ctxprof::program::trace::cost::{Cost, Windows, measure};
use ctxprof::program::trace::load;

const WINDOW: Duration = Duration::from_millis(50);
/// Limits for `trace`: ratios of a round trip, and ns per switch above that of empty BPF programs.
const MOST_RATIO: f64 = 1.16;
const MOST_RATIO_BATCH: f64 = 1.19;
const MOST_ABOVE_EMPTY_NS: f64 = 30.0;

fn main() -> Result<ExitCode> {
    let rounds = env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(40);
    let mut unmet = 0;
    let mut judge = |what: &str, figure: String, is_met: bool, wanted: String| {
        println!("{} {what}: {figure} (wanted: {wanted})", if is_met { "met:     " } else { "NOT MET: " });
        unmet += usize::from(!is_met);
    };
    for (batch, policy, most) in [(false, "", MOST_RATIO), (true, " under SCHED_BATCH", MOST_RATIO_BATCH)] {
        let cost_of = |programs: Programs, followed: bool| -> Result<Cost> {
            let cost = measure(
                &mut load(programs)?,
                Windows { rounds, most_rounds: rounds, window: WINDOW, followed, batch },
            )?;
            let what = match (programs, followed) {
                (Programs::Empty, _) => "empty programs",
                (_, true) => "traced",
                (_, false) => "somebody else's",
            };
            println!("{what}{policy}: {}", words(&cost));
            Ok(cost)
        };
        let empty = cost_of(Programs::Empty, false)?;
        let others = cost_of(Programs::Following, false)?;
        let traced = cost_of(Programs::Following, true)?;
        let ratio = format!("{:.3} {}", traced.ratio.median, ends(&traced));
        judge(
            &format!("a traced pipe ping-pong{policy}"),
            ratio,
            traced.ratio.median <= most,
            format!("at most {most}"),
        );
        let above = others.ns_per_switch.median - empty.ns_per_switch.median;
        let wanted = format!("at most {MOST_ABOVE_EMPTY_NS} ns");
        let is_met = above <= MOST_ABOVE_EMPTY_NS;
        judge(
            &format!("a switch of others' programs above empty programs{policy}"),
            format!("{above:.0} ns"),
            is_met,
            wanted,
        );
    }
    Ok(if unmet == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ends(cost: &Cost) -> String {
    let ends = cost.ratio.low.zip(cost.ratio.high);
    ends.map_or(String::new(), |(low, high)| format!("[{low:.3} {high:.3}]"))
}

fn words(cost: &Cost) -> String {
    format!(
        "ratio {:.3} {}, {:.0} ns a switch, {:.2} wakings a switch, {:.0} ns a switch untraced",
        cost.ratio.median,
        ends(cost),
        cost.ns_per_switch.median,
        cost.wakings_per_switch,
        cost.ns_per_switch_untraced
    )
}
