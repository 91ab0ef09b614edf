//! perf, and its own benchmark of a pipe between two threads or processes.

mod lines;
mod pipe;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::sys::unavailable::Unavailable;
use crate::sys::{signal, subprocess};
use crate::tool::system::{self, System};

pub use lines::{Lines, Taken};
pub use pipe::{Participants, PipeFigures, parse_pipe};

/// Time limit of `perf --version`: a moment, and a first read from a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// A perf that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perf {
    path: PathBuf,
    version: String,
}

/// Looks for perf in `$PATH` and asks it for its version, since a perf in `$PATH` may be a script that finds no program for the
/// running kernel. Once: the first perf found is used, whatever happens to the folders of `$PATH` meanwhile.
///
/// # Errors
/// There is none, or it does not work, with its output; and the way to install it.
pub fn find() -> Result<Perf, Unavailable> {
    static FOUND: OnceLock<Result<Perf, Unavailable>> = OnceLock::new();
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

    /// Returns the command for this many round trips, to be run with [`subprocess::run`]; perf accepts less than 2³¹.
    pub fn pipe(&self, participants: Participants, ops: u32) -> Command {
        let mut command = command(&self.path);
        command.args(["bench", "sched", "pipe"]);
        if participants == Participants::Threads {
            command.arg("-T");
        }
        command.args(["-l", &ops.to_string()]);
        command
    }
}

fn command(perf: &Path) -> Command {
    let mut command = Command::new(perf);
    system::clear_environment(&mut command);
    command
}

fn find_in(root: &Path, path: &OsStr) -> Result<Perf, Unavailable> {
    let remedy = || system::remedy(root, package, "it is tools/perf of the kernel's sources");
    let Some(path) = system::in_path("perf", path) else {
        return Err(Unavailable { reason: "no perf in $PATH".to_string(), remedy: Some(remedy()) });
    };
    match version_of(&path) {
        Ok(version) => Ok(Perf { path, version }),
        Err(error) => Err(Unavailable { reason: format!("{error:#}"), remedy: Some(remedy()) }),
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
    let finished = subprocess::run(command(perf).arg("--version"), PATIENCE, signal::stop_requested)?;
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

    /// Looks for perf on a system with this script in its place.
    fn find_fake(release: &str, script: Option<&str>) -> Result<Perf, Unavailable> {
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
        let command = perf.pipe(Participants::Threads, 1000);
        assert_eq!(words(&command)[1..], ["bench", "sched", "pipe", "-T", "-l", "1000"]);
        assert_eq!(words(&perf.pipe(Participants::Processes, 7))[1..], ["bench", "sched", "pipe", "-l", "7"]);
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
            assert_eq!(
                (missing.reason.as_str(), missing.remedy.as_deref()),
                ("no perf in $PATH", Some(remedy)),
                "{release:?}"
            );
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
            "(install it: apt-get install linux-tools-",
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
        for participants in [Participants::Threads, Participants::Processes] {
            let pinned = Pinned::to(cpu).unwrap();
            let finished = subprocess::run(&mut perf.pipe(participants, OPS), PATIENCE, || None).unwrap();
            drop(pinned);
            finished.check("perf").unwrap();
            let figures = parse_pipe(finished.stdout.text().unwrap()).unwrap();
            assert_eq!((figures.participants, figures.ops), (participants, u64::from(OPS)));
            let per_op = (finished.usage.voluntary + finished.usage.involuntary) as f64 / f64::from(OPS);
            // Where both sides write first (6.13 and newer), on one CPU every second op is without a wait.
            let expected = if per_op < 1.5 { 1.0 } else { 2.0 };
            assert!((per_op - expected).abs() <= 0.1 * expected, "{participants:?}: {per_op} switches per op");
            // perf's own clock has seen this time.
            assert!(finished.usage.cpu_ns as f64 > figures.usecs_per_op, "{finished:?}");
        }
    }
}
