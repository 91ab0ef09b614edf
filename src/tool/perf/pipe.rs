//! perf's own benchmark of a pipe between two threads or processes: the parser of its output.

use anyhow::{Context, Result, bail, ensure};

use crate::tool::figures::{self, refuse};

/// The benchmark's name in errors.
const BENCH: &str = "perf bench sched pipe";
/// Half a unit of the last place of usecs/op, which has six decimals.
const ROUNDING_USECS: f64 = 0.5e-6;
/// Floating-point error of a time that was a whole number of microseconds.
const SLACK_S: f64 = 1e-6;

/// Participants of perf's pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participants {
    Threads,
    Processes,
}

/// Result of perf's pipe benchmark. One op is a round trip of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PipeFigures {
    pub participants: Participants,
    pub ops: u64,
    /// Truncated to milliseconds. Wall-clock time, spawn and join of the participants included.
    pub total_seconds: f64,
    /// The same time divided by the ops, rounded to a picosecond: the one to use.
    pub usecs_per_op: f64,
    /// Truncated to a whole number.
    pub ops_per_second: u64,
}

/// Parses the output of `perf bench sched pipe` in its default format.
///
/// # Errors
/// A line is missing, repeated, or unknown to this version; a figure is no number above 0; or the figures
/// contradict each other. Shows the line.
pub fn parse_pipe(output: &str) -> Result<PipeFigures> {
    let mut read = Read::default();
    let mut last = "";
    for line in output.lines().map(str::trim).filter(|line| !line.is_empty()) {
        read.take(line).map_err(|error| refuse(BENCH, line, &error.to_string()))?;
        last = line;
    }
    if last.is_empty() {
        bail!("{BENCH} printed nothing");
    }
    let figures = read.figures().map_err(|error| refuse(BENCH, last, &format!("its last line, and {error}")))?;
    figures.check().map_err(|error| refuse(BENCH, output.trim(), &error.to_string()))?;
    Ok(figures)
}

#[derive(Clone, Default)]
pub(super) struct Read {
    pub(super) executed: Option<(u64, Participants)>,
    total_seconds: Option<f64>,
    pub(super) usecs_per_op: Option<f64>,
    ops_per_second: Option<u64>,
}

impl Read {
    pub(super) fn take(&mut self, line: &str) -> Result<()> {
        let again = match line.split_whitespace().collect::<Vec<_>>()[..] {
            // "# Running 'sched/pipe' benchmark:", or "# Running sched/pipe benchmark..." among others.
            ["#", "Running", ..] => false,
            ["#", "Executed", ops, "pipe", "operations", "between", "two", participants] => {
                let participants = match participants {
                    "threads" => Participants::Threads,
                    // "tasks": perf until 3.9, which always forked.
                    "processes" | "tasks" => Participants::Processes,
                    _ => bail!("threads or processes were expected"),
                };
                self.executed.replace((figures::count(ops)?, participants)).is_some()
            }
            // Less than a millisecond is printed as 0.
            ["Total", "time:", seconds, "[sec]"] => self.total_seconds.replace(figures::decimal(seconds)?).is_some(),
            [usecs, "usecs/op"] => self.usecs_per_op.replace(microseconds(usecs)?).is_some(),
            [ops, "ops/sec"] => self.ops_per_second.replace(figures::count(ops)?).is_some(),
            _ => bail!("another line was expected"),
        };
        ensure!(!again, "it comes twice");
        Ok(())
    }

    pub(super) fn figures(self) -> Result<PipeFigures> {
        let (ops, participants) = self.executed.context("no line \"# Executed … pipe operations\" before it")?;
        Ok(PipeFigures {
            participants,
            ops,
            total_seconds: self.total_seconds.context("no \"Total time\" before it")?,
            usecs_per_op: self.usecs_per_op.context("no \"usecs/op\" before it")?,
            ops_per_second: self.ops_per_second.context("no \"ops/sec\" before it")?,
        })
    }
}

