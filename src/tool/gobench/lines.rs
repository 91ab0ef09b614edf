//! Saved output of `go test -bench`, line by line: it may be filtered, put together from several files, or mixed with other
//! programs' output.
//!
//! # References
//! "Go Benchmark Data Format", <https://go.dev/design/14313-benchmark-format>, and golang.org/x/perf/benchfmt, which skips unknown
//! lines, too.

use std::collections::BTreeMap;

use crate::tool::Line;
use crate::tool::gobench::{Benchmark, columns, row};

/// Configuration lines above results, by key: `pkg`, `goos`, `cpu` and any other.
pub type Configuration = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Counted from 1.
    pub line: usize,
    pub benchmark: Benchmark,
    pub configuration: Configuration,
}

/// A reader of lines, with its results so far.
#[derive(Debug, Default)]
pub struct Lines {
    pub results: Vec<Taken>,
    configuration: Configuration,
    /// A name whose results are on a later line: a benchmark's own output comes between.
    pending: Option<String>,
    /// Reason why the previous line was skipped, if it reports an error: indented lines below belong to it.
    trouble: Option<&'static str>,
    /// True if Go has printed its end since the last result.
    ended: bool,
}

/// Go's error messages, at the beginning of a line, with the reason to report.
const TROUBLE: [(&str, &str); 7] = [
    ("--- SKIP", "skipped"),
    ("--- FAIL", "failed"),
    ("FAIL", "a benchmark or a test failed"),
    ("exit status", "a benchmark or a test failed"),
    ("panic:", "ended by a panic"),
    ("fatal error:", "ended by the runtime"),
    ("testing:", "Go's warning"),
];
/// Go's other output, at the beginning of a line.
const KNOWN: [&str; 6] = ["--- BENCH", "--- PASS", "=== ", "?   \t", "Unit ", "PASS"];
/// Words before a colon in messages of Go and its tools, which are no configuration's keys.
const NO_KEYS: [&str; 4] = ["go", "warning", "error", "note"];

impl Lines {
    pub fn take(&mut self, number: usize, line: &str) -> Line {
        if is_log(line) {
            return self.trouble.map_or(Line::Known, |why| Line::PassedOver(why.to_string()));
        }
        self.trouble = None;
        let words = line.trim();
        if let Some((_, why)) = TROUBLE.iter().find(|(start, _)| words.starts_with(start)) {
            self.pending = None;
            self.trouble = Some(why);
            return Line::PassedOver(why.to_string());
        }
        if is_end(words) {
            (self.pending, self.ended) = (None, true);
            return Line::Known;
        }
        if let Some(name) = self.pending.take_if(|name| columns_of(name, words).is_some()) {
            return self.result(number, columns_of(&name, words));
        }
        if let Some(from) = benchmark_in(line) {
            return self.benchmark(number, from);
        }
        if let Some((key, value)) = configured(line) {
            self.configuration.insert(key.to_string(), value.to_string());
            return Line::Known;
        }
        if KNOWN.iter().any(|known| words.starts_with(known)) { Line::Known } else { Line::Foreign }
    }

    /// Returns true if there are results, and Go has not printed its end after them.
    pub fn is_cut_off(&self) -> bool {
        !self.results.is_empty() && !self.ended
    }

    fn benchmark(&mut self, number: usize, line: &str) -> Line {
        let name = line.split_whitespace().next().unwrap_or_default();
        if line.trim() == name {
            // `go test -v` announces each like this.
            self.pending = Some(name.to_string());
            return Line::Known;
        }
        match row(line) {
            Ok(benchmark) => self.result(number, Some(benchmark)),
            Err(error) => {
                self.pending = Some(name.to_string());
                Line::PassedOver(error.to_string())
            }
        }
    }

    fn result(&mut self, line: usize, benchmark: Option<Benchmark>) -> Line {
        (self.pending, self.ended) = (None, false);
        let taken = |benchmark| Taken { line, benchmark, configuration: self.configuration.clone() };
        self.results.extend(benchmark.map(taken));
        Line::Known
    }
}

