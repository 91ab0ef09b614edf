//! Checks of the cgroup that the participants would run in.

use std::path::{Path, PathBuf};

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};

pub(super) const DEPTH: Check = Check {
    id: "cgroup-depth",
    why: "the scheduler walks every level of groups with a CPU controller at each switch: some 7 % of a pipe round trip from the root to five levels",
    source: "/proc/self/cgroup, /sys/fs/cgroup",
    look: depth,
    feeds: None,
};

/// Depth of a login shell under systemd.
const USUAL_DEPTH: usize = 3;

fn depth(context: &HostContext<'_>) -> Verdict {
    let group = Group::of(context)?;
    let levels = group.levels(context);
    let what = match levels.len() {
        0 => "the root group: no level with a CPU controller".to_string(),
        1 => "one level with a CPU controller".to_string(),
        count => format!("{count} levels with a CPU controller"),
    };
    if levels.len() <= USUAL_DEPTH {
        return Ok(Found::ok(what));
    }
    let procs = format!("/{}/cgroup.procs", group.mount);
    Ok(Found::info(what).fix(format!("echo $$ | sudo tee {procs}")))
}

pub(super) const QUOTA: Check = Check {
    id: "cpu-quota",
    why: "a group that has used up its quota stops until the next period: gaps of up to 100 ms that no switch explains",
    source: "cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us, of this process's cgroup and those above it",
    look: quota,
    feeds: None,
};

fn quota(context: &HostContext<'_>) -> Verdict {
    let group = Group::of(context)?;
    let mut tightest: Option<(f64, String)> = None;
    for level in group.levels(context) {
        let Some((cpus, file)) = quota_of(context, &level, group.version)? else { continue };
        if tightest.as_ref().is_none_or(|(fewest, _)| cpus < *fewest) {
            tightest = Some((cpus, file));
        }
    }
    let Some((cpus, file)) = tightest else { return Ok(Found::ok("no quota")) };
    let none = if group.version == Version::One { "-1" } else { "max" };
    let fix = format!("echo {none} | sudo tee /{file}");
    // Participants on one CPU, however many, never use more than one.
    Ok(if cpus < 1.0 {
        Found::serious(format!("{cpus:.2} CPUs, less than the one that a measurement fills")).fix(fix)
    } else {
        Found::info(format!("{cpus:.2} CPUs: enough for participants on one, if nothing else runs in the group"))
            .fix(fix)
    })
}

