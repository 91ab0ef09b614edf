//! Users, cgroups and mount namespaces to run ctxprof in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::machine::make_cgroup;
use crate::support::{CTXPROF, Done, command, run, wait_until};

/// An unprivileged user, and a copy of the binary within that user's reach. Each is another user: limits of processes are counted
/// over all of a user's.
pub struct Nobody {
    pub folder: tempfile::TempDir,
    pub user: u32,
}

impl Nobody {
    pub fn new() -> Nobody {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let user = 60_000 + (std::process::id() % 50) * 100 + MADE.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // In a process of its own, as in made_program.
        let copied = Command::new("cp").arg(CTXPROF).arg(folder.path().join("ctxprof-copy")).status().unwrap();
        assert!(copied.success());
        Nobody { folder, user }
    }

    pub fn binary(&self) -> PathBuf {
        self.folder.path().join("ctxprof-copy")
    }

    pub fn run(&self, arguments: &str) -> Done {
        self.run_under("env", arguments)
    }

    pub fn run_under(&self, wrapper: &str, arguments: &str) -> Done {
        let (user, state) = (self.user, self.folder.path().display());
        run(&format!(
            "setpriv --reuid={user} --regid={user} --clear-groups env XDG_STATE_HOME={state} {wrapper} {} {arguments}",
            self.binary().display()
        ))
    }
}

/// A cgroup made for a test, of this machine's version; removed when dropped.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one with this controller, for a test that needs such a cgroup.
    pub fn new(controller: &str) -> Cgroup {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("ctxprof-test-{}-{controller}-{nth}", std::process::id());
        Cgroup(make_cgroup(controller, &name).unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn run(&self, arguments: &str) -> Done {
        let script = format!("echo $$ > {}/cgroup.procs && exec {} {arguments}", self.0.display(), CTXPROF);
        let mut shell = command("sh -c");
        shell.arg(script).output().unwrap().into()
    }

    pub fn set(&self, file: &str, value: u64) -> bool {
        fs::write(self.0.join(file), value.to_string()).is_ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let remove = || fs::remove_dir(&self.0).is_ok();
        // A second panic would end all tests.
        if thread::panicking() {
            let _ = (0..100).any(|_| (remove(), sleep(Duration::from_millis(10))).0);
        } else {
            wait_until(&format!("{} can be removed", self.0.display()), remove);
        }
    }
}

/// A shell script that runs its arguments in a mount namespace without Go in any of its places, those besides `PATH` too.
const WITHOUT_GO: &str = "for go in /usr/local/go /snap/go /usr/lib/go /usr/lib/go-* /usr/share/go-*; do
    [ -L $go ] || [ ! -d $go ] || mount -t tmpfs none $go
  done
  exec env PATH=/nowhere \"$@\"";

/// Returns a command of this program where there is no Go; needs root.
pub fn without_go(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", WITHOUT_GO, "sh"]).arg(program);
    command
}
