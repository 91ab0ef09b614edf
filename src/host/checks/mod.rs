//! Registry of checks for what degrades measurements on this host or prevents them.
//!
//! A check is a file's constant and a row here. It reads below a root that a test may bring, and changes nothing. Checks that
//! need facts only also feed the warnings of `run`, with the same judgement.

mod bpf;
mod cgroup;
mod clock;
pub mod context;
mod counting;
mod frequency;
mod idle;
mod kernel;
mod machine;
mod others;
mod processor;
mod scheduler;
mod tool;
mod tracing;
mod window;

use serde::{Deserialize, Serialize};

use crate::host::checks::context::HostContext;
use crate::host::facts::Facts;

/// Severity of a finding for measurements on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Ok,
    /// Worth knowing when results are compared with another host's.
    Info,
    /// It could not be read.
    Unknown,
    /// Results are worse than they could be, or some are missing.
    Warning,
    /// Results mislead, or the kernel's counters are not available at all.
    Serious,
}

impl Severity {
    /// The name in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Info => "info",
            Severity::Unknown => "unknown",
            Severity::Warning => "warning",
            Severity::Serious => "serious",
        }
    }
}

/// One check of `doctor`.
#[derive(Debug)]
pub struct Check {
    /// A name that scripts can look for.
    pub id: &'static str,
    /// Its effect on results when it fails: a clause, to follow what was found.
    pub why: &'static str,
    /// Source of the data; `{cpu}` stands for the pinned CPU.
    pub source: &'static str,
    look: fn(&HostContext<'_>) -> Verdict,
    feeds: Option<Feed>,
}

/// Rule by which a check also becomes a warning of `run`, which knows the facts only.
#[derive(Debug)]
struct Feed {
    /// The warning's name in documents.
    code: &'static str,
    when: When,
    judge: fn(&Facts) -> Option<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// If the check warns.
    Always,
    /// If participants run under a real-time policy and the check finds something.
    RealTime,
}

/// The finding, or the reason why there is none.
type Verdict = Result<Found, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    severity: Severity,
    what: String,
    fix: Option<String>,
}

impl Found {
    fn new(severity: Severity, what: impl Into<String>) -> Found {
        Found { severity, what: what.into(), fix: None }
    }

    fn ok(what: impl Into<String>) -> Found {
        Found::new(Severity::Ok, what)
    }

    fn info(what: impl Into<String>) -> Found {
        Found::new(Severity::Info, what)
    }

    fn unknown(what: impl Into<String>) -> Found {
        Found::new(Severity::Unknown, what)
    }

    fn warning(what: impl Into<String>) -> Found {
        Found::new(Severity::Warning, what)
    }

    fn serious(what: impl Into<String>) -> Found {
        Found::new(Severity::Serious, what)
    }

    /// The same, with the command that changes it.
    fn fix(mut self, command: impl Into<String>) -> Found {
        self.fix = Some(command.into());
        self
    }
}

/// Every check, in reading order: permission to count, the processor, the kernel, the environment, other processes, tools.
pub static CHECKS: &[&Check] = &[
    &counting::PARANOID,
    &counting::PERF_EVENTS,
    &counting::SECCOMP,
    &counting::PMU,
    &clock::TSC,
    &clock::CLOCKSOURCE,
    &frequency::GOVERNOR,
    &frequency::TURBO,
    &processor::SMT,
    &processor::ISOLATED,
    &window::INTERRUPTS,
    &window::LOAD,
    &window::STEAL,
    &scheduler::REALTIME,
    &scheduler::SCHEDULER,
    &kernel::PREEMPTION,
    &kernel::TICK,
    &kernel::MITIGATIONS,
    &kernel::PRESSURE,
    &idle::IDLE,
    &machine::VIRTUAL,
    &machine::CONTAINER,
    &cgroup::DEPTH,
    &cgroup::QUOTA,
    &tracing::TRACERS,
    &tracing::PROBES,
    &bpf::BTF,
    &bpf::RIGHTS,
    &others::OBSERVERS,
    &others::DEBUGGER,
    &tool::PERF,
    &tool::GO,
];

/// Result of one check on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static Check,
    pub severity: Severity,
    /// The finding; if unknown, the reason.
    pub found: String,
    /// The command that changes it, if there is one.
    pub fix: Option<String>,
    /// Source of the data.
    pub source: String,
}

impl PartialEq for Check {
    fn eq(&self, other: &Check) -> bool {
        self.id == other.id
    }
}

impl Eq for Check {}

/// Runs every check; returns one finding each, in the registry's order.
pub fn examine(context: &HostContext<'_>) -> Vec<Finding> {
    let finding = |check: &&'static Check| {
        let Found { severity, what, fix } = (check.look)(context).unwrap_or_else(Found::unknown);
        let source = check.source.replace("{cpu}", &context.cpu.to_string());
        Finding { check, severity, found: what, fix, source }
    };
    CHECKS.iter().map(finding).collect()
}

/// A warning of `run`: a code for scripts and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub code: &'static str,
    pub message: String,
}

/// Returns the warnings that follow from the facts alone; more of them if participants run under a real-time policy.
pub fn of_facts(facts: &Facts, realtime: bool) -> Vec<Remark> {
    let remark = |check: &&Check| {
        let feed = check.feeds.as_ref()?;
        let found = (feed.judge)(facts)?;
        let is_due = match feed.when {
            When::Always => found.severity >= Severity::Warning,
            When::RealTime => realtime && found.severity >= Severity::Info,
        };
        let fix = found.fix.map_or(String::new(), |fix| format!("; to change that: {fix}"));
        is_due.then(|| Remark { code: feed.code, message: format!("{}: {}{fix}", found.what, check.why) })
    };
    CHECKS.iter().filter_map(remark).collect()
}

#[cfg(test)]
mod tests;
