//! Whose a file is, where what is in it may be executed or opened to others by root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

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
