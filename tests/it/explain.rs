//! `ctxprof explain`: the meaning of what ctxprof prints.

use crate::support::run;

#[test]
fn a_column_a_reason_a_check_and_a_workload_are_explained() {
    for (asked, words) in [
        ("net", "net ns/switch"),
        ("net_ns_per_switch", "without the calls around it"),
        ("run-queue wait", "runnable without a CPU"),
        ("futex", "mutex"),
        ("steal", "/proc/stat"),
        ("thread-pipe", "One op: round trip"),
        ("context-switches", "kernel switches"),
    ] {
        let text = run(&format!("ctxprof explain {asked}")).expect(0, &[]).stdout;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(text.contains(&words.to_lowercase()), "{words:?} is not in {text}");
    }
    let document = run("ctxprof explain stat --format json").expect(0, &[]).json();
    assert!(document["schema"] == "ctxprof.explain/1" && document["entries"].as_array().unwrap().len() > 10);
}

#[test]
fn an_unknown_word_is_refused_with_those_that_are_near() {
    run("ctxprof explain futx").expect(2, &["\"futx\"", "similar: futex", "`ctxprof explain`"]);
    let stderr = run("ctxprof explain xylophone").expect(2, &["xylophone"]).stderr;
    assert!(!stderr.contains("similar"), "{stderr}");
}

#[test]
fn the_list_has_every_subject_and_each_leads_to_its_words() {
    let document = run("ctxprof explain --format json").expect(0, &[]).json();
    let entries = document["entries"].as_array().unwrap();
    let list = run("ctxprof explain").expect(0, &[]).stdout;
    for subject in ["terms", "run", "reasons", "verdicts", "checks", "workloads", "counters"] {
        assert!(list.lines().any(|line| line.starts_with(subject)), "{subject} is not in {list}");
        let own = run(&format!("ctxprof explain {subject} --format json")).expect(0, &[]).json();
        let of_subject = entries.iter().filter(|entry| entry["subject"] == subject);
        assert!(of_subject.clone().count() > 3, "{subject}");
        assert!(of_subject.clone().all(|entry| own["entries"].as_array().unwrap().contains(entry)), "{subject}");
    }
}
