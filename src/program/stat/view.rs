//! Report of a program's switches and their estimated cost.

mod tables;

use std::slice;

use crate::bench::cost_list::CostSource;
use crate::bench::document::cost;
use crate::document::invocation::Invocation;
use crate::document::{conditions, metrics};
use crate::output::Shown;
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::View;
use crate::perf::counting::names;
use crate::program::stat::cost_estimate::CostEstimate;
use crate::program::stat::document::StatDocument;
use crate::program::stat::figures::ThreadRow;
use crate::program::stat::verdict::{Cause, Verdict};
use crate::program::stat::view::tables::{cost_estimate_table, counts_table, folded, range, stacks, thread_table};
use crate::program::watched::ProgramEnd;
use crate::sys::signal::SignalNumber;
use crate::unit::{Count, Share, Span, Whole};

impl Shown for StatDocument {
    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        metrics
            .rows(slice::from_ref(self), metrics::command)
            .figure("stat_elapsed", Quantity::Nanoseconds, "Time for which the program was watched", |document| {
                Some(document.body.elapsed_ns as f64)
            })
            .figure("stat_voluntary_switches", Quantity::Count, "Voluntary context switches", |document| {
                Some(document.body.totals.figures.voluntary_switches as f64)
            })
            .figure("stat_involuntary_switches", Quantity::Count, "Involuntary context switches", |document| {
                Some(document.body.totals.figures.involuntary_switches as f64)
            })
            .figure("stat_on_cpu", Quantity::Nanoseconds, "CPU time of all threads", |document| {
                Some(document.body.totals.figures.on_cpu_ns as f64)
            })
            .figure("stat_user", Quantity::Nanoseconds, "CPU time in user mode", |document| {
                Some(document.body.totals.figures.user_ns as f64)
            })
            .figure("stat_sys", Quantity::Nanoseconds, "CPU time in the kernel", |document| {
                Some(document.body.totals.figures.sys_ns as f64)
            })
            .figure(
                "stat_run_queue_wait",
                Quantity::Nanoseconds,
                "Run-queue wait: time in which threads were runnable without a CPU",
                |document| document.body.totals.figures.run_queue_wait_ns.map(|ns| ns as f64),
            )
            .figure("stat_migrations", Quantity::Count, "CPU migrations", |document| {
                document.body.totals.figures.migrations.map(|count| count as f64)
            })
            .figure("stat_minor_faults", Quantity::Count, "Minor page faults", |document| {
                Some(document.body.totals.figures.minor_faults as f64)
            })
            .figure("stat_major_faults", Quantity::Count, "Major page faults, which read from disk", |document| {
                Some(document.body.totals.figures.major_faults as f64)
            })
            .estimate("stat_switch_cpu", Quantity::Nanoseconds, "Net CPU time of a switch on this host", |document| {
                Some(document.body.cost_estimate.as_ref()?.cost_ns.as_estimate())
            })
            .estimate(
                "stat_switching_cpu",
                Quantity::Nanoseconds,
                "Estimated CPU time spent on switching",
                |document| Some(document.body.cost_estimate.as_ref()?.cpu_ns.as_estimate()),
            )
            .estimate(
                "stat_switching_of_cpu",
                Quantity::Ratio,
                "Estimated share of CPU time spent on switching",
                |document| Some(document.body.cost_estimate.as_ref()?.share_of_cpu?.as_estimate()),
            );
        metrics
            .rows(&self.body.threads, thread_labels)
            .figure("stat_thread_switches", Quantity::Count, "Context switches of the threads of this name", |row| {
                Some(row.figures.switches() as f64)
            })
            .figure("stat_thread_on_cpu", Quantity::Nanoseconds, "CPU time of the threads of this name", |row| {
                Some(row.figures.on_cpu_ns as f64)
            });
        metrics
    }

    fn view(&self, wide: bool) -> View {
        let body = &self.body;
        let cost_table = body.cost_estimate.iter().filter(|_| wide).map(cost_estimate_table);
        let threads = thread_table(self, wide);
        let details = wide.then(|| cost_sentences(self).into_iter().chain([self.sources()])).into_iter().flatten();
        let notes = self.per_op_sentence().into_iter().chain(self.counting_sentence()).chain(self.cost_line());
        View {
            heading: vec![self.heading()],
            answer: self.verdict_sentences(),
            answer_label: Some("Verdict"),
            command: Some(self.command()),
            conditions: conditions::of(self),
            folded: folded(body, &threads, wide),
            tables: [counts_table(self), threads].into_iter().chain(cost_table).collect(),
            pictures: stacks(body).into_iter().collect(),
            notes: notes.chain(self.missing_switches(wide)).chain(details).collect(),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }
}

impl StatDocument {
    fn command(&self) -> String {
        let settings = &self.settings;
        Invocation::of(&self.host, "stat")
            .option("--pid", Some(self.pids()).filter(|pids| !pids.is_empty()))
            .option("--cgroup", settings.cgroup.as_ref())
            .option("--duration", settings.duration_s)
            .option("--interval", settings.interval_s)
            .option("--ops", settings.ops)
            .words(settings.user.iter().map(|user| format!("--user={user}")))
            .option("--counters", Some(&settings.counters).filter(|counters| *counters != "auto"))
            .flag("--per-thread", settings.per_thread)
            .words(settings.command.iter().flat_map(|words| ["--"].into_iter().chain(words.iter().map(String::as_str))))
            .line()
    }

