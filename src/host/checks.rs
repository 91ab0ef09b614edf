//! What on this host makes the numbers worse.

use crate::host::facts::Facts;

/// Something found: a name that scripts can look for, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: &'static str,
    pub message: String,
}

/// What the facts alone say.
pub fn of_facts(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(governor) = facts.frequency_governor.as_deref().filter(|&governor| governor != "performance") {
        let message = format!(
            "CPU frequency is scaled (governor `{governor}`), and ns move with it; for steady figures: sudo cpupower frequency-set -g performance"
        );
        findings.push(Finding { code: "frequency-scaling", message });
    }
    let slow = |clock: &&str| ["hpet", "acpi_pm", "jiffies"].contains(clock);
    if let Some(clocksource) = facts.clocksource.as_deref().filter(slow) {
        let message = format!("the clocksource is `{clocksource}`, whose every reading is a system call");
        findings.push(Finding { code: "slow-clock", message });
    }
    findings
}

/// What the facts say about parties under a real-time policy.
pub fn of_realtime(facts: &Facts) -> Option<Finding> {
    let runtime_us: i64 = facts.sched_rt_runtime_us.as_deref()?.parse().ok()?;
    (runtime_us >= 0).then(|| Finding {
        code: "rt-throttling",
        message: format!(
            "real-time parties may be stopped when they have had {runtime_us} µs of a second (kernel.sched_rt_runtime_us); samples that it falls into are not clean"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(governor: Option<&str>, clocksource: &str, codes: &[&str]) {
        let facts = Facts {
            frequency_governor: governor.map(String::from),
            clocksource: Some(clocksource.to_string()),
            ..Facts::default()
        };
        assert_eq!(of_facts(&facts).iter().map(|finding| finding.code).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn a_limit_on_real_time_is_found() {
        let limited = |limit: Option<&str>| {
            of_realtime(&Facts { sched_rt_runtime_us: limit.map(String::from), ..Facts::default() })
        };
        assert!(limited(Some("950000")).unwrap().message.contains("950000 µs"));
        assert_eq!((limited(Some("-1")), limited(None)), (None, None));
    }

    #[test]
    fn a_scaled_or_slowly_read_clock_is_found() {
        check(None, "tsc", &[]);
        check(Some("performance"), "kvm-clock", &[]);
        check(Some("powersave"), "tsc", &["frequency-scaling"]);
        check(None, "hpet", &["slow-clock"]);
    }
}
