//! Programs built from Go modules, and the cache of them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys::{ownership, signal, subprocess};
use crate::tool::go::{SETTINGS, Toolchain};
use crate::tool::private;

/// Result of building a module. It keeps its symbols, so that its functions can be found by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    Program,
    Test,
}

impl Product {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Product::Program => &["build", "-trimpath", "-buildvcs=false"],
            Product::Test => &["test", "-c", "-trimpath", "-buildvcs=false"],
        }
    }

    /// Returns the command's name in error messages.
    fn verb(self) -> &'static str {
        match self {
            Product::Program => "build",
            Product::Test => "test -c",
        }
    }
}

impl Toolchain {
    /// Returns true if the program of these sources is built already, so that [`Toolchain::build`] is quick.
    pub fn is_built(&self, sources: &[(&str, &str)]) -> bool {
        self.is_kept(Product::Program, sources)
    }

    /// Returns the same for [`Toolchain::build_test`].
    pub fn is_test_built(&self, sources: &[(&str, &str)]) -> bool {
        self.is_kept(Product::Test, sources)
    }

    /// Returns the program of these sources, names and contents of all files of a module. Builds it unless it is in the cache; that
    /// takes seconds, at most three minutes, and resets the watchdog meanwhile.
    ///
    /// # Errors
    /// go fails, with its output, or takes too long; SIGINT or SIGTERM has come; the cache cannot be written, or another user could
    /// have replaced the program.
    pub fn build(&self, sources: &[(&str, &str)]) -> Result<PathBuf> {
        self.provide(Product::Program, sources)
    }

    /// Returns the program that runs the tests and benchmarks of a module, as `go test` would; otherwise as [`Toolchain::build`].
    ///
    /// # Errors
    /// As [`Toolchain::build`].
    pub fn build_test(&self, sources: &[(&str, &str)]) -> Result<PathBuf> {
        self.provide(Product::Test, sources)
    }

    fn is_kept(&self, product: Product, sources: &[(&str, &str)]) -> bool {
        let kept = || Some(self.program(product, self.cache.as_ref()?, sources).ok()?.exists());
        kept().unwrap_or(false)
    }

    fn provide(&self, product: Product, sources: &[(&str, &str)]) -> Result<PathBuf> {
        let cache = self.cache.as_ref().context("neither XDG_CACHE_HOME nor HOME is an absolute path")?;
        private::make_folder(cache)?;
        let program = self.program(product, cache, sources)?;
        if fs::symlink_metadata(&program).is_err() {
            self.make(product, cache, sources, &program)?;
        }
        ownership::check(&program)?;
        Ok(program)
    }

    /// Returns the path of a program, which depends on the sources, the go and the way of building.
    fn program(&self, product: Product, cache: &Path, sources: &[(&str, &str)]) -> Result<PathBuf> {
        let looking = || format!("looking at {}", self.go.display());
        let go = fs::canonicalize(&self.go).with_context(looking)?;
        let found = fs::metadata(&go).with_context(looking)?;
        let mut hasher = DefaultHasher::new();
        (product.arguments(), SETTINGS, sources).hash(&mut hasher);
        (go, found.size(), found.mtime(), found.mtime_nsec()).hash(&mut hasher);
        Ok(cache.join(format!("ctxprof-go-{:016x}", hasher.finish())))
    }