    fn pids(&self) -> String {
        self.settings.pids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
    }

    fn heading(&self) -> String {
        let body = &self.body;
        let program = match &self.settings.command {
            Some(words) => words.join(" "),
            None => match (&self.settings.cgroup, self.settings.pids.len()) {
                (Some(cgroup), _) => format!("cgroup {cgroup}"),
                (None, 0 | 1) => format!("process {} ({})", body.program.pid, body.program.name),
                (None, _) => format!("processes {}", self.pids()),
            },
        };
        let ended = match body.ended {
            ProgramEnd::Exited(code) => format!("exited with {code} after"),
            ProgramEnd::Killed(signal) => format!("was killed by {} after", SignalNumber(signal)),
            ProgramEnd::Gone => "ended; watched for".to_string(),
            ProgramEnd::GoesOn => "goes on; watched for".to_string(),
        };
        format!("{program}: {ended} {}", Span(body.elapsed_ns as f64))
    }

    fn per_op_sentence(&self) -> Option<String> {
        let (ops, per_op) = self.settings.ops.zip(self.body.per_op)?;
        let switching = per_op
            .switching_cpu_ns
            .map_or(String::new(), |cost| format!(", {} of it for switching", range(cost, |ns| Span(ns).to_string())));
        Some(format!(
            "Per op, of {}: {} by the clock, {} switches ({} + {}), {} of CPU time{switching}, {} page faults.",
            Whole(ops as f64),
            Span(per_op.elapsed_ns),
            Count(per_op.switches),
            Count(per_op.voluntary_switches),
            Count(per_op.involuntary_switches),
            Span(per_op.on_cpu_ns),
            Count(per_op.faults),
        ))
    }

    fn counting_sentence(&self) -> Option<String> {
        let counting = self.body.counting.as_ref()?;
        let counter = |counter: &crate::program::stat::document::CounterTotal| {
            // perf counts it in ns; all others are numbers of events.
            let shown = |value: f64| match counter.name.as_str() {
                names::TASK_CLOCK => Span(value).to_string(),
                _ => Count(value).to_string(),
            };
            let per_op = counter.per_op.map_or(String::new(), |per_op| format!(" ({} per op)", shown(per_op)));
            let scaled = if counter.running_ratio < 0.995 {
                format!(", counted {} of the time and scaled", Share(counter.running_ratio))
            } else {
                String::new()
            };
            format!("{} {}{per_op}{scaled}", counter.name, shown(counter.total))
        };
        let counters: Vec<String> = counting.counters.iter().map(counter).collect();
        let cost = match (counting.cost_ns_per_switch, counting.cost_share_of_cpu) {
            (Some(ns), Some(share)) => format!(
                " Counting on threads costs {} a switch here: {} of the program's CPU time.",
                Span(ns),
                Share(share)
            ),
            _ => String::new(),
        };
        let absent: Vec<&str> = counting.absent.iter().map(|absent| absent.name.as_str()).collect();
        let absent = match (absent.as_slice(), counting.absent.first()) {
            (names, Some(first)) => format!(" Not counted: {} ({}).", names.join(", "), first.reason),
            _ => String::new(),
        };
        let remarks: String = counting.remarks.iter().map(|remark| format!(" {remark}.")).collect();
        Some(format!("perf on its threads: {}.{cost}{absent}{remarks}", counters.join(", ")))
    }

    /// Returns what takes most of its time, and the command that looks closer.
    fn verdict_sentences(&self) -> Vec<String> {
        const TRACE: &str = "ctxprof trace -- CMD";
        let Some(Verdict { cause, time_ns, ratio }) = self.body.verdict else {
            return vec!["no CPU time, and so no cause to name.".to_string()];
        };
        let (time, share) = (Span(time_ns), Share(ratio));
        let (sentence, next) = match cause {
            Cause::UserCode => (format!("user code: {share} of CPU time."), "perf record -g -- CMD"),
            Cause::KernelTime => {
                (format!("kernel time: {share} of CPU time, switching excluded."), "perf trace -s -- CMD")
            }
            Cause::Switching => (format!("switching: some {share} of CPU time ({time})."), TRACE),
            Cause::RunQueue if ratio >= 1.0 => {
                let times = Count((ratio * 10.0).round() / 10.0);
                (format!("run queue: threads waited {times}x as long for a CPU as they ran."), TRACE)
            }
            Cause::RunQueue => (format!("run queue: threads waited for a CPU for {share} as long as they ran."), TRACE),
            Cause::Blocked => {
                (format!("blocked: for {share} of the elapsed time at least, no thread could run."), TRACE)
            }
        };
        vec![sentence, format!("Next: {next}")]
    }

