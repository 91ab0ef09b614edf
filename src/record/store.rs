//! Where documents are kept, and how files are written: whole or not at all.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::sys::ownership;

/// Root's documents, which everyone may read.
const SYSTEM_STATE: &str = "/var/lib/ctxprof";

/// The folder for a command's saved documents: root's under /var/lib, another user's under XDG's state.
///
/// # Errors
/// Neither `XDG_STATE_HOME` nor `HOME` says where a user's state is.
///
/// # References
/// XDG Base Directory Specification: relative paths are to be ignored.
pub fn folder() -> Result<PathBuf> {
    if geteuid().is_root() {
        return Ok(PathBuf::from(SYSTEM_STATE).join("runs"));
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Ok(state.context("neither XDG_STATE_HOME nor HOME is an absolute path")?.join("ctxprof/runs"))
}

/// Keeps a document under a name made of its time, and returns where.
///
/// # Errors
/// The folder cannot be made or written.
pub fn keep(folder: &Path, started_at: &str, content: &str) -> Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))?;
    let stamp: String = started_at.chars().filter(char::is_ascii_alphanumeric).collect();
    let path = folder.join(format!("run-{stamp}-{}.json", std::process::id()));
    let mut readers = None;
    if geteuid().is_root() {
        // Whoever else could change what is in it could have root open another file to all readers.
        ownership::check_folder(folder)?;
        // Whatever root's umask is: what a machine costs is no secret of its administrator's.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("opening {} to all readers", folder.display()))?;
        readers = Some(0o644);
    }
    replace(&path, content, readers)?;
    Ok(path)
}

/// The newest document that was kept in a folder.
///
/// # Errors
/// Nothing has been kept, or the folder cannot be read.
pub fn newest(folder: &Path) -> Result<PathBuf> {
    kept(folder)?.pop().with_context(|| format!("no run has been saved in {}", folder.display()))
}

/// The newest document that was kept in a folder, after the one before it.
///
/// # Errors
/// Fewer than two have been kept, or the folder cannot be read.
pub fn newest_two(folder: &Path) -> Result<[PathBuf; 2]> {
    let mut kept = kept(folder)?;
    match (kept.pop(), kept.pop()) {
        (Some(new), Some(old)) => Ok([old, new]),
        _ => bail!("there are not two saved runs in {} to compare; name two files", folder.display()),
    }
}

/// All documents that were kept in a folder, the oldest first.
///
/// # Errors
/// Nothing has been kept, or the folder cannot be read.
pub fn kept(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("no run has been saved in {}", folder.display()),
        entries => entries.with_context(|| format!("reading {}", folder.display()))?,
    };
    let is_run = |name: &str| name.starts_with("run-") && name.ends_with(".json");
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_run))
        .collect();
    // The names begin with the time.
    paths.sort();
    Ok(paths)
}

/// Looks whether a file could be written, before hours are spent on what is to go into it.
///
/// # Errors
/// Its folder does not exist or may not be written, or it is a folder itself.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("{} is a folder", path.display());
    }
    let parent = parent_of(path);
    nix::unistd::access(parent, nix::unistd::AccessFlags::W_OK)
        .with_context(|| format!("cannot write into {}", parent.display()))
}

/// Writes a file whole or not at all: into a new file beside it, which then takes its name. A symbolic link of that
/// name is replaced, not followed, but for those of /dev and /proc. What is no regular file (a pipe, /dev/stdout) is written
/// into.
///
/// # Errors
/// The folder may not be written, or the disk is full; then nothing has changed.
pub fn write_whole(path: &Path, content: &str) -> Result<()> {
    match stream(path) {
        Some(flags) => fs::OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits())
            .open(path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("writing {}", path.display())),
        None => replace(path, content, None),
    }
}

/// How to open what is to be written into rather than replaced; `None` for everything else.
///
/// A link that somebody else has put into a folder that all may write, where root is about to write a report, leads wherever that
/// one likes: to a disk, too.
fn stream(path: &Path) -> Option<OFlag> {
    let is_link = fs::symlink_metadata(path).ok()?.is_symlink();
    let of_the_kernel = || {
        let folder = fs::canonicalize(parent_of(path)).unwrap_or_default();
        ["/dev", "/proc"].iter().any(|top| folder.starts_with(top)) && !folder.starts_with("/dev/shm")
    };
    if fs::metadata(path).ok()?.is_file() || is_link && !of_the_kernel() {
        return None;
    }
    Some(if is_link { OFlag::empty() } else { OFlag::O_NOFOLLOW })
}

/// The same for what is a regular file, a link, or not there; for all readers, or as the umask has it.
fn replace(path: &Path, content: &str, mode: Option<u32>) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent_of(path))
        .with_context(writing)?;
    if let Some(mode) = mode {
        // Of the open file: what has its name by then may be another.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode)).with_context(writing)?;
    }
    file.write_all(content.as_bytes()).with_context(writing)?;
    file.as_file().sync_all().with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::needs;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_kept_document_is_the_newest_and_readable_by_all() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("a/runs");
        assert!(newest(&runs).unwrap_err().to_string().contains("no run has been saved"));
        keep(&runs, "2026-11-23T18:00:00Z", "one").unwrap();
        let second = keep(&runs, "2026-11-23T18:00:01Z", "two").unwrap();
        fs::write(runs.join("zzz"), "not a run").unwrap();
        assert_eq!(newest(&runs).unwrap(), second);
        assert_eq!(fs::read_to_string(&second).unwrap(), "two");
        assert_eq!(fs::metadata(&second).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link.json"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        write_whole(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
    }

    #[test]
    fn a_link_to_a_device_that_somebody_planted_is_replaced_and_those_of_dev_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.json");
        // A write to it fails, so that one that was followed would show.
        symlink("/dev/full", &link).unwrap();
        write_whole(&link, "new").unwrap();
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        // As a shell's >(…) has it.
        let (reader, writer) = nix::unistd::pipe().unwrap();
        write_whole(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd())), "piped").unwrap();
        drop(writer);
        let mut said = String::new();
        fs::File::from(reader).read_to_string(&mut said).unwrap();
        assert_eq!(said, "piped");
    }

    #[test]
    fn root_keeps_nothing_where_others_could_have_put_something_else() {
        // Others keep their runs where they like.
        needs!(Root);
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, planted) = (folder.path().join("elsewhere"), folder.path().join("planted"));
        fs::create_dir(&elsewhere).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&elsewhere, &planted).unwrap();
        let error = keep(&planted, "2026-11-23T18:00:00Z", "one").unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o700);
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = keep(&open, "2026-11-23T18:00:00Z", "one").unwrap_err();
        assert!(error.to_string().contains("others may write it"), "{error}");
        assert_eq!(fs::read_dir(&open).unwrap().count() + fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_known_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("new.json")).unwrap();
        assert!(check_writable(&folder.path().join("absent/new.json")).is_err());
        assert!(check_writable(folder.path()).is_err());
    }
}