    /// Builds in a folder of its own and renames the result to the program: whole or not at all, and concurrent builds make the
    /// same.
    fn make(&self, product: Product, cache: &Path, sources: &[(&str, &str)], program: &Path) -> Result<()> {
        let writing = || format!("writing into {}", cache.display());
        let folder = tempfile::Builder::new().prefix("building-").tempdir_in(cache).with_context(writing)?;
        let (module, built) = (folder.path().join("module"), folder.path().join("program"));
        fs::create_dir(&module).with_context(writing)?;
        for (name, content) in sources {
            fs::write(module.join(name), content).with_context(writing)?;
        }
        // A go since 1.23 counts its uses in the user's folder, and starts a second process for the counts.
        fs::create_dir_all(folder.path().join("go/telemetry")).with_context(writing)?;
        fs::write(folder.path().join("go/telemetry/mode"), "off").with_context(writing)?;

        let mut command = self.command(cache, folder.path());
        command.args(product.arguments()).arg("-o").arg(&built).arg(".").current_dir(&module);
        let name = format!("{} {}", self.go.display(), product.verb());
        subprocess::run(&mut command, self.patience, signal::stop_requested)?.check(&name)?;

        // Independent of the umask: a program that others may write is not used.
        fs::set_permissions(&built, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("{name} succeeded and left no program"))?;
        fs::rename(&built, program).with_context(writing)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::made_program::make_program;
    use crate::test_lock;
    use crate::tool::go::PATIENCE;
    use std::time::Duration;
    use tempfile::TempDir;

    const SOURCES: [(&str, &str); 2] = [("go.mod", "module ctxprof/fake"), ("main.go", "package main")];
    /// A go that builds: records its arguments, and copies its module's main.go to the program.
    const BUILDS: &str = "echo \"$@\" >> $HERE/ran; while [ \"$1\" != -o ]; do shift; done; cp main.go \"$2\"";

    /// A shell script in go's place, and a cache for it.
    pub struct Fake {
        here: TempDir,
        pub toolchain: Toolchain,
    }

    impl Fake {
        pub fn new(script: &str) -> Fake {
            let here = tempfile::tempdir().unwrap();
            let go = here.path().join("bin/go");
            make_program(&go, &format!("HERE={}; {script}", here.path().display()));
            let cache = Some(here.path().join("cache/go"));
            Fake { here, toolchain: Toolchain::new(go, cache, Duration::from_secs(60)) }
        }

        fn cache(&self) -> PathBuf {
            self.here.path().join("cache/go")
        }

        pub fn runs(&self) -> usize {
            fs::read_to_string(self.here.path().join("ran")).unwrap_or_default().lines().count()
        }

        fn check_refused(&self, words: &[&str]) {
            let error = format!("{:#}", self.toolchain.build(&SOURCES).unwrap_err());
            for word in words {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
            assert!(!self.toolchain.is_built(&SOURCES));
            let left = fs::read_dir(self.cache()).unwrap().count();
            assert_eq!(left, 0, "a failed build left something behind");
        }
    }

    #[test]
    fn a_program_is_built_once() {
        let _alone = test_lock();
        let fake = Fake::new(BUILDS);
        assert!(!fake.toolchain.is_built(&SOURCES));
        let program = fake.toolchain.build(&SOURCES).unwrap();
        assert_eq!(fs::read_to_string(&program).unwrap(), SOURCES[1].1);
        assert_eq!(fs::metadata(&program).unwrap().mode() & 0o777, 0o700);
        assert!(fake.toolchain.is_built(&SOURCES));
        assert_eq!(fake.toolchain.build(&SOURCES).unwrap(), program);
        assert_eq!(fake.runs(), 1);
        assert_eq!(fs::read_dir(fake.cache()).unwrap().count(), 1, "nothing but the program is left");
    }

    #[test]
    fn a_test_is_another_program_of_the_same_sources() {
        let _alone = test_lock();
        let fake = Fake::new(BUILDS);
        let program = fake.toolchain.build(&SOURCES).unwrap();
        assert!(!fake.toolchain.is_test_built(&SOURCES));
        assert_ne!(fake.toolchain.build_test(&SOURCES).unwrap(), program);
        assert!(fake.toolchain.is_test_built(&SOURCES));
        let ran = fs::read_to_string(fake.here.path().join("ran")).unwrap();
        let verbs: Vec<&str> = ran.lines().map(|line| line.split(" -trimpath").next().unwrap()).collect();
        assert_eq!(verbs, ["build", "test -c"]);
    }

    #[test]
    fn two_who_build_at_once_both_have_their_program() {
        let _alone = test_lock();
        let fake = Fake::new(&format!("sleep 0.1; {BUILDS}"));
        let build = || fake.toolchain.build(&SOURCES).unwrap();
        let (one, other) = std::thread::scope(|scope| {
            let threads = [scope.spawn(build), scope.spawn(build)];
            let [one, other] = threads.map(|thread| thread.join().unwrap());
            (one, other)
        });
        assert_eq!(one, other);
        assert_eq!(fs::read_dir(fake.cache()).unwrap().count(), 1);
    }

    #[test]
    fn other_sources_or_another_go_make_another_program() {
        let _alone = test_lock();
        let fake = Fake::new(BUILDS);
        let first = fake.toolchain.build(&SOURCES).unwrap();
        let mut changed = SOURCES;
        changed[1].1 = "package other";
        assert_ne!(fake.toolchain.build(&changed).unwrap(), first);
        make_program(&fake.toolchain.go, &format!("HERE={}; : newer; {BUILDS}", fake.here.path().display()));
        assert_ne!(fake.toolchain.build(&SOURCES).unwrap(), first);
        assert_eq!(fake.runs(), 3);
    }

    #[test]
    fn go_is_told_to_use_only_what_is_there() {
        let _alone = test_lock();
        let fake = Fake::new(&format!("env > $HERE/told; {BUILDS}"));
        fake.toolchain.build(&SOURCES).unwrap();
        let told = fs::read_to_string(fake.here.path().join("told")).unwrap();
        let cache = format!("GOCACHE={}/build", fake.cache().display());
        for setting in ["GOTOOLCHAIN=local", "GOPROXY=off", "GOFLAGS=", "CGO_ENABLED=0", &cache] {
            assert!(told.lines().any(|line| line == setting), "{setting} is not in {told}");
        }
        assert!(!told.contains("CARGO"), "this process's environment reached go: {told}");
    }

    #[test]
    fn a_build_that_fails_is_told_in_gos_words() {
        let _alone = test_lock();
        Fake::new("for line in 1 2 3 4 5 6; do echo word $line; done; echo the reason >&2; exit 4").check_refused(&[
            "bin/go build exited with code 4",
            "it said:\n  word 3\n",
            "\n  the reason",
        ]);
        Fake::new("kill -KILL $$").check_refused(&["SIGKILL", "it said nothing"]);
    }

    #[test]
    fn a_build_that_leaves_no_program_is_an_error() {
        let _alone = test_lock();
        Fake::new("exit 0").check_refused(&["build succeeded and left no program"]);
    }

    #[test]
    fn a_build_that_takes_too_long_is_ended() {
        let _alone = test_lock();
        let mut fake = Fake::new("echo getting ready; sleep 1000");
        fake.toolchain.patience = Duration::from_secs(2);
        fake.check_refused(&["took more than 2s and was ended", "getting ready"]);
    }

    #[test]
    fn what_others_may_have_written_is_not_used() {
        let _alone = test_lock();
        let fake = Fake::new(BUILDS);
        let program = fake.toolchain.build(&SOURCES).unwrap();
        for open in [program, fake.cache(), fake.here.path().join("cache")] {
            let mode = fs::metadata(&open).unwrap().permissions();
            fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
            let error = fake.toolchain.build(&SOURCES).unwrap_err().to_string();
            assert!(error.contains("others may write it (mode 0777)"), "{error}");
            fs::set_permissions(&open, mode).unwrap();
        }
        fake.toolchain.build(&SOURCES).unwrap();
    }

    #[test]
    fn without_a_place_for_programs_nothing_is_built() {
        let homeless = Toolchain::new(PathBuf::from("/bin/sh"), None, PATIENCE);
        assert!(!homeless.is_built(&SOURCES));
        assert!(homeless.build(&SOURCES).unwrap_err().to_string().contains("XDG_CACHE_HOME"));
    }
}
