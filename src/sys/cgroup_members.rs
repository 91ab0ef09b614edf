//! The processes of an existing cgroup and of those below it, of either version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const PROCESSES: &str = "cgroup.procs";

/// A cgroup that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMembers {
    folder: PathBuf,
}

impl CgroupMembers {
    /// Finds a cgroup by its folder, or by its path below where a hierarchy is mounted, as /proc/PID/cgroup has it.
    ///
    /// # Errors
    /// There is none.
    pub fn find(path: &Path) -> Result<CgroupMembers> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        CgroupMembers::find_below(path, &mount_points(&mounts))
    }

    fn find_below(path: &Path, mounts: &[PathBuf]) -> Result<CgroupMembers> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let folders = std::iter::once(path.to_path_buf()).chain(mounts.iter().map(|mount| mount.join(relative)));
        for folder in folders {
            if folder.join(PROCESSES).exists() {
                return Ok(CgroupMembers { folder });
            }
        }
        if path.is_dir() {
            bail!("{} is no cgroup: it has no file {PROCESSES}", path.display());
        }
        let mounts: Vec<String> = mounts.iter().map(|mount| mount.display().to_string()).collect();
        bail!(
            "there is no cgroup {}: neither that folder nor one of that path below {}",
            path.display(),
            match mounts.as_slice() {
                [] => "a mounted hierarchy, of which there is none".to_string(),
                mounts => mounts.join(", "),
            }
        )
    }

    /// Returns the PIDs of its processes and of those in cgroups below it, as far as this PID namespace has them.
    ///
    /// # Errors
    /// It has been removed, or cannot be read.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let mut pids = listed(&self.folder)?;
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    // One below may have just been removed; a threaded one has its processes listed above.
                    pids.extend(listed(&entry.path()).unwrap_or_default());
                    folders.push(entry.path());
                }
            }
        }
        Ok(pids)
    }
}

fn listed(folder: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(folder.join(PROCESSES))?;
    // A process of another PID namespace is listed as 0.
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
}

/// Returns where cgroups are mounted, version 2 first, from /proc/self/mountinfo.
fn mount_points(mountinfo: &str) -> Vec<PathBuf> {
    let of = |version: &'static str| {
        mountinfo.lines().filter_map(move |line| {
            let (mount, kind) = line.split_once(" - ")?;
            (kind.split(' ').next() == Some(version))
                .then(|| PathBuf::from(mount.split(' ').nth(4).unwrap_or_default()))
        })
    };
    of("cgroup2").chain(of("cgroup")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
25 30 0:23 / /proc rw - proc proc rw
31 30 0:27 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        assert_eq!(mount_points(MOUNTINFO), ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"].map(PathBuf::from));
    }

    #[test]
    fn a_cgroup_is_found_by_its_folder_and_by_its_path_and_has_those_below() {
        let root = tempfile::tempdir().unwrap();
        let mounts = [root.path().join("none"), root.path().join("cpu")];
        let write = |path: &str, content: &str| {
            let folder = mounts[1].join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(PROCESSES), content).unwrap();
        };
        write("", "1\n");
        write("a.slice", "7\n0\n8\n");
        write("a.slice/b.service", "9\n");
        for path in ["a.slice", "/a.slice", "/a.slice/", mounts[1].join("a.slice").to_str().unwrap()] {
            let found = CgroupMembers::find_below(Path::new(path), &mounts).unwrap();
            assert_eq!(found.pids().unwrap(), [7, 8, 9], "{path}");
        }
        let refused = |path: &Path| format!("{:#}", CgroupMembers::find_below(path, &mounts).unwrap_err());
        assert!(refused(Path::new("a.slice/none")).contains("there is no cgroup a.slice/none"));
        assert!(refused(root.path()).contains("is no cgroup: it has no file cgroup.procs"));
    }
}
