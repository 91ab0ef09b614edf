//! Go's benchmarks: the command that runs one of a test program's, and the parser of its output.
//!
//! # References
//! "Go Benchmark Data Format", <https://go.dev/design/14313-benchmark-format>.

mod lines;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tool::figures::{self, refuse};
use crate::tool::system;

pub use lines::{Configuration, Lines, Taken};

/// A line of results.
#[derive(Debug, Clone, PartialEq)]
pub struct Benchmark {
    /// As in Go's sources, `BenchmarkContextSwitch`. If its own name ends in a dash and a number, as those of sub-benchmarks may, that
    /// is taken for `procs`: Go writes both in the same way.
    pub name: String,
    /// `GOMAXPROCS`, which Go writes unless it is 1.
    pub procs: Option<u32>,
    /// Both as Go wrote them, `BenchmarkContextSwitch-2`: distinguishes rows.
    pub printed: String,
    pub iterations: u64,
    pub ns_per_op: f64,
}

/// Go's error messages, at the beginning of a line or within one of results.
const TROUBLE: [&str; 5] = ["FAIL", "--- FAIL", "--- SKIP", "panic:", "fatal error:"];

/// Returns the command for one benchmark on one processor, `count` times for `time`: `1s`, or `50000x` for a number of ops.
pub fn command(test_program: &Path, name: &str, time: &str, count: u32) -> Command {
    let mut command = Command::new(test_program);
    system::clear_environment(&mut command);
    command.args(["-test.run", "^$", "-test.bench", &format!("^{name}$"), "-test.cpu", "1"]);
    command.args(["-test.benchtime", time, "-test.count", &count.to_string()]);
    command
}

/// Parses the output of `go test -bench`: one per line of results, in order. Columns other than ns/op are skipped, and so is other
/// output of a package.
///
/// # Errors
/// A benchmark or the test failed or was skipped, a line of results is malformed, there is none, or the output ends before Go's
/// `PASS`; shows the line.
pub fn parse(output: &str) -> Result<Vec<Benchmark>> {
    const WHAT: &str = "go test -bench";
    let mut benchmarks = Vec::new();
    let mut passed = false;
    for line in output.lines() {
        if let Some(trouble) = TROUBLE.iter().find(|trouble| line.trim_start().starts_with(**trouble)) {
            return Err(refuse(WHAT, line, &format!("{trouble} in place of results")));
        }
        if line.starts_with("Benchmark") {
            benchmarks.push(row(line).map_err(|error| refuse(WHAT, line, &error.to_string()))?);
        }
        passed |= line.trim_end() == "PASS";
    }
    match output.lines().rev().find(|line| !line.trim().is_empty()) {
        None => bail!("{WHAT} printed nothing"),
        Some(last) if !passed => Err(refuse(WHAT, last, "its last line, and no PASS before it")),
        Some(last) if benchmarks.is_empty() => Err(refuse(WHAT, last, "its last line, and no results before it")),
        Some(_) => Ok(benchmarks),
    }
}

/// `BenchmarkContextSwitch-8   \t 9725066\t       159 ns/op\t       0 B/op`
fn row(line: &str) -> Result<Benchmark> {
    let mut words = line.split_whitespace();
    let printed = words.next().context("no name")?;
    let figures = columns(words)?;
    let suffixed = printed.rsplit_once('-').and_then(|(name, suffix)| {
        let procs = u32::try_from(figures::count(suffix).ok()?).ok()?;
        Some((name, Some(procs)))
    });
    let (name, procs) = suffixed.unwrap_or((printed, None));
    Ok(Benchmark {
        name: name.to_string(),
        procs,
        printed: printed.to_string(),
        iterations: figures.0,
        ns_per_op: figures.1,
    })
}

