//! As root: the invoking user's environment does not decide which programs run, or where files are written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::machine::needs;
use crate::support::{CTXPROF, SHORT, command, run};

/// Variables of a user's environment that sudo's `env_keep` may have passed on, all of them pointing to that user's folder.
const OF_THE_USER: [&str; 18] = [
    "GOFLAGS",
    "GOROOT",
    "GOENV",
    "GOTOOLCHAIN",
    "GODEBUG",
    "GOPATH",
    "GOCACHE",
    "GOTMPDIR",
    "GOEXPERIMENT",
    "PERF_CONFIG",
    "PERF_PAGER",
    "PAGER",
    "PERF_EXEC_PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "TMPDIR",
];

#[test]
fn helpers_that_root_starts_know_nothing_of_the_users_environment() {
    needs!(Root, Strace, Go);
    let user = tempfile::tempdir().unwrap();
    let log = user.path().join("log");
    // A cache of its own, in a mount namespace, so that Go has to build.
    let mut traced = command("unshare --mount sh -ec");
    traced
        .arg("mount -t tmpfs none /var/cache; exec \"$@\"")
        .arg("sh")
        .args(["strace", "-f", "-qq", "-v", "-s", "4096"]);
    traced.args(["-e", "trace=execve", "-e", "signal=none", "-o"]).arg(&log).arg(CTXPROF);
    traced.args(format!("run goroutine-channel {SHORT}").split_whitespace());
    traced.envs(OF_THE_USER.map(|name| (name, user.path().join("of-the-user"))));
    let done: crate::support::Done = traced.output().unwrap().into();
    done.expect(0, &[]);
    let log = fs::read_to_string(&log).unwrap();
    // The first is ctxprof itself, which strace starts.
    let helpers: Vec<&str> = log.lines().filter(|line| line.contains("execve(")).skip(1).collect();
    assert!(helpers.iter().any(|line| line.contains("/go\", [")), "{log}");
    for line in helpers {
        assert!(!line.contains("of-the-user"), "{line}");
        assert!(line.contains("execve(\"/"), "a helper is started by its whole path: {line}");
    }
    assert!(!user.path().join("of-the-user").exists(), "something was made in the user's folder");
}

#[test]
fn a_link_planted_where_root_writes_a_report_is_replaced_and_never_followed() {
    needs!(Root);
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let (precious, report) = (open.path().join("precious"), open.path().join("report.json"));
    fs::write(&precious, "precious").unwrap();
    for target in [precious.as_path(), Path::new("/dev/full"), Path::new("/nonexistent/new")] {
        let _ = fs::remove_file(&report);
        symlink(target, &report).unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/list-2.json");
        run(&format!("ctxprof report {golden} -o {}", report.display())).expect(0, &[]);
        assert!(fs::symlink_metadata(&report).unwrap().is_file(), "{}", target.display());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    assert_eq!(fs::read_dir(open.path()).unwrap().count(), 2, "nothing else is left");
}
