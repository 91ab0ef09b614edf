//! Ownership of files whose content root may execute or publish.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

/// Returns true if this process is root on the machine itself, the owner of its folders. User 0 of another user namespace, as in
/// a rootless container, is an ordinary user outside of it.
///
/// # References
/// user_namespaces(7): the initial namespace maps every user to itself.
pub fn is_machines_root() -> bool {
    geteuid().is_root() && fs::read_to_string("/proc/self/uid_map").map_or(true, |map| maps_all_to_itself(&map))
}

fn maps_all_to_itself(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// # Errors
/// The folder or the one above it is a symbolic link, not this user's, or writable by others.
pub fn check_folder(folder: &Path) -> Result<()> {
    folder.parent().map_or(Ok(()), check)?;
    check(folder)
}

/// # Errors
/// The file or folder is absent, a symbolic link, not this user's, or writable by others.
pub fn check(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    let user = geteuid().as_raw();
    let refused = if found.is_symlink() {
        "it is a symbolic link".to_string()
    } else if found.uid() != user {
        format!("it belongs to user {}, not to user {user}", found.uid())
    } else if found.mode() & 0o022 != 0 {
        format!("others may write it (mode {:04o})", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    bail!("{} is not used: {refused}; see who made it, then remove it", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_user_namespace_is_told_by_its_map() {
        assert!(maps_all_to_itself("         0          0 4294967295\n"));
        for map in ["0 1000 1\n", "0 0 1\n", "0 100000 65536\n", "0 1000 1\n1 100000 65536\n", ""] {
            assert!(!maps_all_to_itself(map), "{map:?}");
        }
    }
}