/// Returns the CPUs that a level may use and the file with the quota; `None` where it has no quota.
fn quota_of(context: &HostContext<'_>, level: &str, version: Version) -> Result<Option<(f64, String)>, String> {
    let number = |text: &str, path: &str| text.parse::<f64>().map_err(|_| format!("/{path} is {text:?}"));
    match version {
        Version::Two => {
            let path = format!("{level}/cpu.max");
            let text = context.read(&path)?;
            match text.split_whitespace().collect::<Vec<_>>()[..] {
                ["max", ..] => Ok(None),
                [quota, period] => Ok(Some((number(quota, &path)? / number(period, &path)?, path))),
                _ => Err(format!("/{path} is {text:?}")),
            }
        }
        Version::One => {
            let (path, period) = (format!("{level}/cpu.cfs_quota_us"), format!("{level}/cpu.cfs_period_us"));
            let quota = number(&context.read(&path)?, &path)?;
            if quota < 0.0 {
                return Ok(None);
            }
            Ok(Some((quota / number(&context.read(&period)?, &period)?, path)))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// This process's cgroup in the hierarchy that has the CPU controller.
struct Group {
    version: Version,
    /// Mount point of the hierarchy, below the root.
    mount: &'static str,
    /// Path of the cgroup below the mount point.
    path: String,
}

impl Group {
    fn of(context: &HostContext<'_>) -> Result<Group, String> {
        let cgroups = context.read("proc/self/cgroup")?;
        let mut unified = None;
        for line in cgroups.lines() {
            // "4:cpu,cpuacct:/user.slice" or, version 2, "0::/user.slice".
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            if controllers.split(',').any(|each| each == "cpu") {
                let mounts = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"];
                let mount = mounts.into_iter().find(|mount| context.exists(mount));
                let mount = mount.ok_or("the hierarchy with the CPU controller is not mounted below /sys/fs/cgroup")?;
                return Ok(Group { version: Version::One, mount, path: path.to_string() });
            }
            if controllers.is_empty() {
                unified = Some(path.to_string());
            }
        }
        let path = unified.ok_or("/proc/self/cgroup names no group with a CPU controller")?;
        let mounts = ["sys/fs/cgroup/unified", "sys/fs/cgroup"];
        let mount = mounts.into_iter().find(|mount| context.exists(&format!("{mount}/cgroup.controllers")));
        let mount = mount.ok_or("no cgroup hierarchy is mounted below /sys/fs/cgroup")?;
        Ok(Group { version: Version::Two, mount, path })
    }

    /// Returns the folders of this group and its ancestors that have a CPU controller, the innermost first, below the root. The
    /// hierarchy's own root has none; in a cgroup namespace its top is a group like others, and has one.
    fn levels(&self, context: &HostContext<'_>) -> Vec<String> {
        let top = PathBuf::from(self.mount);
        let folder = top.join(self.path.trim_start_matches('/'));
        let within = folder.ancestors().take_while(|folder| folder.starts_with(&top));
        let has_controller = |folder: &&Path| match self.version {
            Version::One => *folder != top,
            Version::Two => context.root.join(folder).join("cpu.max").exists(),
        };
        within.filter(has_controller).map(|folder| folder.display().to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Serious, Unknown};
    use crate::host::checks::context::tests::{MadeUp, expect};

    const TWO: &str = "sys/fs/cgroup";

    /// A tree of version 2 with this process five levels deep, the innermost with this quota.
    fn deep(quota: &str) -> Vec<(String, String)> {
        let mut files = vec![
            ("proc/self/cgroup".to_string(), "0::/a/b/c/d/e\n".to_string()),
            (format!("{TWO}/cgroup.controllers"), "cpu\n".to_string()),
        ];
        let mut folder = TWO.to_string();
        for name in ["a", "b", "c", "d", "e"] {
            folder = format!("{folder}/{name}");
            let value = if name == "e" { quota } else { "max 100000\n" };
            files.push((format!("{folder}/cpu.max"), value.to_string()));
        }
        files
    }

    fn look(check: &Check, files: &[(String, String)]) -> Found {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        MadeUp::default().look(check, &files)
    }

    fn old(group: &str, quota: &str) -> Vec<(String, String)> {
        let file = |name: &str| format!("sys/fs/cgroup/cpu{group}/{name}");
        vec![
            ("proc/self/cgroup".to_string(), format!("3:pids:/\n2:cpu,cpuacct:{group}\n0::/\n")),
            (file("cpu.cfs_quota_us"), quota.to_string()),
            (file("cpu.cfs_period_us"), "100000\n".to_string()),
        ]
    }

    #[test]
    fn levels_with_a_cpu_controller_are_counted() {
        expect(&look(&DEPTH, &deep("max 100000")), Info, "5 levels", "tee /sys/fs/cgroup/cgroup.procs");
        expect(&look(&DEPTH, &old("/", "-1")), Fine, "the root group", "");
        expect(&look(&DEPTH, &old("/user", "-1")), Fine, "one level", "");
        // In a container's namespace the top is a group.
        let namespaced = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu"),
            ("sys/fs/cgroup/cpu.max", "max 1"),
        ];
        expect(&MadeUp::default().look(&DEPTH, &namespaced), Fine, "one level", "");
        expect(&MadeUp::default().look(&DEPTH, &[]), Unknown, "/proc/self/cgroup", "");
        expect(&MadeUp::default().look(&DEPTH, &[("proc/self/cgroup", "0::/\n")]), Unknown, "mounted", "");
    }

    #[test]
    fn a_quota_below_one_cpu_is_serious() {
        expect(&look(&QUOTA, &deep("max 100000\n")), Fine, "no quota", "");
        expect(
            &look(&QUOTA, &deep("50000 100000\n")),
            Serious,
            "0.50 CPUs",
            "echo max | sudo tee /sys/fs/cgroup/a/b/c/d/e/cpu.max",
        );
        expect(&look(&QUOTA, &deep("200000 100000\n")), Info, "2.00 CPUs", "echo max");
        expect(&look(&QUOTA, &deep("weird\n")), Unknown, "weird", "");
        expect(&look(&QUOTA, &old("/user", "-1\n")), Fine, "no quota", "");
        expect(
            &look(&QUOTA, &old("/user", "25000\n")),
            Serious,
            "0.25 CPUs",
            "echo -1 | sudo tee /sys/fs/cgroup/cpu/user/cpu.cfs_quota_us",
        );
        expect(&MadeUp::default().look(&QUOTA, &[]), Unknown, "/proc/self/cgroup", "");
    }
}
