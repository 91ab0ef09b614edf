//! Help texts and shell completions of the commands, and errors for wrong command lines.

use crate::support::run;

#[test]
fn help_groups_the_commands_marks_the_start_and_ends_with_examples() {
    let help = run("ctxprof --help").expect(0, &[]).stdout;
    let at = |words: &str| help.find(words).unwrap_or_else(|| panic!("{words:?} is not in the help:\n{help}"));
    assert!(at("Measure this machine:") < at("start here") && at("start here") < at("Results:"));
    assert!(at("Results:") < at("Host and tool:") && at("Host and tool:") < at("Examples:"));
    assert!(run("ctxprof run --help").expect(0, &[]).stdout.contains("Examples:"));
}

#[test]
fn nothing_said_shows_the_help_and_is_wrong_usage() {
    run("ctxprof").expect(2, &["start here"]);
}

#[test]
fn mistyped_words_get_the_nearest() {
    run("ctxprof rnu").expect(2, &["'run'"]);
    run("ctxprof run thread-pip").expect(2, &["'thread-pipe'"]);
    run("ctxprof run taskchanel").expect(2, &["'task-channel'"]);
    run("ctxprof run --repetition 3").expect(2, &["--repetitions"]);
}

#[test]
fn impossible_numbers_are_wrong_usage() {
    for options in [
        "--repetitions 0",
        "--time 0",
        "--time -3",
        "--time inf",
        "--samples 0",
        "--ops-per-sample 99999999999",
        "--cpu one",
    ] {
        run(&format!("ctxprof run {options}")).expect(2, &["error:"]);
    }
}

#[test]
fn completions_know_the_workloads() {
    // Fish's generator of clap_complete knows commands and options only.
    for (shell, word) in [("bash", "task-channel"), ("zsh", "task-channel"), ("fish", "repetitions")] {
        let script = run(&format!("ctxprof completions {shell}")).expect(0, &[]).stdout;
        assert!(script.contains("ctxprof") && script.contains(word), "{shell}");
    }
    run("ctxprof completions tcsh").expect(2, &["bash"]);
}

#[test]
fn the_manual_page_is_roff_for_every_command() {
    let page = run("ctxprof man").expect(0, &[]).stdout;
    assert!(page.contains(".TH") && page.contains("start here"), "{page}");
    assert!(run("ctxprof man run").expect(0, &[]).stdout.contains("repetitions"));
    run("ctxprof man walk").expect(1, &["no command"]);
}

#[test]
fn the_list_says_what_is_available_and_why_the_rest_is_not() {
    let document = run("ctxprof list --format json").expect(0, &[]).json();
    assert_eq!(document["schema"], "ctxprof.list/2");
    let workloads = document["workloads"].as_array().unwrap();
    assert!(workloads.iter().any(|workload| workload["name"] == "thread-pipe" && workload["default"] == true));
    for counter in document["counters"].as_array().unwrap() {
        assert_ne!(counter["available"].as_bool().unwrap(), counter["reason"].is_string(), "{counter}");
    }
}
