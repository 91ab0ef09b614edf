//! Folders and files that no other user can have written: programs in them may run as root.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys::ownership;

/// Root's cache.
const SYSTEM_CACHE: &str = "/var/cache/ctxprof";

/// Returns the folder for programs built by a tool: root's under /var/cache, another user's under XDG's cache; `None` without an
/// absolute `XDG_CACHE_HOME` or `HOME`.
///
/// # References
/// XDG Base Directory Specification: relative paths must be ignored.
pub(super) fn cache(tool: &str) -> Option<PathBuf> {
    if ownership::is_machines_root() {
        return Some(PathBuf::from(SYSTEM_CACHE).join(tool));
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("ctxprof").join(tool))
}

/// Creates a folder, and its parents, for this user alone.
///
/// # Errors
/// It cannot be created, or another user can write it or its parent.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))?;
    ownership::check_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::needs;
    use nix::unistd::{Uid, chown};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn check_refused(folder: &Path, words: &str) {
        let error = make_folder(folder).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("is not used"), "{words:?} is not in {error:?}");
    }

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("ctxprof/go");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        for made in [folder.as_path(), folder.parent().unwrap()] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("ctxprof/go");
        make_folder(&folder).unwrap();
        for (open, mode) in [(folder.as_path(), 0o770), (folder.parent().unwrap(), 0o707)] {
            fs::set_permissions(open, fs::Permissions::from_mode(mode)).unwrap();
            check_refused(&folder, &format!("others may write it (mode {mode:04o})"));
            fs::set_permissions(open, fs::Permissions::from_mode(0o700)).unwrap();
        }
        make_folder(&folder).unwrap();
    }

    #[test]
    fn a_link_is_refused_wherever_it_leads() {
        let base = tempfile::tempdir().unwrap();
        let (target, link) = (base.path().join("target"), base.path().join("link"));
        make_folder(&target).unwrap();
        symlink(&target, &link).unwrap();
        check_refused(&link, "it is a symbolic link");
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        // Only root may give a folder away.
        needs!(Root);
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("go");
        make_folder(&folder).unwrap();
        chown(&folder, Some(Uid::from_raw(12345)), None).unwrap();
        check_refused(&folder, "it belongs to user 12345, not to user 0");
    }
}
