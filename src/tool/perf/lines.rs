//! Saved output of perf's benchmarks, line by line: that of a pipe among others (`perf bench all`), of several runs, or followed by
//! the output of `perf stat`.

use crate::tool::Line;
use crate::tool::perf::pipe::{Participants, PipeFigures, Read};

/// A run of the pipe benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Its first line, counted from 1.
    pub line: usize,
    pub participants: Participants,
    pub ops: u64,
    pub usecs_per_op: f64,
}

/// A reader of lines, with its results so far.
#[derive(Default)]
pub struct Lines {
    pub results: Vec<Taken>,
    /// Skipped runs, with their first lines and the reasons.
    pub passed_over: Vec<(usize, String)>,
    at: At,
}

#[derive(Default)]
enum At {
    /// Outside all benchmarks.
    #[default]
    Nowhere,
    /// In a pipe benchmark that begins at this line.
    Pipe(usize, Read),
    Other,
}

const OTHER: &str = "of another benchmark than sched pipe";

impl Lines {
    pub fn take(&mut self, number: usize, line: &str) -> Line {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["#", "Running", name, ..] => {
                self.finish();
                let is_pipe = ["sched/pipe", "sched:pipe"].contains(&name.trim_matches('\''));
                self.at = if is_pipe { At::Nowhere } else { At::Other };
                if is_pipe { Line::Known } else { Line::PassedOver(OTHER.to_string()) }
            }
            ["#", "Executed", _, "pipe", ..] => {
                self.finish();
                self.at = At::Pipe(number, Read::default());
                self.figure(line)
            }
            ["#", "Executed", ..] => {
                self.finish();
                self.at = At::Other;
                Line::PassedOver(OTHER.to_string())
            }
            ["Total", "time:", ..] | [_, "usecs/op"] | [_, "ops/sec"] => self.figure(line),
            // Output of later programs has no such lines, and other benchmarks have many.
            [_, ..] if matches!(self.at, At::Other) && !is_of_perf_stat(line) => Line::PassedOver(OTHER.to_string()),
            [] => Line::Known,
            _ => {
                if is_of_perf_stat(line) {
                    self.finish();
                    self.at = At::Nowhere;
                    return Line::PassedOver("perf stat's".to_string());
                }
                Line::Foreign
            }
        }
    }

    /// Takes a run with missing figures; those present have been checked against each other.
    pub fn finish(&mut self) {
        let At::Pipe(line, read) = std::mem::take(&mut self.at) else { return };
        match (read.executed, read.usecs_per_op) {
            (Some((ops, participants)), Some(usecs_per_op)) => {
                self.results.push(Taken { line, participants, ops, usecs_per_op });
            }
            _ => self.passed_over.push((line, "no usecs/op after it".to_string())),
        }
    }

    fn figure(&mut self, line: &str) -> Line {
        let At::Pipe(begin, read) = &mut self.at else {
            let in_other = matches!(self.at, At::Other);
            let why = if in_other { OTHER } else { "no line \"# Executed … pipe operations\" before it" };
            return Line::PassedOver(why.to_string());
        };
        let begin = *begin;
        if let Err(error) = read.take(line.trim()) {
            return Line::PassedOver(error.to_string());
        }
        let figures = read.clone().figures();
        if let Ok(figures) = figures {
            self.at = At::Nowhere;
            return self.complete(begin, figures);
        }
        Line::Known
    }

    fn complete(&mut self, line: usize, figures: PipeFigures) -> Line {
        if let Err(error) = figures.check() {
            self.passed_over.push((line, error.to_string()));
            return Line::PassedOver(error.to_string());
        }
        let PipeFigures { participants, ops, usecs_per_op, .. } = figures;
        self.results.push(Taken { line, participants, ops, usecs_per_op });
        Line::Known
    }
}

fn is_of_perf_stat(line: &str) -> bool {
    line.trim_start().starts_with("Performance counter stats for")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: &str = "# Running 'sched/pipe' benchmark:\n# Executed 1000 pipe operations between two threads\n\n     Total time: 0.013 [sec]\n\n      13.949000 usecs/op\n          71689 ops/sec\n";

    fn check(text: &str, results: &[(usize, Participants, u64, f64)], passed_over: &[(usize, &str)]) {
        let mut lines = Lines::default();
        let mut passed = Vec::new();
        for (at, line) in text.lines().enumerate() {
            match lines.take(at + 1, line) {
                Line::PassedOver(why) => passed.push((at + 1, why)),
                Line::Foreign => passed.push((at + 1, String::new())),
                Line::Known => (),
            }
        }
        lines.finish();
        passed.append(&mut lines.passed_over);
        let found: Vec<_> =
            lines.results.iter().map(|taken| (taken.line, taken.participants, taken.ops, taken.usecs_per_op)).collect();
        assert_eq!(found, results, "{text}");
        let passed: Vec<(usize, &str)> = passed.iter().map(|(line, why)| (*line, why.as_str())).collect();
        assert_eq!(passed, passed_over, "{text}");
    }

    #[test]
    fn each_run_of_the_pipe_is_a_result() {
        let again = PIPE.replace("threads", "processes");
        check(
            &format!("{PIPE}\n{again}"),
            &[(2, Participants::Threads, 1000, 13.949), (10, Participants::Processes, 1000, 13.949)],
            &[],
        );
    }

    #[test]
    fn what_other_benchmarks_print_is_not_the_pipes() {
        // perf 6.x, `perf bench all`, shortened.
        let others = "# Running sched/messaging benchmark...\n# 10 groups == 400 processes run\n\n     Total time: 0.105 [sec]\n\n";
        let calls = "# Running syscall/basic benchmark...\n# Executed 10,000,000 getppid() calls\n     Total time: 1.500 [sec]\n\n       0.150000 usecs/op\n        6666666 ops/sec\n";
        check(
            &format!("{others}{PIPE}{calls}"),
            &[(7, Participants::Threads, 1000, 13.949)],
            &[1, 2, 4, 13, 14, 15, 17, 18].map(|line| (line, OTHER)),
        );
    }

    #[test]
    fn perf_stat_may_stand_around_it() {
        let stat = "\n Performance counter stats for 'perf bench sched pipe -T':\n\n         2,000,123      context-switches\n\n       5.761234567 seconds time elapsed\n";
        check(
            &format!("{PIPE}{stat}"),
            &[(2, Participants::Threads, 1000, 13.949)],
            &[(9, "perf stat's"), (11, ""), (13, "")],
        );
    }

    #[test]
    fn a_run_with_figures_missing_is_taken_by_its_time_per_op_or_passed_over() {
        let cut = |lines: usize| PIPE.lines().take(lines).collect::<Vec<_>>().join("\n");
        check(&cut(6), &[(2, Participants::Threads, 1000, 13.949)], &[]);
        check(&cut(5), &[], &[(2, "no usecs/op after it")]);
        check("       5.760123 usecs/op\n", &[], &[(1, "no line \"# Executed … pipe operations\" before it")]);
        let contradicting = PIPE.replace("71689", "72689");
        let why = "ops/sec and usecs/op contradict each other";
        check(&contradicting, &[], &[(7, why), (2, why)]);
    }
}