    /// Returns the estimated cost of all switches in a line; `None` if there were none.
    fn cost_line(&self) -> Option<String> {
        let (body, totals) = (&self.body, &self.body.totals);
        if totals.switches == 0 {
            return None;
        }
        let line = match (&body.cost_estimate, body.cost_below_share) {
            (Some(estimate), _) => self.estimate_line(estimate),
            (None, Some(share)) => {
                format!("below {} of CPU time, whatever a switch costs; not calibrated", Share(share))
            }
            (None, None) => format!(
                "unknown; `sudo {}` measures and saves it, `--cost calibrate` measures it after stat",
                cost::COMMAND
            ),
        };
        Some(format!("Estimated switch cost: {line}"))
    }

    fn estimate_line(&self, estimate: &CostEstimate) -> String {
        let body = &self.body;
        let cpu_time = range(estimate.cpu_ns, |ns| Span(ns).to_string());
        let Some(share) = estimate.share_of_cpu else {
            return format!("{cpu_time}, and no CPU time to compare it with");
        };
        if share.low > 1.0 {
            return format!(
                "{cpu_time} cannot hold here: more than its CPU time of {}. Its switches cost less than this host's, as where a wake-up serves many",
                Span(body.totals.figures.on_cpu_ns as f64)
            );
        }
        let is_both = estimate.lines.iter().any(|line| line.costs.both().count() == 2);
        let places = match body.only_cpu {
            Some(cpu) => format!(" (CPU {cpu} only)"),
            None if is_both => " (all same-CPU … all cross-CPU)".to_string(),
            None => String::new(),
        };
        let upper = if share.high > 1.0 { "; the higher cost cannot hold here" } else { "" };
        let kernel_thread =
            if body.program.kernel_thread { "; a kernel thread changes no memory map and pays less" } else { "" };
        let share = range(share, |share| Share(share).to_string());
        format!("{cpu_time}, {share} of CPU time{places}{upper}{kernel_thread}")
    }

    /// Returns the number of switches that no accounting has, where it is worth a word.
    fn missing_switches(&self, wide: bool) -> Option<String> {
        let totals = &self.body.totals;
        let most = totals.missing_at_most.map_or(totals.ended_threads, |most| most.min(totals.ended_threads));
        let matters = most as f64 > 0.01 * totals.switches as f64;
        let switches = if most == 1 { "exit switch" } else { "exit switches" };
        (most > 0 && (wide || matters)).then(|| format!("Up to {} {switches} not counted.", Whole(most as f64)))
    }

    /// Returns where the counts come from.
    fn sources(&self) -> String {
        let sources = match (&self.settings.command, self.body.watching.exit_records) {
            (Some(_), true) => "wait4, /proc and taskstats exit records",
            (Some(_), false) => "wait4 and /proc",
            _ if self.settings.cgroup.is_some() => {
                "/proc, and taskstats exit records of what processes in it started; what joined the cgroup and ended between two polls is missing"
            }
            (None, true) => "/proc and taskstats exit records",
            (None, false) => "/proc",
        };
        format!(
            "Counted by {sources}, at no cost to a switch. User and system time are sampled by the kernel at ticks."
        )
    }
}

fn thread_labels(row: &ThreadRow) -> Labels {
    let of = if row.of_program { "program" } else { "child" };
    let mut labels = vec![("process", row.process.clone()), ("thread", row.thread.clone()), ("of", of.to_string())];
    labels.extend(row.tid.map(|tid| ("tid", tid.to_string())));
    labels
}

/// Returns the source of each cost, and the costs that are unknown.
fn cost_sentences(document: &StatDocument) -> Vec<String> {
    let Some(cost_estimate) = &document.body.cost_estimate else { return Vec::new() };
    let sentence = |source: &CostSource| match source {
        CostSource::Saved { file, started_at, conditions } => {
            format!("Switch costs: {file} of {started_at}{}; {conditions}.", age(started_at, &document.started_at))
        }
        CostSource::Calibrated => format!(
            "Switch costs: calibrated afterwards, for a second; `sudo {}` measures and saves better ones.",
            cost::COMMAND
        ),
    };
    let no_range = cost_estimate.lines.iter().any(|line| line.costs.both().count() == 1);
    let no_range = no_range.then(|| match document.body.only_cpu {
        Some(cpu) => format!("All its threads had to run on CPU {cpu}, so costs across CPUs do not apply."),
        None => "Only one switch cost is known, so the range is its interval.".to_string(),
    });
    let left_out = document.body.no_cost.iter().map(|missing| format!("No cost: {missing}."));
    cost_estimate.cost_source.iter().map(sentence).chain(no_range).chain(left_out).collect()
}

/// Returns how much older one moment is than another, in words that follow it.
fn age(moment: &str, now: &str) -> String {
    let [moment, now] = [moment, now].map(|text| humantime::parse_rfc3339(text).ok());
    let age = moment.zip(now).and_then(|(moment, now)| now.duration_since(moment).ok());
    age.map_or(String::new(), |age| {
        let minutes = age.as_secs() / 60;
        match minutes {
            0..60 => format!(" ({minutes} min before)"),
            60..2880 => format!(" ({} h before)", minutes / 60),
            _ => format!(" ({} days before)", minutes / 1440),
        }
    })
}