/// `    x_test.go:9: needs huge pages`
fn is_log(line: &str) -> bool {
    let within = || {
        let (_, rest) = line.split_once(".go:")?;
        rest.split_once(':').map(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    line.starts_with([' ', '\t']) && within() == Some(true)
}

/// `PASS`, or `ok  \texample.test/pingpong\t1.100s`
fn is_end(words: &str) -> bool {
    words == "PASS" || words.strip_prefix("ok").is_some_and(|rest| rest.starts_with([' ', '\t']))
}

/// Returns a benchmark of this name with the results of a line that has nothing else.
fn columns_of(name: &str, words: &str) -> Option<Benchmark> {
    columns(words.split_whitespace()).ok()?;
    row(&format!("{name} {words}")).ok()
}

/// Returns the line from a benchmark's name on: output without an end of line, or a log's time, may come before it.
fn benchmark_in(line: &str) -> Option<&str> {
    let is_name = |from: &&str| {
        let after = from.strip_prefix("Benchmark").and_then(|rest| rest.chars().next());
        // By Go's rule, Benchmarking is no benchmark's name.
        after.is_none_or(|char| !char.is_lowercase())
    };
    let start = line.trim_start();
    if start.starts_with("Benchmark") {
        return Some(start).filter(is_name);
    }
    if start.starts_with(['#', '/']) {
        return None;
    }
    let at = line.match_indices("Benchmark").map(|(at, _)| at).filter(|at| line[..*at].ends_with([' ', '\t']));
    // Go writes a tab before the number; a line quoted in a sentence hardly has one.
    at.map(|at| &line[at..]).filter(is_name).find(|from| row(from).is_ok() && from.contains('\t'))
}

/// `pkg: example.test/pingpong`: a word that begins with a lower-case letter, without others.
fn configured(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let begins_so = key.chars().next().is_some_and(char::is_lowercase);
    let is_key = begins_so && !key.chars().any(|char| char.is_whitespace() || char.is_uppercase());
    let is_value = value.is_empty() || value.starts_with([' ', '\t']);
    (is_key && is_value && !NO_KEYS.contains(&key)).then(|| (key, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts the results of a text, and its skipped lines with the reasons.
    fn check(text: &str, results: &[(&str, f64)], passed_over: &[(usize, &str)]) {
        let mut lines = Lines::default();
        let mut passed = Vec::new();
        for (at, line) in text.lines().enumerate() {
            match lines.take(at + 1, line) {
                Line::PassedOver(why) => passed.push((at + 1, why)),
                Line::Foreign if !line.trim().is_empty() => passed.push((at + 1, String::new())),
                _ => (),
            }
        }
        let of = |taken: &Taken| (taken.benchmark.printed.clone(), taken.benchmark.ns_per_op);
        let found: Vec<(String, f64)> = lines.results.iter().map(of).collect();
        let found: Vec<(&str, f64)> = found.iter().map(|(name, ns)| (name.as_str(), *ns)).collect();
        assert_eq!(found, results, "{text}");
        let passed: Vec<(usize, &str)> = passed.iter().map(|(line, why)| (*line, why.as_str())).collect();
        assert_eq!(passed, passed_over, "{text}");
    }

    #[test]
    fn what_go_prints_around_results_is_known() {
        // Go 1.19.8 with -v, and Go 1.20 and newer, which writes === lines, too.
        check(
            "goos: linux\ncpu: Some CPU @ 2.90GHz\n=== RUN   BenchmarkPing\nBenchmarkPing\n    x_test.go:5: said\nBenchmarkPing-2   \t      10\t        15.00 ns/op\n--- BENCH: BenchmarkPing-2\n    x_test.go:5: said\nPASS\nok  \texample.test/play\t0.755s\n?   \texample.test/none\t[no test files]\n",
            &[("BenchmarkPing-2", 15.0)],
            &[],
        );
    }

    #[test]
    fn trouble_is_passed_over_with_what_belongs_to_it() {
        check(
            "BenchmarkA-2\t10\t5 ns/op\n--- FAIL: BenchmarkB\n    x_test.go:8: why\n--- SKIP: BenchmarkC\nBenchmarkD-2\t5000\t 41250 switches/s\nFAIL\nexit status 1\nFAIL\texample.test/play\t0.7s\n",
            &[("BenchmarkA-2", 5.0)],
            &[
                (2, "failed"),
                (3, "failed"),
                (4, "skipped"),
                (5, "no ns/op"),
                (6, "a benchmark or a test failed"),
                (7, "a benchmark or a test failed"),
                (8, "a benchmark or a test failed"),
            ],
        );
    }

    #[test]
    fn a_name_and_its_results_may_stand_apart() {
        // Go 1.19.8, of a benchmark that prints: with an end of line, and without one in -v.
        check(
            "BenchmarkPrint-2   \thello from it\n        1\t      3545 ns/op\n",
            &[("BenchmarkPrint-2", 3545.0)],
            &[(1, "\"hello\" is no number of things")],
        );
        check(
            "BenchmarkPrint\nno newline BenchmarkPrint-2    \t      10\t      3752 ns/op\n",
            &[("BenchmarkPrint-2", 3752.0)],
            &[],
        );
        check("BenchmarkPrint-2 \t\nlogged\n  1\t 7 ns/op\n", &[("BenchmarkPrint-2", 7.0)], &[(2, "")]);
        check("BenchmarkA-2\t10\t5 ns/op\n  1\t 7 ns/op\n", &[("BenchmarkA-2", 5.0)], &[(2, "")]);
    }

    #[test]
    fn what_only_looks_like_a_result_is_none() {
        check("Benchmarking with 4 workers\n", &[], &[(1, "")]);
        check("Benchmarking 100 5 ns/op\n", &[], &[(1, "")]);
        check("# BenchmarkOld-2 \t 5\t 7 ns/op\n", &[], &[(1, "")]);
        check("    x_test.go:5: BenchmarkOld-2 \t 1000\t 99 ns/op\n", &[], &[]);
        check("it was BenchmarkOld-2 1000 99 ns/op before\n", &[], &[(1, "")]);
        check("BenchmarkA 10 213,9 ns/op\n", &[], &[(1, "\"213,9\" is no number")]);
    }

    #[test]
    fn each_result_has_what_stood_above_it() {
        let mut lines = Lines::default();
        for (at, line) in "pkg: a\nBenchmarkPing 1 2 ns/op\nPASS\npkg: b\ngo: downloading x v1\nnote-1: x y\nBenchmarkPing 1 3 ns/op\n"
            .lines()
            .enumerate()
        {
            lines.take(at + 1, line);
        }
        let of = |at: usize| format!("{:?}", lines.results[at].configuration);
        assert_eq!(
            (of(0), of(1)),
            ("{\"pkg\": \"a\"}".to_string(), "{\"note-1\": \"x y\", \"pkg\": \"b\"}".to_string())
        );
        assert!(lines.is_cut_off());
    }
}
