//! Go's toolchain: found without starting it, with a cache of the programs that it has built.

mod build;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::sys::unavailable::Unavailable;
use crate::sys::{signal, subprocess};
use crate::tool::private;
use crate::tool::system::{self, System, is_program};

/// A first build compiles Go's own library too, which takes some 5 s on an idle CPU.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time limit of `go version`: a moment, and a first read from a slow disk.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// Where installers put go besides $PATH, from which sudo drops /usr/local/go/bin.
const USUAL_PLACES: [&str; 3] = ["usr/local/go/bin/go", "usr/lib/go/bin/go", "snap/go/current/bin/go"];
/// Debian's folders with versions, such as go-1.19.
const VERSIONED: &str = "usr/lib";

/// Settings that allow no other toolchain, module or configuration than the installed one; nothing from the network.
const SETTINGS: [(&str, &str); 7] = [
    ("GOTOOLCHAIN", "local"),
    ("GOFLAGS", ""),
    ("GOENV", "off"),
    ("GOPROXY", "off"),
    ("GOWORK", "off"),
    ("GO111MODULE", "on"),
    ("CGO_ENABLED", "0"),
];

/// An executable go, and the cache of its programs.
#[derive(Debug)]
pub struct Toolchain {
    go: PathBuf,
    cache: Option<PathBuf>,
    patience: Duration,
    /// Its version, once asked.
    said: OnceLock<Result<String, Unavailable>>,
}

/// Looks for go in `$PATH` and where it is usually installed, once. Starts no process.
///
/// A user's own folders are not searched when that user has become root by sudo: programs in them run as root only if they are
/// in `$PATH`.
///
/// # Errors
/// There is none, with the way to install it.
pub fn find() -> Result<&'static Toolchain, Unavailable> {
    static FOUND: OnceLock<Result<Toolchain, Unavailable>> = OnceLock::new();
    let look = || {
        let root = Path::new("/");
        let path = env::var_os("PATH").unwrap_or_default();
        match find_in(root, &path) {
            Some(go) => Ok(Toolchain::new(go, private::cache("go"), PATIENCE)),
            None => Err(missing(root, &path, env::var_os("SUDO_USER").is_some())),
        }
    };
    FOUND.get_or_init(look).as_ref().map_err(Unavailable::clone)
}

impl Toolchain {
    fn new(go: PathBuf, cache: Option<PathBuf>, patience: Duration) -> Toolchain {
        Toolchain { go, cache, patience, said: OnceLock::new() }
    }

    pub fn path(&self) -> &Path {
        &self.go
    }

    /// Returns its version: `go1.24.4 linux/amd64`. It is asked once.
    ///
    /// # Errors
    /// It cannot be started, fails, takes too long or prints something else; with its output, and the way to install one that works.
    pub fn version(&self) -> Result<String, Unavailable> {
        let failed = |error| Unavailable { reason: format!("{error:#}"), remedy: Some(remedy(Path::new("/"))) };
        self.said.get_or_init(|| self.ask_version().map_err(failed)).clone()
    }

    fn ask_version(&self) -> Result<String> {
        let name = format!("{} version", self.go.display());
        // No folder is created for this, and go can save nothing: root could create any missing folder, but none below /dev/null.
        let nowhere = Path::new("/dev/null");
        let mut command = self.command(nowhere, nowhere);
        command.env("TMPDIR", env::temp_dir()).arg("version");
        let finished = subprocess::run(&mut command, VERSION_PATIENCE, signal::stop_requested)?;
        finished.check(&name)?;
        let version = finished.stdout.text()?.trim().strip_prefix("go version ").map(String::from);
        version.with_context(|| format!("{name} did not say its version{}", finished.last_words()))
    }

    fn command(&self, cache: &Path, folder: &Path) -> Command {
        let mut command = Command::new(&self.go);
        system::clear_environment(&mut command);
        command.envs(SETTINGS);
        command.env("GOCACHE", cache.join("build")).env("GOPATH", folder.join("path"));
        command.env("TMPDIR", folder).env("XDG_CONFIG_HOME", folder);
        command
    }
}

/// Returns the first go that can be executed, below a root that a test may bring.
fn find_in(root: &Path, path: &OsStr) -> Option<PathBuf> {
    let usual = USUAL_PLACES.iter().map(|place| root.join(place));
    system::in_path("go", path).or_else(|| usual.chain(newest_version(root)).find(|go| is_program(go)))
}

/// Returns the go of the newest folder with a version in its name.
fn newest_version(root: &Path) -> Option<PathBuf> {
    let version = |folder: PathBuf| {
        let name = folder.file_name()?.to_str()?.strip_prefix("go-")?.to_string();
        let numbers: Vec<u32> = name.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some((numbers, folder.join("bin/go")))
    };
    let entries = fs::read_dir(root.join(VERSIONED)).ok()?;
    let versions = entries.flatten().filter_map(|entry| version(entry.path()));
    versions.filter(|(_, go)| is_program(go)).max().map(|(_, go)| go)
}

fn missing(root: &Path, path: &OsStr, by_sudo: bool) -> Unavailable {
    let mut reason = "no go in $PATH, /usr/local/go or another usual place".to_string();
    if by_sudo {
        reason = format!("{reason} (sudo sets PATH={}; yours may have it)", Path::new(path).display());
    }
    Unavailable { reason, remedy: Some(remedy(root)) }
}

