//! Files without results: the commonest things that people save in place of a benchmark's output.

use anyhow::{Error, anyhow};

use crate::bench::external::saved::{PassedOver, shown};

/// Test that recognizes a line, and what it says about its file.
struct Look {
    is_so: fn(&str) -> bool,
    says: &'static str,
}

/// The first that fits a line is reported.
const LOOKS: &[Look] = &[
    Look {
        is_so: |line| line.starts_with('{') && line.contains("\"Action\":"),
        says: "this is `go test -json` output; save what `go test -bench` prints without -json",
    },
    Look {
        is_so: |line| line.contains("\"schema\"") && line.contains("\"ctxprof."),
        says: "this is a document of ctxprof's; `ctxprof report` shows it, `ctxprof diff` compares two runs",
    },
    Look {
        is_so: |line| {
            line.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype")) || line.starts_with("<html")
        },
        says: "this is a web page; save the text",
    },
    Look {
        is_so: |line| line.contains("sec/op") || line.contains("time/op"),
        says: "this looks like benchstat's; give the files that benchstat was given",
    },
    Look {
        is_so: |line| line.starts_with("# Running") && line.contains("sched/messaging"),
        says: "this is `perf bench sched messaging`, which prints a total and no time per op; `perf bench sched pipe` prints one",
    },
    Look {
        is_so: |line| line.starts_with("# Running") && !line.contains("sched/pipe"),
        says: "this is another of perf's benchmarks; `perf bench sched pipe` is the one that is compared",
    },
    Look {
        is_so: |line| line.starts_with("Performance counter stats for"),
        says: "this is `perf stat` output, without that of a benchmark",
    },
    Look {
        is_so: |line| line.parse::<f64>().is_ok(),
        says: "this looks like `perf bench --format simple`, which prints a total without the number of ops; leave --format out",
    },
    Look {
        is_so: |line| line.starts_with("--- FAIL") || line.starts_with("panic:"),
        says: "the benchmark failed before it had a result",
    },
];

/// Returns the error that no result is in these lines.
pub(super) fn error(lines: &[String], passed_over: &[PassedOver]) -> Error {
    const NO_RESULT: &str = "no result of `go test -bench` or `perf bench sched pipe` is in it";
    let numbered = || (1..).zip(lines.iter().map(|line| line.trim()));
    for (number, line) in numbered() {
        if let Some(look) = LOOKS.iter().find(|look| (look.is_so)(line)) {
            return anyhow!("{NO_RESULT}: {} (line {number}, \"{}\")", look.says, shown(line));
        }
    }
    let reasoned = passed_over.iter().find_map(|passed| Some((passed.lines.0, &passed.text, passed.why.as_ref()?)));
    if let Some((number, text, why)) = reasoned {
        return anyhow!("{NO_RESULT}: line {number}, \"{text}\": {why}");
    }
    match numbered().find(|(_, line)| !line.is_empty()) {
        Some((number, line)) => {
            anyhow!("{NO_RESULT}: line {number}, \"{}\", is neither tool's or no result", shown(line))
        }
        None => anyhow!("{NO_RESULT}: it is empty"),
    }
}
