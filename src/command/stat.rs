//! `ctxprof stat`: a program's switches and their estimated cost.

use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use nix::unistd::User;

use crate::bench::cost_list::CostList;
use crate::bench::document::run::RunDocument;
use crate::bench::document::{cost, saved_runs};
use crate::bench::left_out::LeftOut;
use crate::cli::ColorChoice;
use crate::cli::stat::StatArgs;
use crate::command::live::Live;
use crate::command::output::{Stream, check_writable, deliver_to, is_alone_on_stderr, say_unless};
use crate::command::{Outcome, calibrate, program};
use crate::document::{Tool, Warning};
use crate::host::facts::Facts;
use crate::host::probe;
use crate::program::stat::document::{SCHEMA, Seen, StatDocument, StatSettings, body};
use crate::program::stat::figures::accounts;
use crate::program::watch::{self, WatchPlan, What};
use crate::program::watched::Watched;
use crate::store::{self, timestamp};
use crate::sys::cgroup_members::CgroupMembers;
use crate::sys::{signal, stand_in};

/// Words in place of a file name in `--cost`.
const CALIBRATE: &str = "calibrate";
const NONE: &str = "none";

pub(super) fn execute(arguments: &StatArgs, color: ColorChoice) -> Result<Outcome> {
    check_writable(&arguments.output.output)?;
    let host = probe::facts(Path::new("/"), None, &probe::processors_if_told(Path::new("/")));
    // Before the program runs, which may take hours.
    let named = named_costs(arguments)?;
    let caveats = named.iter().flat_map(|named| named.caveats(&host)).collect::<Vec<_>>();
    let named = named.map(|named| named.costs);
    let user = program::user(arguments.user.as_ref())?;
    let started_at = timestamp(SystemTime::now());
    let quiet = arguments.quiet || is_alone_on_stderr(&arguments.output);
    let mut live = Live::new(arguments, quiet);
    let cgroup = arguments.cgroup.as_deref().map(CgroupMembers::find).transpose()?;
    let plan = plan(arguments, user.as_ref(), cgroup.as_ref())?;
    if arguments.attaches() && arguments.limit.is_none() && io::stderr().is_terminal() {
        say_unless(quiet, "watching; Ctrl-C for the report");
    }
    let watched = watch::run(&plan, &mut |told| live.show(told))?;
    let intervals = live.finish();
    let costs = costs(arguments, named, &host, &watched, quiet);
    let seen = Seen {
        watched: &watched,
        intervals,
        ops: arguments.ops,
        costs: &costs.list,
        no_cost: costs.left_out,
        cost_below_share: costs.below_share,
        counting_cost_ns: costs.counting_cost_ns,
    };
    let (body, mut warnings) = body(seen);
    warnings.extend(caveats.into_iter().chain(costs.failure));
    if signal::stop_requested().is_some() {
        // It has ended the calibration; the report is on its way.
        signal::ignore_stops()?;
    }
    let settings = settings(arguments, user.as_ref());
    let schema = SCHEMA.to_string();
    let document = StatDocument { schema, tool: Tool::this(), started_at, host, settings, body, warnings };
    deliver_to(Stream::Stderr, &document, &arguments.output, color)?;
    Ok(program::outcome(&watched))
}

fn plan<'a>(
    arguments: &'a StatArgs,
    user: Option<&'a User>,
    cgroup: Option<&'a CgroupMembers>,
) -> Result<WatchPlan<'a>> {
    for (at, &pid) in arguments.pid.iter().enumerate() {
        if stand_in::is_this_process(pid) {
            bail!("process {pid} is ctxprof itself");
        }
        if arguments.pid[..at].contains(&pid) {
            bail!("process {pid} is named twice");
        }
    }
    let what = match (arguments.pid.as_slice(), cgroup) {
        (_, Some(cgroup)) => What::Cgroup(cgroup),
        ([], None) => What::Command { words: &arguments.command, user },
        (pids, None) => What::Processes(pids),
    };
    Ok(WatchPlan {
        what,
        per_thread: arguments.per_thread,
        limit: arguments.limit,
        interval: arguments.interval,
        leave_orphans: arguments.leave_running,
        exit_records: !arguments.no_exit_records,
        count_on_threads: arguments.counts_on_threads(),
        every_thread: true,
    })
}

fn settings(arguments: &StatArgs, user: Option<&User>) -> StatSettings {
    let words = || arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let seconds = |time: Duration| time.as_secs_f64();
    StatSettings {
        command: (!arguments.attaches()).then(words),
        pids: arguments.pid.clone(),
        cgroup: arguments.cgroup.as_ref().map(|path| path.display().to_string()),
        duration_s: arguments.limit.map(seconds),
        interval_s: arguments.interval.map(seconds),
        ops: arguments.ops,
        user: user.map(|user| user.name.clone()),
        counters: arguments.counters.clone(),
        per_thread: arguments.per_thread,
    }
}

