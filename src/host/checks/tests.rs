use crate::host::checks::*;

#[test]
fn every_check_has_a_name_of_its_own_and_says_why_and_where() {
    let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CHECKS.len());
    for check in CHECKS {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        assert!(check.id.bytes().all(is_word), "{}", check.id);
        assert!(!check.why.ends_with('.') && check.why.len() > 20 && !check.source.is_empty(), "{}", check.id);
    }
}

fn codes(facts: &Facts, realtime: bool) -> Vec<&'static str> {
    of_facts(facts, realtime).iter().map(|remark| remark.code).collect()
}

#[test]
fn a_scaled_or_slowly_read_clock_is_warned_of_in_runs() {
    let check = |governor: Option<&str>, clocksource: &str, expected: &[&str]| {
        let facts = Facts {
            frequency_governor: governor.map(String::from),
            clocksource: Some(clocksource.to_string()),
            ..Facts::default()
        };
        assert_eq!(codes(&facts, false), expected);
    };
    check(None, "tsc", &[]);
    check(Some("performance"), "kvm-clock", &[]);
    check(Some("powersave"), "tsc", &["frequency-scaling"]);
    check(None, "hpet", &["slow-clock"]);
}

#[test]
fn a_limit_on_real_time_is_warned_of_where_participants_are_real_time() {
    let with = |limit: Option<&str>| Facts { sched_rt_runtime_us: limit.map(String::from), ..Facts::default() };
    assert_eq!(codes(&with(Some("950000")), true), ["rt-throttling"]);
    assert_eq!(codes(&with(Some("950000")), false), [""; 0]);
    assert_eq!((codes(&with(Some("-1")), true), codes(&with(None), true)), (vec![], vec![]));
    let message = &of_facts(&with(Some("950000")), true)[0].message;
    assert!(message.contains("950000 µs") && message.contains("sudo sysctl"), "{message}");
}
