//! perf's own benchmark of a pipe between two threads or processes: finding perf, its command, and the parser of its output.

mod lines;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::sys::{errand, signal};
use crate::tool::Missing;
use crate::tool::figures::{self, refuse};
use crate::tool::system::{self, System};

pub use lines::{Lines, Taken};

/// Time limit of `perf --version`: a moment, and a first read from a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);
/// The benchmark's name in errors.
const BENCH: &str = "perf bench sched pipe";
/// Half a unit of the last place of usecs/op, which has six decimals.
const ROUNDING_USECS: f64 = 0.5e-6;
/// Floating-point error of a time that was a whole number of microseconds.
const SLACK_S: f64 = 1e-6;

/// A perf that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perf {
    path: PathBuf,
    version: String,
}

/// Participants of perf's pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parties {
    Threads,
    Processes,
}

/// Result of perf's pipe benchmark. One op is a round trip of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PipeFigures {
    pub parties: Parties,
    pub ops: u64,
    /// Truncated to milliseconds. Wall-clock time, spawn and join of the participants included.
    pub total_seconds: f64,
    /// The same time divided by the ops, rounded to a picosecond: the one to use.
    pub usecs_per_op: f64,
    /// Truncated to a whole number.
    pub ops_per_second: u64,
}

/// Looks for perf in `$PATH` and asks it for its version, since a perf in `$PATH` may be a script that finds no program for the
/// running kernel. Once: the first perf found is used, whatever happens to the folders of `$PATH` meanwhile.
///
/// # Errors
/// There is none, or it does not work, with its output; and the way to install it.
pub fn find() -> Result<Perf, Missing> {
    static FOUND: OnceLock<Result<Perf, Missing>> = OnceLock::new();
    FOUND.get_or_init(|| find_in(Path::new("/"), &env::var_os("PATH").unwrap_or_default())).clone()
}

