//! Two temporary cgroups with the CPU controller, of either version: a process moves into one, its partner into the other, and
//! both are removed afterwards. Existing cgroups are not changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, getpid};

/// Hierarchy with the CPU controller, and this process's cgroup in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// Parent of new cgroups. That is this process's own, so that its limits apply; but in version 2 a cgroup with processes hands
    /// no controller down: there it is the root.
    root: PathBuf,
    /// This process's own.
    own: PathBuf,
}

/// Mount points, each with its controller in /proc/self/cgroup: version 1's, or none.
const MOUNTS: [(&str, &str); 4] = [
    ("cpu", "sys/fs/cgroup/cpu"),
    ("cpu", "sys/fs/cgroup/cpu,cpuacct"),
    ("", "sys/fs/cgroup"),
    ("", "sys/fs/cgroup/unified"),
];

/// Prefix of the names, followed by the PID of the process that created them.
const PREFIX: &str = "ctxprof-pair-";

/// The two cgroups, and this process's previous one.
#[derive(Debug)]
pub struct Cgroups {
    before: PathBuf,
    leaders: PathBuf,
    followers: PathBuf,
}

impl Cgroups {
    /// Creates two, and moves this process into the first. Removes what a killed process has left.
    ///
    /// # Errors
    /// This user can create no cgroup with the CPU controller on this host; with the system's answer.
    pub fn enter() -> Result<Cgroups> {
        let hierarchy = hierarchy(Path::new("/"))?;
        remove_abandoned(&hierarchy.root);
        let name = |participant: &str| hierarchy.root.join(format!("{PREFIX}{}-{participant}", getpid()));
        let cgroups = Cgroups { before: hierarchy.own, leaders: name("leader"), followers: name("follower") };
        for folder in [&cgroups.leaders, &cgroups.followers] {
            fs::create_dir(folder).with_context(|| format!("making the cgroup {}", folder.display()))?;
        }
        move_into(&cgroups.leaders, getpid())?;
        Ok(cgroups)
    }

    /// Moves the other process into the second cgroup.
    ///
    /// # Errors
    /// It has ended, or the kernel refuses.
    pub fn seat_follower(&self, process: Pid) -> Result<()> {
        move_into(&self.followers, process)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // A cgroup with a process in it cannot be removed.
        let _ = move_into(&self.before, getpid());
        [&self.leaders, &self.followers].into_iter().for_each(|folder| remove(folder));
    }
}

/// Checks that two could be created on this host, without creating any.
///
/// # Errors
/// As [`Cgroups::enter`].
pub fn can_be_made() -> Result<()> {
    let Hierarchy { root, own } = hierarchy(Path::new("/"))?;
    let may_write = |path: &Path| {
        nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).with_context(|| format!("writing {}", path.display()))
    };
    may_write(&root)?;
    // The process must be able to move back.
    may_write(&own.join("cgroup.procs"))
}

fn hierarchy(root: &Path) -> Result<Hierarchy> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("reading /{path}"));
    let lines = read("proc/self/cgroup")?;
    for (controller, mount) in MOUNTS {
        let Some(path) = path_in(&lines, controller) else { continue };
        let mount = root.join(mount);
        let is_there = mount.join("cgroup.procs").exists();
        // In version 2, a new cgroup has the controllers that its parent hands down.
        let handed_down = || fs::read_to_string(mount.join("cgroup.subtree_control")).unwrap_or_default();
        if is_there && (controller == "cpu" || handed_down().split_whitespace().any(|each| each == "cpu")) {
            let own = mount.join(path.trim_start_matches('/'));
            if !own.join("cgroup.procs").exists() {
                bail!("this process's cgroup, {path}, is not below {}: there would be no way back", mount.display());
            }
            let root = if controller == "cpu" { own.clone() } else { mount };
            return Ok(Hierarchy { root, own });
        }
    }
    bail!("no cgroups with the CPU controller are mounted in /sys/fs/cgroup, or their root does not hand it down")
}

/// Returns this process's cgroup, from `4:cpu,cpuacct:/user.slice` or, version 2, `0::/user.slice`.
fn path_in<'l>(lines: &'l str, controller: &str) -> Option<&'l str> {
    lines.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|each| each == controller).then_some(path)
    })
}

fn move_into(folder: &Path, process: Pid) -> Result<()> {
    fs::write(folder.join("cgroup.procs"), process.to_string())
        .with_context(|| format!("moving process {process} into the cgroup {}", folder.display()))
}

/// Removes an empty cgroup. One whose last process has just ended is busy for a moment.
fn remove(folder: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => sleep(Duration::from_millis(1)),
            _ => return,
        }
    }
}

/// Removes those whose creator has ended.
fn remove_abandoned(root: &Path) {
    let is_abandoned = |folder: &PathBuf| {
        let maker =
            folder.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        maker.is_some_and(|maker: u32| !Path::new(&format!("/proc/{maker}")).exists())
    };
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(is_abandoned).for_each(|folder| {
        let _ = fs::remove_dir(folder);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn check(files: &[(&str, &str)], expected: Result<(&str, &str), &str>) {
        let root = root_with(files);
        let below = |path: &str| root.path().join(path);
        match (hierarchy(root.path()), expected) {
            (Ok(found), Ok((at, own))) => assert_eq!(found, Hierarchy { root: below(at), own: below(own) }),
            (Err(error), Err(words)) => assert!(format!("{error:#}").contains(words), "{error:#}"),
            (found, expected) => panic!("{found:?}, and not {expected:?}"),
        }
    }

    #[test]
    fn the_hierarchy_with_the_cpu_controller_is_found_in_either_version() {
        let one =
            [("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/b\n0::/c\n"), ("sys/fs/cgroup/cpu/cgroup.procs", "")];
        let at = ("sys/fs/cgroup/cpu/b", "sys/fs/cgroup/cpu/b");
        check(&[one[0], one[1], ("sys/fs/cgroup/cpu/b/cgroup.procs", "")], Ok(at));
        check(&one, Err("is not below"));
        let two = [
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/cgroup.procs", ""),
            ("sys/fs/cgroup/user.slice/cgroup.procs", ""),
        ];
        let handed_down = ("sys/fs/cgroup/cgroup.subtree_control", "cpuset cpu memory\n");
        check(&[two[0], two[1], two[2], handed_down], Ok(("sys/fs/cgroup", "sys/fs/cgroup/user.slice")));
        let others_only = ("sys/fs/cgroup/cgroup.subtree_control", "cpuset memory\n");
        check(&[two[0], two[1], two[2], others_only], Err("does not hand it down"));
        check(&[], Err("reading /proc/self/cgroup"));
    }

    #[test]
    fn what_a_killed_maker_left_is_removed_and_that_of_a_live_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let [dead, alive, other] =
            [format!("{PREFIX}4194305-leader"), format!("{PREFIX}{}-leader", getpid()), "user.slice".to_string()]
                .map(|name| root.path().join(name));
        for folder in [&dead, &alive, &other] {
            fs::create_dir(folder).unwrap();
        }
        remove_abandoned(root.path());
        assert!(!dead.exists() && alive.exists() && other.exists());
    }
}
