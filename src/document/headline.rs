//! The first line of a screen: by which version, on which host, and how.

use crate::document::Document;

/// Returns the first line of a screen: version, kernel, processor with `of_cpu`, then `more`.
pub(crate) fn headline<S, B>(
    document: &Document<S, B>,
    of_cpu: Option<&str>,
    more: impl IntoIterator<Item = String>,
) -> String {
    let (tool, host) = (&document.tool, &document.host);
    let preemption = host.preemption.as_ref().or(host.preemption_at_start.as_ref());
    let kernel = [
        Some(format!("Linux {} {}", host.kernel, host.architecture)),
        preemption
            .map(|model| format!("PREEMPT_{}", if model == "realtime" { "RT".into() } else { model.to_uppercase() })),
        host.tick_hz.as_ref().map(|hz| format!("HZ {hz}")),
    ];
    let guest = host.hypervisor.as_ref().map(|name| format!("{name} guest"));
    let processor = [host.cpu_model.clone(), guest, of_cpu.map(String::from)];
    let parts = [listed(kernel), listed(processor)].into_iter().filter(|part| !part.is_empty());
    let parts = std::iter::once(format!("{} {}", tool.name, tool.version)).chain(parts).chain(more);
    parts.collect::<Vec<_>>().join(" | ")
}

fn listed(facts: [Option<String>; 3]) -> String {
    facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Tool;
    use crate::host::facts::Facts;

    fn document(host: Facts) -> Document<(), ()> {
        let tool = Tool { name: "ctxprof".to_string(), version: "9.8".to_string(), debug_build: false };
        let (schema, started_at) = (String::new(), String::new());
        Document { schema, tool, started_at, host, settings: (), body: (), warnings: Vec::new() }
    }

    #[test]
    fn the_first_line_has_what_decides_the_costs_as_far_as_it_is_known() {
        let some = |text: &str| Some(text.to_string());
        let host = Facts { kernel: "6.18".to_string(), architecture: "x86_64".to_string(), ..Facts::default() };
        assert_eq!(headline(&document(host.clone()), None, []), "ctxprof 9.8 | Linux 6.18 x86_64");
        let host = Facts {
            preemption_at_start: some("none"),
            tick_hz: some("250"),
            cpu_model: some("AMD EPYC"),
            hypervisor: some("KVM"),
            ..host
        };
        let line = headline(&document(host), Some("no PMU"), ["CPU 0".to_string()]);
        assert_eq!(line, "ctxprof 9.8 | Linux 6.18 x86_64, PREEMPT_NONE, HZ 250 | AMD EPYC, KVM guest, no PMU | CPU 0");
    }
}