impl Perf {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its version, `6.1.187`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the command for this many round trips, to be run with [`errand::run`]; perf accepts less than 2³¹.
    pub fn pipe(&self, parties: Parties, ops: u32) -> Command {
        let mut command = command(&self.path);
        command.args(["bench", "sched", "pipe"]);
        if parties == Parties::Threads {
            command.arg("-T");
        }
        command.args(["-l", &ops.to_string()]);
        command
    }
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

/// Figures read so far.
#[derive(Clone, Default)]
struct Read {
    executed: Option<(u64, Parties)>,
    total_seconds: Option<f64>,
    usecs_per_op: Option<f64>,
    ops_per_second: Option<u64>,
}

impl Read {
    fn take(&mut self, line: &str) -> Result<()> {
        let again = match line.split_whitespace().collect::<Vec<_>>()[..] {
            // "# Running 'sched/pipe' benchmark:", or "# Running sched/pipe benchmark..." among others.
            ["#", "Running", ..] => false,
            ["#", "Executed", ops, "pipe", "operations", "between", "two", parties] => {
                let parties = match parties {
                    "threads" => Parties::Threads,
                    // "tasks": perf until 3.9, which always forked.
                    "processes" | "tasks" => Parties::Processes,
                    _ => bail!("threads or processes were expected"),
                };
                self.executed.replace((figures::count(ops)?, parties)).is_some()
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

    fn figures(self) -> Result<PipeFigures> {
        let (ops, parties) = self.executed.context("no line \"# Executed … pipe operations\" before it")?;
        Ok(PipeFigures {
            parties,
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
    fn check(&self) -> Result<()> {
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

fn command(perf: &Path) -> Command {
    let mut command = Command::new(perf);
    system::clear_environment(&mut command);
    command
}

fn find_in(root: &Path, path: &OsStr) -> Result<Perf, Missing> {
    let remedy = || system::remedy(root, package, "it is tools/perf of the kernel's sources");
    let Some(path) = system::in_path("perf", path) else {
        return Err(Missing { reason: "no perf in $PATH".to_string(), remedy: remedy() });
    };
    match version_of(&path) {
        Ok(version) => Ok(Perf { path, version }),
        Err(error) => Err(Missing { reason: format!("{error:#}"), remedy: remedy() }),
    }
}

fn package(system: System) -> &'static str {
    match system {
        System::Debian => "linux-perf",
        // For the shell to expand: perf there is a script that looks for the running kernel's own.
        System::Ubuntu => "linux-tools-$(uname -r)",
        System::Fedora | System::Alpine | System::Arch | System::Suse => "perf",
    }
}

/// `perf version 6.1.187`
fn version_of(perf: &Path) -> Result<String> {
    let name = format!("{} --version", perf.display());
    let finished = errand::run(command(perf).arg("--version"), PATIENCE, signal::stop_requested)?;
    finished.check(&name)?;
    let said = finished.stdout.text()?;
    let version = said.trim().strip_prefix("perf version ").map(str::trim);
    let version = version.filter(|version| !version.is_empty() && version.lines().count() == 1);
    version.map(String::from).with_context(|| format!("{name} did not say its version{}", finished.last_words()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Ability;
    use crate::made_program::make_program;
    use crate::sys::affinity::{self, Pinned};
    use crate::test_lock;
    use crate::tool::system::tests::{required_or_skipped, root_with};
    use crate::tool::words;
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

    fn check(output: &str, parties: Parties, ops: u64, total_seconds: f64, usecs_per_op: f64, ops_per_second: u64) {
        let expected = PipeFigures { parties, ops, total_seconds, usecs_per_op, ops_per_second };
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
        check(PERF_6_1, Parties::Threads, 1000, 0.013, 13.949, 71_689);
        check(PERF_4, Parties::Threads, 1_000_000, 2.935, 2.935784, 340_624);
        check(PERF_6_13, Parties::Processes, 1_000_000, 9.229, 9.229738, 108_345);
        check(PERF_5_18, Parties::Processes, 1_000_000, 10.046, 10.046035, 99_541);
        // perf 3.7, and one in a locale with a decimal comma.
        check(&PERF_6_1.replace("two threads", "two tasks"), Parties::Processes, 1000, 0.013, 13.949, 71_689);
        check(&PERF_6_1.replace("13.949000", "13,949000"), Parties::Threads, 1000, 0.013, 13.949, 71_689);
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

    /// Looks for perf on a system with this script in its place.
    fn find_fake(release: &str, script: Option<&str>) -> Result<Perf, Missing> {
        let root = root_with(release);
        let bin = root.path().join("bin");
        if let Some(script) = script {
            make_program(&bin.join("perf"), script);
        }
        find_in(root.path(), bin.as_os_str())
    }

    #[test]
    fn a_perf_that_works_says_its_version() {
        let _alone = test_lock();
        let perf = find_fake("", Some("[ \"$1 $LC_ALL\" = '--version C' ] && echo perf version 6.8.12")).unwrap();
        assert_eq!(perf.version(), "6.8.12");
        let command = perf.pipe(Parties::Threads, 1000);
        assert_eq!(words(&command)[1..], ["bench", "sched", "pipe", "-T", "-l", "1000"]);
        assert_eq!(words(&perf.pipe(Parties::Processes, 7))[1..], ["bench", "sched", "pipe", "-l", "7"]);
    }

    #[test]
    fn without_perf_the_remedy_fits_the_system() {
        for (release, remedy) in [
            ("ID=debian", "install it: apt-get install linux-perf"),
            ("ID=ubuntu\nID_LIKE=debian", "install it: apt-get install linux-tools-$(uname -r)"),
            ("ID=fedora", "install it: dnf install perf"),
            ("ID=alpine", "install it: apk add perf"),
            ("ID=arch", "install it: pacman -S perf"),
            ("ID=sles", "install it: zypper install perf"),
            ("", "install it: it is tools/perf of the kernel's sources"),
        ] {
            let missing = find_fake(release, None).unwrap_err();
            assert_eq!((missing.reason.as_str(), missing.remedy.as_str()), ("no perf in $PATH", remedy), "{release:?}");
        }
    }

    #[test]
    fn a_perf_that_does_not_work_is_missing_with_its_words() {
        let _alone = test_lock();
        // Ubuntu's linux-tools-common without the running kernel's own package.
        let ubuntu = "cat >&2 <<END
WARNING: perf not found for kernel 5.15.0-69

  You may need to install the following packages for this specific kernel:
    linux-tools-5.15.0-69-generic
    linux-cloud-tools-5.15.0-69-generic

  You may also want to install one of the following packages to keep up to date:
    linux-tools-generic
    linux-cloud-tools-generic
END
exit 2";
        let missing = find_fake("ID=ubuntu", Some(ubuntu)).unwrap_err().to_string();
        for word in [
            "bin/perf --version exited with code 2",
            "linux-tools-generic",
            "; install it: apt-get install linux-tools-",
        ] {
            assert!(missing.contains(word), "{word:?} is not in {missing:?}");
        }
        // Debian's linux-base until Debian 11.
        let debian = "echo '/usr/bin/perf: line 13: exec: perf_5.15: not found' >&2
echo 'E: linux-perf-5.15 is not installed.' >&2
exit 1";
        let missing = find_fake("ID=debian", Some(debian)).unwrap_err();
        assert!(missing.reason.contains("E: linux-perf-5.15 is not installed."), "{missing}");
        for odd in ["exit 0", "echo perf version", "echo 6.1", "printf 'perf version 1\\n2\\n'"] {
            let missing = find_fake("", Some(odd)).unwrap_err();
            assert!(missing.reason.contains("did not say its version"), "{missing}");
        }
    }

    #[test]
    fn perfs_own_switches_are_counted_as_it_plays() {
        let _alone = test_lock();
        let Some(perf) = required_or_skipped(Ability::Perf, find()) else { return };
        const OPS: u32 = 1000;
        let cpu = affinity::allowed().unwrap().cpus()[0];
        for parties in [Parties::Threads, Parties::Processes] {
            let pinned = Pinned::to(cpu).unwrap();
            let finished = errand::run(&mut perf.pipe(parties, OPS), PATIENCE, || None).unwrap();
            drop(pinned);
            finished.check("perf").unwrap();
            let figures = parse_pipe(finished.stdout.text().unwrap()).unwrap();
            assert_eq!((figures.parties, figures.ops), (parties, u64::from(OPS)));
            let per_op = (finished.usage.voluntary + finished.usage.involuntary) as f64 / f64::from(OPS);
            // Where both sides write first (6.13 and newer), on one CPU every second op is without a wait.
            let expected = if per_op < 1.5 { 1.0 } else { 2.0 };
            assert!((per_op - expected).abs() <= 0.1 * expected, "{parties:?}: {per_op} switches per op");
            // perf's own clock has seen this time.
            assert!(finished.usage.cpu_ns as f64 > figures.usecs_per_op, "{finished:?}");
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
            let (parties, name) = if threads { (Parties::Threads, "threads") } else { (Parties::Processes, "processes") };
            let output = format!(
                "# Running 'sched/pipe' benchmark:\n# Executed {ops} pipe operations between two {name}\n\n {:>14}: {}.{:03} [sec]\n\n \
                 {usecs_per_op:14.6} usecs/op\n {per_second:14} ops/sec\n",
                "Total time", usecs / 1_000_000, usecs / 1000 % 1000,
            );
            let read = parse_pipe(&output);
            // Figures beyond an int, or less than 1, do not occur: nothing is that fast or that slow.
            prop_assume!(per_second > 0 && per_second < i32::MAX && usecs_per_op > 1e-6);
            let read = read.unwrap();
            prop_assert_eq!((read.parties, read.ops, read.ops_per_second), (parties, ops, per_second as u64));
            prop_assert!((read.usecs_per_op - usecs_per_op).abs() <= ROUNDING_USECS);
        }
    }
}