/// Returns a number above 0, with six decimals after a point, or after a locale's comma: no thousands separator is followed by six.
fn microseconds(text: &str) -> Result<f64> {
    let with_comma = text.split_once(',').filter(|(_, decimals)| decimals.len() == 6);
    let with_point = with_comma.map(|(whole, decimals)| format!("{whole}.{decimals}"));
    figures::positive(with_point.as_deref().unwrap_or(text))
}

impl PipeFigures {
    /// # Errors
    /// Two figures are from different runs, or in units unknown to this version.
    pub(super) fn check(&self) -> Result<()> {
        // perf computes all three from the same whole number of microseconds.
        let ops = self.ops as f64;
        let at_least_s = ops * (self.usecs_per_op - ROUNDING_USECS) / 1e6 - SLACK_S;
        let at_most_s = ops * (self.usecs_per_op + ROUNDING_USECS) / 1e6 + SLACK_S;
        if self.total_seconds > at_most_s || self.total_seconds + 0.001 < at_least_s {
            bail!("total time and usecs/op contradict each other");
        }
        let per_second = self.ops_per_second as f64;
        if per_second > ops / at_least_s.max(0.0) || per_second + 1.0 < ops / at_most_s {
            bail!("ops/sec and usecs/op contradict each other");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // perf 6.1.187 of Debian 12, `perf bench sched pipe -T -l 1000`.
    const PERF_6_1: &str = "# Running 'sched/pipe' benchmark:
# Executed 1000 pipe operations between two threads

     Total time: 0.013 [sec]

      13.949000 usecs/op
          71689 ops/sec
";

    // "Concurrency in Go" (K. Cox-Buday, 2017), chapter 3: `taskset -c 0 perf bench sched pipe -T`.
    const PERF_4: &str = "# Running 'sched/pipe' benchmark:
# Executed 1000000 pipe operations between two threads

     Total time: 2.935 [sec]

       2.935784 usecs/op
         340624 ops/sec
";

    // B. Geffon's mail about epoll and pipes, linux-kernel, November 2024: the perf that became 6.13.
    const PERF_6_13: &str = "# Running 'sched/pipe' benchmark:
# Executed 1000000 pipe operations between two processes

     Total time: 9.229 [sec]

       9.229738 usecs/op
         108345 ops/sec
";

    // Z. Aziz's test of Linux 5.18.9-rc1, `perf bench sched all`, its second half.
    const PERF_5_18: &str = "# Running sched/pipe benchmark...
# Executed 1000000 pipe operations between two processes

     Total time: 10.046 [sec]

      10.046035 usecs/op
          99541 ops/sec
";

    fn check(
        output: &str,
        participants: Participants,
        ops: u64,
        total_seconds: f64,
        usecs_per_op: f64,
        ops_per_second: u64,
    ) {
        let expected = PipeFigures { participants, ops, total_seconds, usecs_per_op, ops_per_second };
        assert_eq!(parse_pipe(output).unwrap(), expected);
    }

    fn check_refused(output: &str, words: &[&str]) {
        let error = format!("{:#}", parse_pipe(output).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    }

    #[test]
    fn the_output_of_several_versions_is_understood() {
        check(PERF_6_1, Participants::Threads, 1000, 0.013, 13.949, 71_689);
        check(PERF_4, Participants::Threads, 1_000_000, 2.935, 2.935784, 340_624);
        check(PERF_6_13, Participants::Processes, 1_000_000, 9.229, 9.229738, 108_345);
        check(PERF_5_18, Participants::Processes, 1_000_000, 10.046, 10.046035, 99_541);
        // perf 3.7, and one in a locale with a decimal comma.
        check(&PERF_6_1.replace("two threads", "two tasks"), Participants::Processes, 1000, 0.013, 13.949, 71_689);
        check(&PERF_6_1.replace("13.949000", "13,949000"), Participants::Threads, 1000, 0.013, 13.949, 71_689);
    }

    #[test]
    fn output_that_is_not_all_there_is_refused() {
        check_refused("", &["perf bench sched pipe printed nothing"]);
        check_refused("\n \n", &["printed nothing"]);
        // A figure is lost wherever it is cut between two lines.
        for lines in 1..6 {
            let cut: Vec<&str> = PERF_6_1.lines().take(lines).collect();
            check_refused(&cut.join("\n"), &["its last line, and no", cut.last().unwrap().trim()]);
        }
        // `--format simple`, perf 6.1: the ops are not in it.
        check_refused("0.019\n", &["\"0.019\"", "another line was expected"]);
    }

    #[test]
    fn a_line_is_as_it_should_be_or_refused() {
        for (from, to, words) in [
            // No locale's: perf writes six decimals.
            ("13.949000", "13,949", "\"13,949 usecs/op\""),
            ("0.013", "0,013", "\"Total time: 0,013 [sec]\""),
            // perf 6.1 with `-l 0` and with `-l 3000000000`.
            ("13.949000", "inf", "\"inf\" is no number"),
            ("1000 pipe", "-1294967296 pipe", "\"-1294967296\" is no number"),
            ("71689", "-2147483648", "\"-2147483648\" is no number"),
            ("1000 pipe", "0 pipe", "\"0\" is not above 0"),
            ("13.949000", "0.000000", "\"0.000000\" is not above 0"),
            ("two threads", "two fibers", "threads or processes were expected"),
            ("usecs/op", "nsecs/op", "another line was expected"),
            ("[sec]", "[msec]", "another line was expected"),
            // perf 6.7 and newer, with `-G`.
            ("# Executed", "Cannot enter to cgroup: AAA\n# Executed", "\"Cannot enter to cgroup: AAA\""),
            ("71689 ops/sec", "71689 ops/sec\n71689 ops/sec", "it comes twice"),
            ("13.949000", "139.49000", "total time and usecs/op contradict"),
            ("71689", "72689", "ops/sec and usecs/op contradict"),
            ("71689", "70689", "ops/sec and usecs/op contradict"),
        ] {
            assert!(PERF_6_1.contains(from), "{from}");
            check_refused(&PERF_6_1.replacen(from, to, 1), &[words, "perf bench sched pipe printed"]);
        }
    }

    proptest! {
        #[test]
        fn no_output_brings_the_parser_down(output in "(?s).{0,300}", cut in 0..PERF_6_1.len(), byte in any::<u8>()) {
            let _ = parse_pipe(&output);
            let mut bent = PERF_6_1.as_bytes().to_vec();
            bent[cut] = byte;
            let _ = parse_pipe(&String::from_utf8_lossy(&bent));
            let _ = parse_pipe(&PERF_6_1[..cut]);
        }

        // As tools/perf/bench/sched-pipe.c prints them.
        #[test]
        fn what_perf_writes_is_what_is_read(ops in 1u64..i32::MAX as u64, usecs in 1u64..100_000_000_000, threads: bool) {
            let usecs_per_op = usecs as f64 / ops as f64;
            let per_second = (ops as f64 / (usecs as f64 / 1e6)) as i32;
            let (participants, name) = if threads { (Participants::Threads, "threads") } else { (Participants::Processes, "processes") };
            let output = format!(
                "# Running 'sched/pipe' benchmark:\n# Executed {ops} pipe operations between two {name}\n\n {:>14}: {}.{:03} [sec]\n\n \
                 {usecs_per_op:14.6} usecs/op\n {per_second:14} ops/sec\n",
                "Total time", usecs / 1_000_000, usecs / 1000 % 1000,
            );
            let read = parse_pipe(&output);
            // Figures beyond an int, or less than 1, do not occur: nothing is that fast or that slow.
            prop_assume!(per_second > 0 && per_second < i32::MAX && usecs_per_op > 1e-6);
            let read = read.unwrap();
            prop_assert_eq!((read.participants, read.ops, read.ops_per_second), (participants, ops, per_second as u64));
            prop_assert!((read.usecs_per_op - usecs_per_op).abs() <= ROUNDING_USECS);
        }
    }
}