/// The costs of a run that `--cost` names.
struct NamedCosts {
    file: String,
    run: RunDocument,
    costs: CostList,
}

impl NamedCosts {
    /// Returns warnings that these costs may be wrong for programs on this host.
    fn caveats(&self, host: &Facts) -> Vec<Warning> {
        let mut caveats = Vec::new();
        if !cost::is_like(&self.run.host, host) {
            let message = format!("the switch costs of {} are of another kernel or processor", self.file);
            caveats.push(Warning::new("costs-of-another-host", message));
        }
        if !cost::is_sound(&self.run) {
            let message = format!(
                "the switch costs of {} are of a run that was interrupted, disturbed, traced, or counted on its threads: they may be too high",
                self.file
            );
            caveats.push(Warning::new("costs-unsound", message));
        }
        caveats
    }
}

/// Returns the costs of the run that `--cost` names, if any.
fn named_costs(arguments: &StatArgs) -> Result<Option<NamedCosts>> {
    let is_word = |path: &&Path| [CALIBRATE, NONE].iter().any(|word| Path::new(word) == *path);
    let Some(path) = arguments.cost.as_deref().filter(|path| !is_word(path)) else { return Ok(None) };
    if !path.exists() {
        bail!("--cost {}: no such file; other values are `{CALIBRATE}` and `{NONE}`", path.display());
    }
    let run = saved_runs::read_run(path)?;
    let costs = cost::of_run(&run, &cost::saved(path, &run));
    let file = path.display().to_string();
    if costs.costs().next().is_none() {
        let (within, between, command) = (cost::WITHIN, cost::BETWEEN, cost::COMMAND);
        bail!("{file} has no CPU cost of {within} or {between}; `{command} -o FILE.json` makes one");
    }
    Ok(Some(NamedCosts { file, run, costs }))
}

/// Costs of a switch for the estimate.
#[derive(Default)]
struct Costs {
    list: CostList,
    left_out: Vec<LeftOut>,
    below_share: Option<f64>,
    /// Set if they could not be calibrated.
    failure: Option<Warning>,
    counting_cost_ns: Option<f64>,
}

/// CPU time that no switch takes: some ten times the net cost on a slow host.
const MOST_COST_NS: f64 = 25_000.0;
/// Share of the CPU time below which the cost of switching is not worth a calibration.
const NEGLIGIBLE: f64 = 0.001;

/// Returns true if switching surely takes less of the CPU time than [`NEGLIGIBLE`].
fn is_negligible(watched: &Watched) -> bool {
    let totals = accounts(watched).totals;
    totals.switches() as f64 * MOST_COST_NS < NEGLIGIBLE * totals.on_cpu_ns as f64
}

/// Returns the named or saved costs, and measures those that are missing, as far as they matter: a program that was started has
/// ended by now; next to one that still runs, only on request.
fn costs(arguments: &StatArgs, named: Option<CostList>, host: &Facts, watched: &Watched, quiet: bool) -> Costs {
    let mut costs = Costs::default();
    let asked_not_to = arguments.cost.as_deref() == Some(Path::new(NONE));
    if asked_not_to || watched.groups.iter().all(|group| group.accounting.switches() == 0) {
        return costs;
    }
    let calibrate_only = arguments.cost.as_deref() == Some(Path::new(CALIBRATE));
    let is_named = named.is_some();
    costs.list = named.unwrap_or_else(|| match calibrate_only {
        false => cost::of_kept_runs(&store::folders(), host),
        true => CostList::default(),
    });
    let is_missing = !costs.list.is_complete() && !is_named;
    if is_missing && !calibrate_only && is_negligible(watched) {
        costs.below_share = Some(NEGLIGIBLE);
    } else if is_missing && (calibrate_only || !arguments.attaches()) {
        say_unless(quiet, "measuring what a switch costs here, for a second");
        match calibrate::costs(&costs.list, arguments.counts_on_threads()) {
            Ok((list, left_out)) => {
                costs.list.fill(list);
                costs.left_out = left_out;
            }
            Err(error) => {
                let message = format!("switch costs could not be calibrated: {error:#}");
                costs.failure = Some(Warning::new("costs-not-calibrated", message));
            }
        }
    }
    if arguments.counts_on_threads() {
        costs.counting_cost_ns = calibrate::counting_cost_ns();
    }
    costs
}
