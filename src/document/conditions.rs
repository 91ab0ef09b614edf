//! Facts of the host and the moment beyond the heading: a page is read elsewhere, and later.

use crate::document::Document;
use crate::output::view::Condition;
use crate::unit::Bytes;

/// Returns every fact that could be read, in the order in which one looks for the cause of surprising numbers.
pub(crate) fn of<S, B>(document: &Document<S, B>) -> Vec<Condition> {
    let host = &document.host;
    let on_cpus = |cpus: &Option<String>| cpus.as_ref().map_or(String::new(), |cpus| format!(" (CPUs {cpus})"));
    let caches: Vec<String> = host
        .caches
        .iter()
        .map(|cache| format!("{} {}{}", cache.name(), Bytes(cache.size_bytes as f64), on_cpus(&cache.shared_cpus)))
        .collect();
    let build = if document.tool.debug_build { " (debug build)" } else { "" };
    let kernel = [&host.kernel, &host.kernel_build].map(String::as_str).join(" ");
    let all = [
        (Condition::MEASURED, Some(document.started_at.clone())),
        ("by", Some(format!("{} {}{build}", document.tool.name, document.tool.version))),
        (Condition::KERNEL, Some(kernel.trim().to_string())),
        (Condition::CPU, host.cpu_model.clone()),
        (Condition::HYPERVISOR, host.hypervisor.clone()),
        ("pinned to", host.pinned_cpu.map(|_| host.pinned_to())),
        ("CPUs online", host.online_cpus.clone()),
        ("CPUs allowed", host.allowed_cpus.clone()),
        ("SMT siblings", host.smt_siblings.clone()),
        ("caches", Some(caches.join(", "))),
        ("clocksource", host.clocksource.clone()),
        ("frequency governor", host.frequency_governor.clone()),
        ("mitigations", host.mitigations.clone()),
        ("preemption", host.preemption.clone()),
        ("preemption at start", host.preemption_at_start.clone()),
        ("HZ", host.tick_hz.clone()),
        ("base slice", host.base_slice_ns.as_ref().map(|ns| format!("{ns} ns"))),
        ("autogroup", host.autogroup.clone()),
        ("sched_rt_runtime_us", host.sched_rt_runtime_us.clone()),
        ("perf_event_paranoid", host.perf_event_paranoid.clone()),
        ("user ID", Some(host.user_id.to_string())),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    known.map(|(name, value)| Condition { name, value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::document::run::RunDocument;

    #[test]
    fn what_is_known_is_told_and_what_is_not_is_left_out() {
        let mut document: RunDocument = serde_json::from_str(include_str!("../../tests/golden/run-2.json")).unwrap();
        document.host.clocksource = Some("tsc".to_string());
        document.host.frequency_governor = None;
        let conditions = of(&document);
        let value =
            |name: &str| conditions.iter().find(|condition| condition.name == name).map(|known| &known.value[..]);
        assert_eq!(value("clocksource"), Some("tsc"));
        assert_eq!(value("frequency governor"), None);
        assert_eq!(value("measured"), Some(&document.started_at[..]));
        assert!(value("kernel").unwrap().starts_with(&document.host.kernel));
    }
}