fn remedy(root: &Path) -> String {
    let package = |system| match system {
        System::Debian | System::Ubuntu => "golang-go",
        System::Fedora => "golang",
        System::Alpine | System::Arch | System::Suse => "go",
    };
    system::remedy(root, package, "see https://go.dev/dl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Ability;
    use crate::made_program::make_program;
    use crate::sys::child::Child;
    use crate::sys::reap::Ended;
    use crate::test_lock;
    use crate::tool::go::build::tests::Fake;
    use crate::tool::gobench;
    use crate::tool::system::tests::{required_or_skipped, root_with};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_go_is_asked_for_its_version_once() {
        let _alone = test_lock();
        let fake = Fake::new("echo \"$@\" >> $HERE/ran; echo go version go1.99 linux/amd64");
        let said = [fake.toolchain.version(), fake.toolchain.version()];
        assert_eq!(said.map(Result::unwrap), ["go1.99 linux/amd64"; 2]);
        assert_eq!(fake.runs(), 1);
    }

    #[test]
    fn a_go_that_is_asked_for_its_version_can_keep_nothing() {
        let _alone = test_lock();
        // As one since 1.23 does with the counts of its uses, and root may make any folder that is not there.
        let keeps = r#"for place in "$GOCACHE" "$GOPATH" "$XDG_CONFIG_HOME/go"; do mkdir -p "$place" 2> /dev/null && exit 3; done"#;
        let fake = Fake::new(&format!("{keeps}; echo go version go1.99 linux/amd64"));
        assert_eq!(fake.toolchain.version().unwrap(), "go1.99 linux/amd64");
    }

    #[test]
    fn go_is_found_in_path_first_then_where_it_is_usually_installed() {
        let root = tempfile::tempdir().unwrap();
        let at = |place: &str| root.path().join(place);
        let path = env::join_paths([PathBuf::from("relative"), at("empty"), at("home/bin")]).unwrap();
        let found = || find_in(root.path(), &path);
        assert_eq!(found(), None);
        // From the last place to the first: each goes before the one that was found until then.
        for place in [
            "usr/lib/go-1.9/bin/go",
            "usr/lib/go-1.19/bin/go",
            "usr/lib/go/bin/go",
            "usr/local/go/bin/go",
            "home/bin/go",
        ] {
            make_program(&at(place), "");
            assert_eq!(found(), Some(at(place)));
        }
        fs::set_permissions(at("home/bin/go"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(found(), Some(at("usr/local/go/bin/go")));
    }

    #[test]
    fn the_remedy_fits_the_system() {
        for (release, words) in [
            ("ID=debian", "install it: apt-get install golang-go"),
            ("ID=ubuntu\nID_LIKE=debian", "install it: apt-get install golang-go"),
            ("ID=fedora", "install it: dnf install golang"),
            ("ID=alpine", "install it: apk add go"),
            ("ID=arch", "install it: pacman -S go"),
            ("ID=sles\nID_LIKE=suse", "install it: zypper install go"),
            ("ID=nixos", "install it: see https://go.dev/dl"),
        ] {
            assert_eq!(remedy(root_with(release).path()), words, "{release:?}");
        }
    }

    #[test]
    fn who_became_root_by_sudo_is_told_of_its_path() {
        let root = tempfile::tempdir().unwrap();
        let missing = missing(root.path(), OsStr::new("/usr/sbin:/sbin"), true).to_string();
        assert!(missing.contains("sudo sets PATH=/usr/sbin:/sbin"), "{missing}");
        assert!(missing.ends_with("(install it: see https://go.dev/dl)"), "{missing}");
    }

    #[test]
    fn the_goroutine_programs_build_answer_and_end() {
        let _alone = test_lock();
        let Some(found) = required_or_skipped(Ability::Go, find()) else { return };
        let mut sources = vec![
            ("go.mod", include_str!("../workload/goroutine/go.mod")),
            ("main.go", include_str!("../workload/goroutine/main.go")),
            ("loops.go", include_str!("../workload/goroutine/loops.go")),
        ];
        let base = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(found.go.clone(), Some(base.path().join("go")), PATIENCE);
        let program = toolchain.build(&sources).unwrap();
        assert!(toolchain.is_built(&sources));
        for name in ["channel", "oneway", "yield", "pipe", "pipe-floor"] {
            let mut child = Child::start(&program, &[name]).unwrap();
            let ready = child.listen().unwrap();
            let version = toolchain.version().unwrap();
            let named = version.split(' ').next().unwrap();
            assert_eq!(ready, format!("ready {} {named}", child.pid()));
            for ops in [0, 1, 2, 1001] {
                let answer = child.ask(&format!("play {ops}")).unwrap();
                let times: Vec<u64> = answer.split(' ').map(|time| time.parse().unwrap()).collect();
                assert!(matches!(times[..], [elapsed, wall, _] if elapsed <= wall), "{name}, {ops} ops: {answer}");
            }
            assert_eq!(child.end().unwrap(), Ended::Exited(0), "{name}");
        }
        let mut child = Child::start(&program, &["oneway"]).unwrap();
        child.listen().unwrap();
        let error = child.ask("plays 3").unwrap_err().to_string();
        assert!(error.contains("exited with code 2 instead of answering; it said: expected"), "{error}");

        sources.push(("loops_test.go", include_str!("../workload/goroutine/loops_test.go")));
        let test = toolchain.build_test(&sources).unwrap();
        for name in ["BenchmarkContextSwitch", "BenchmarkContextSwitchPingPong"] {
            let mut command = gobench::command(&test, name, "1000x", 3);
            let finished = subprocess::run(&mut command, Duration::from_secs(60), || None).unwrap();
            finished.check(name).unwrap();
            let found = gobench::parse(finished.stdout.text().unwrap()).unwrap();
            let found: Vec<_> = found.iter().map(|each| (each.name.as_str(), each.procs, each.iterations)).collect();
            assert_eq!(found, [(name, None, 1000); 3]);
        }
    }
}