/// Returns the iterations and the ns/op from the columns after a name: `9725066\t       159 ns/op\t       0 B/op`.
fn columns<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<(u64, f64)> {
    let iterations = figures::count(words.next().context("a name without results")?)?;
    let columns: Vec<&str> = words.collect();
    let mut ns_per_op = None;
    for column in columns.chunks(2) {
        let [value, unit] = column else { bail!("{:?} has no unit", column[0]) };
        if *unit == "ns/op" && ns_per_op.replace(figures::positive(value)?).is_some() {
            bail!("two columns of ns/op");
        }
    }
    Ok((iterations, ns_per_op.context("no ns/op")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Go 1.19.8, `go test -bench 'Channel$|Oneway$' -benchtime 1000x -count 2 -cpu 1,2` of loops like ours.
    const GO_1_19: &str = "goos: linux
goarch: amd64
pkg: ctxprof/goroutine
cpu: AMD EPYC
BenchmarkChannel     \t    1000\t       213.9 ns/op\t       0 B/op\t       0 allocs/op
BenchmarkChannel     \t    1000\t       253.0 ns/op\t       0 B/op\t       0 allocs/op
BenchmarkChannel-2   \t    1000\t       255.0 ns/op\t       0 B/op\t       0 allocs/op
BenchmarkZ/size-16   \t    1000\t         0.8410 ns/op\t9512.49 MB/s\t         3.500 widgets/op
BenchmarkZ/size-16-2 \t    1000\t         1.312 ns/op\t6097.56 MB/s\t         3.500 widgets/op
BenchmarkLogs        \t    1000\t         7.110 ns/op
--- BENCH: BenchmarkLogs
    x_test.go:5: said
PASS
";

    // Go 1.10 or so on macOS, as readers of "Concurrency in Go" (K. Cox-Buday, chapter 3) have published it.
    const GO_1_10: &str = "goos: darwin
goarch: amd64
BenchmarkContextSwitch-4        10000000               238 ns/op
PASS
ok      _/Users/rack/golangCodeBase/books/concurrencyInGo/chapter3      2.633s
";

    // Go 1.15 or newer, which names the processor too; published likewise.
    const GO_1_15: &str = "goos: darwin
goarch: amd64
cpu: Intel(R) Core(TM) i7-7820HQ CPU @ 2.90GHz
BenchmarkContextSwitch   6457441               175.2 ns/op
PASS
ok      command-line-arguments  1.328s
";

    fn check(output: &str, expected: &[(&str, Option<u32>, u64, f64)]) {
        let found = parse(output).unwrap();
        let found: Vec<_> =
            found.iter().map(|each| (each.name.as_str(), each.procs, each.iterations, each.ns_per_op)).collect();
        assert_eq!(found, expected);
    }

    fn check_refused(output: &str, words: &[&str]) {
        let error = format!("{:#}", parse(output).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    }

    #[test]
    fn results_of_several_versions_are_understood_in_order() {
        check(
            GO_1_19,
            &[
                ("BenchmarkChannel", None, 1000, 213.9),
                ("BenchmarkChannel", None, 1000, 253.0),
                ("BenchmarkChannel", Some(2), 1000, 255.0),
                // One processor here: Go writes it in the same way as 16 processors.
                ("BenchmarkZ/size", Some(16), 1000, 0.841),
                ("BenchmarkZ/size-16", Some(2), 1000, 1.312),
                ("BenchmarkLogs", None, 1000, 7.11),
            ],
        );
        check(GO_1_10, &[("BenchmarkContextSwitch", Some(4), 10_000_000, 238.0)]);
        check(GO_1_15, &[("BenchmarkContextSwitch", None, 6_457_441, 175.2)]);
    }

    #[test]
    fn what_went_wrong_is_shown_with_its_line() {
        // Go 1.19.8, of a benchmark that calls b.Fatal, and of one that panics.
        check_refused(
            "goos: linux\n--- FAIL: BenchmarkFails\n    x_test.go:3: why\nFAIL\n",
            &["--- FAIL: BenchmarkFails"],
        );
        check_refused("BenchmarkPanics-2   \tpanic: boom\n\ngoroutine 5 [running]:\n", &["panic: boom"]);
        check_refused("BenchmarkA 10 5 ns/op\nFAIL\n", &["\"FAIL\""]);
        check_refused("BenchmarkA 10 5 ns/op\nPASS\nfatal error: all goroutines are asleep\n", &["asleep"]);
        check_refused("goos: linux\n--- SKIP: BenchmarkSkips\nPASS\n", &["--- SKIP: BenchmarkSkips"]);
    }

    #[test]
    fn a_line_of_results_is_as_it_should_be_or_refused() {
        for (row, words) in [
            ("BenchmarkA", "a name without results"),
            ("BenchmarkA\t", "a name without results"),
            ("BenchmarkA 10", "no ns/op"),
            ("BenchmarkA 10 5", "\"5\" has no unit"),
            ("BenchmarkA 10 5 n", "no ns/op"),
            ("BenchmarkA 10 0 B/op", "no ns/op"),
            ("BenchmarkA 10 5 ns/op 6 ns/op", "two columns"),
            ("BenchmarkA 10 0 ns/op", "\"0\" is not above 0"),
            ("BenchmarkA 0 5 ns/op", "\"0\" is not above 0"),
            ("BenchmarkA 10 213,9 ns/op", "\"213,9\" is no number"),
            ("BenchmarkA 10 -5 ns/op", "\"-5\" is no number"),
            ("BenchmarkA 10 NaN ns/op", "\"NaN\" is no number"),
            ("BenchmarkA 10 inf ns/op", "\"inf\" is no number"),
            ("BenchmarkA 1e3 5 ns/op", "\"1e3\" is no number"),
            ("BenchmarkA 99999999999999999999 5 ns/op", "too large"),
        ] {
            check_refused(&format!("{row}\nPASS\n"), &[words, "go test -bench", row.trim()]);
        }
    }

    #[test]
    fn output_that_is_not_all_there_is_refused() {
        check_refused("", &["printed nothing"]);
        check_refused("\n\n", &["printed nothing"]);
        check_refused("goos: linux\nPASS\n", &["no results", "\"PASS\""]);
        check_refused("BenchmarkA 10 5 ns/op\n", &["no PASS", "BenchmarkA 10 5 ns/op"]);
    }

    #[test]
    fn a_benchmark_is_asked_for_by_its_whole_name() {
        let command = command(Path::new("/a/test"), "BenchmarkContextSwitch", "50000x", 20);
        assert_eq!(
            crate::tool::words(&command).join(" "),
            "/a/test -test.run ^$ -test.bench ^BenchmarkContextSwitch$ -test.cpu 1 -test.benchtime 50000x -test.count 20"
        );
    }

    proptest! {
        #[test]
        fn no_output_brings_the_parser_down(output in "(?s).{0,200}", row in "Benchmark[-A-Za-z0-9/ \t.,op]{0,80}") {
            let _ = parse(&output);
            let _ = parse(&format!("{row}\n{output}\nPASS\n"));
        }

        #[test]
        fn what_go_writes_is_what_is_read(
            rows in prop::collection::vec(("[A-Z][a-z/]{0,12}", prop::option::of(2u32..=512), 1u64.., 1u64..10_000_000), 1..8)
        ) {
            let mut output = "goos: linux\ngoarch: amd64\n".to_string();
            let mut expected = Vec::new();
            for (name, procs, iterations, thousandths) in rows {
                let suffix = procs.map(|procs| format!("-{procs}")).unwrap_or_default();
                let ns_per_op = thousandths as f64 / 1000.0;
                let printed = format!("Benchmark{name}{suffix}");
                output += &format!("Benchmark{name}{suffix}\t{iterations:8}\t{ns_per_op:10.3} ns/op\t{:8} B/op\n", 0);
                expected.push(Benchmark { name: format!("Benchmark{name}"), procs, printed, iterations, ns_per_op });
            }
            output += "PASS\nok  \tpackage\t1.234s\n";
            prop_assert_eq!(parse(&output).unwrap(), expected);
        }
    }
}
