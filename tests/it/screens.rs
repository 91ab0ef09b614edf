//! Screens of saved documents: as wide as there is room, with the answer near the top; and those in README and the manual.

use std::fs;

use crate::support::{files_below, on_terminal, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Each document with words of its answer.
const ANSWERS: [(&str, &str); 5] = [
    ("run-2", "A thread switch (thread-pipe) costs 37x [36x, 37x] a tokio task switch"),
    ("sweep-2", "task-channel has a knee between 8.00 KiB and 32.0 KiB"),
    ("list-2", "22 of 22 workloads can be measured"),
    ("compare-2", "perf bench sched pipe -T -l 100000: 5,066 ns/op, ours 4.2 % [3.1, 5.3] more"),
    ("memory-2", "One more thread takes 36.5 KiB"),
];

fn report(name: &str, options: &str) -> String {
    run(&format!("ctxprof report {ROOT}/tests/golden/{name}.json {options}")).expect(0, &[]).stdout
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_screen_has_its_answer_near_the_top_and_fits_any_terminal_in_any_locale() {
    /// Below the heading, or below a run's table of three rows.
    const NEAR_THE_TOP: usize = 13;
    for (name, answer) in ANSWERS {
        for (columns, locale) in
            [60, 80, 98, 200].into_iter().flat_map(|columns| [(columns, "C.UTF-8"), (columns, "C")])
        {
            let arguments = format!("report {ROOT}/tests/golden/{name}.json");
            let text = on_terminal(columns, &format!("NO_COLOR=1 LC_ALL={locale}"), &arguments);
            assert!(text.lines().all(|line| line.chars().count() <= columns as usize), "{columns} {locale}: {text}");
            assert!(locale != "C" || text.is_ascii(), "{columns}: {text}");
            let top = text.lines().take(NEAR_THE_TOP).collect::<Vec<_>>().join(" ");
            assert!(on_one_line(&top).contains(answer), "{columns} {locale}: {text}");
        }
    }
}

#[test]
fn a_screen_of_a_pipe_is_short_and_says_what_was_left_out_of_it_elsewhere() {
    for (name, most_lines) in [("run-2", 25), ("compare-2", 25), ("memory-2", 25), ("list-2", 60), ("sweep-2", 60)] {
        let text = report(name, "");
        assert!(text.lines().count() <= most_lines, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 98), "{text}");
    }
    let text = report("run-2", "");
    let heads = "WORKLOAD ns/switch ±98% ns/op switches/op no-switch net ns/switch relative";
    assert!(text.lines().any(|line| on_one_line(line) == heads), "{text}");
    assert!(!text.contains("v + i") && !text.contains("warning:"), "{text}");
    assert!(
        on_one_line(&text).contains("CPU below full speed in up to 6.6 %; counting overhead (3.7 %) excluded."),
        "{text}"
    );
    let list = report("list-2", "");
    let rows = list.lines().skip_while(|line| !line.starts_with("WORKLOAD")).take_while(|line| !line.is_empty());
    assert!(rows.clone().count() == 23 && rows.clone().all(|line| line.chars().count() <= 80), "{list}");
}

#[test]
fn a_wide_table_is_as_wide_on_a_narrow_terminal_as_in_a_pipe() {
    let piped = report("run-2", "--wide");
    let row = piped.lines().find(|line| line.starts_with("thread-pipe")).unwrap();
    assert!(row.chars().count() > 120 && row.contains("1.14 + 0.86") && row.contains("93 %"), "{piped}");
    let arguments = format!("report {ROOT}/tests/golden/run-2.json --wide");
    let shown = on_terminal(60, "NO_COLOR=1 LC_ALL=C.UTF-8", &arguments);
    assert!(shown.lines().any(|line| line == row), "{shown}");
    assert!(piped.contains("warning: thread-pipe: 6.6 % of samples excluded"), "{piped}");
}

/// Begins the mark above a block of README or the manual that shows a saved document: `<!-- screen: run-2 --wide -->`.
const MARK: &str = "<!-- screen: ";

#[test]
fn screens_in_readme_and_the_manual_are_what_is_printed() {
    let pages = files_below("docs", "md").into_iter().chain([format!("{ROOT}/README.md").into()]);
    let mut checked = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for shown in text.split(MARK).skip(1) {
            let (mark, rest) = shown.split_once(" -->").unwrap();
            let (name, options) = mark.split_once(' ').unwrap_or((mark, ""));
            let block = rest.split("```").nth(1).unwrap_or_else(|| panic!("{}: no block", page.display()));
            // The fence's own line, then the command as one would type it.
            let lines: Vec<&str> = block.trim_end().lines().skip(1).collect();
            let (command, screen) = lines.split_first().unwrap();
            assert!(command.starts_with("$ "), "{}: {command}", page.display());
            let printed = report(name, options);
            let mut rest = printed.trim_end();
            // A line of its own with an ellipsis stands for any number of lines.
            for (at, part) in screen.join("\n").split("…\n").enumerate() {
                let part = part.trim_end_matches("…").trim_end();
                let found = rest.find(part).filter(|found| at > 0 || *found == 0);
                let found = found.unwrap_or_else(|| panic!("{}:\n{part}\nis not in\n{printed}", page.display()));
                rest = &rest[found + part.len()..];
            }
            assert!(screen.last() == Some(&"…") || rest.is_empty(), "{}: not shown:\n{rest}", page.display());
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} marked screens");
}
