//! Metrics of every document, whatever it is about.

use std::slice;
use std::time::UNIX_EPOCH;

use crate::document::{Document, Ending, Warning};
use crate::output::metrics::{Labels, Metrics, Quantity};

impl Metrics {
    /// Returns the metrics of every document: when, where and with what it was measured, and its warnings.
    ///
    /// Each sample carries the command, so that the files of several commands can lie in one folder: of samples with the
    /// same labels node_exporter keeps one, and logs an error at every scrape.
    pub fn of<S, B>(document: &Document<S, B>) -> Metrics {
        let mut metrics = Metrics::default();
        metrics
            .rows(slice::from_ref(document), command)
            .figure("started_timestamp", Quantity::Seconds, "Start of the measurement, Unix time", |document| {
                let moment = humantime::parse_rfc3339(&document.started_at).ok()?;
                Some(moment.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
            })
            .info("tool_info", "Version and build of ctxprof", |document| {
                let build = if document.tool.debug_build { "debug" } else { "release" };
                vec![("version", Some(document.tool.version.clone())), ("build", Some(build.to_string()))]
            })
            .info("host_info", "Kernel and hardware of the host", |document| {
                let host = &document.host;
                vec![
                    ("kernel", Some(host.kernel.clone())),
                    ("kernel_build", Some(host.kernel_build.clone())),
                    ("architecture", Some(host.architecture.clone())),
                    ("cpu_model", host.cpu_model.clone()),
                    ("hypervisor", host.hypervisor.clone()),
                    ("clocksource", host.clocksource.clone()),
                    ("frequency_governor", host.frequency_governor.clone()),
                    ("preemption", host.preemption.clone()),
                    ("mitigations", host.mitigations.clone()),
                    ("online_cpus", host.online_cpus.clone()),
                    ("pinned_cpu", host.pinned_cpu.map(|cpu| cpu.to_string())),
                ]
            })
            .samples("warning_info", Quantity::Count, "Warnings about the report, by code", |document| {
                codes(&document.warnings)
            });
        metrics
    }
}

/// Returns the command as the label of figures that a document has once.
pub(crate) fn command<S, B>(document: &Document<S, B>) -> Labels {
    let name = document.schema.split('/').next().unwrap_or_default();
    vec![("command", name.strip_prefix("ctxprof.").unwrap_or(name).to_string())]
}

/// Returns a sample per warning, labelled with its code: the message has figures in it, which would make every report another
/// series.
pub(crate) fn codes(warnings: &[Warning]) -> Vec<(Labels, f64)> {
    warnings.iter().map(|warning| (vec![("code", warning.code.clone())], 1.0)).collect()
}

/// Returns 1 for a complete measurement, 0 for one that was ended early.
pub(crate) fn completeness(ending: &Ending) -> Option<f64> {
    Some(f64::from(u8::from(*ending == Ending::Complete)))
}
