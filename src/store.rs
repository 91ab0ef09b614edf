//! Folders of saved documents, and writing files: whole or not at all.

use std::env;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;

use crate::sys::ownership;

/// Returns a moment in the form of documents.
pub fn timestamp(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

/// Root's documents, which every user may read.
const SYSTEM_STATE: &str = "/var/lib/ctxprof";

/// Returns the folder for a command's saved documents: root's under /var/lib, another user's under XDG's state.
///
/// # Errors
/// Neither `XDG_STATE_HOME` nor `HOME` is an absolute path.
///
/// # References
/// XDG Base Directory Specification: relative paths are to be ignored.
pub fn folder() -> Result<PathBuf> {
    if ownership::is_machines_root() {
        return Ok(PathBuf::from(SYSTEM_STATE).join("runs"));
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Ok(state.context("neither XDG_STATE_HOME nor HOME is an absolute path")?.join("ctxprof/runs"))
}

/// Saves a document under a name made of its time, and returns its path.
///
/// # Errors
/// The folder cannot be made or written.
pub fn keep(folder: &Path, started_at: &str, content: &str) -> Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(format!("run-{}-{}.json", stamp(started_at), std::process::id()));
    let mut readers = None;
    if ownership::is_machines_root() {
        // Anyone else who could change its content could have root open another file to all readers.
        ownership::check_folder(folder)?;
        // Whatever root's umask is: measurements of a machine are not its administrator's secret.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("opening {} to all readers", folder.display()))?;
        readers = Some(0o644);
    }
    replace(&path, content, readers)?;
    Ok(path)
}

/// Removes a saved document from its folder.
///
/// # Errors
/// The folder may not be written; it is root's, and others may write it.
pub fn remove(folder: &Path, path: &Path) -> Result<()> {
    if ownership::is_machines_root() {
        ownership::check_folder(folder)?;
    }
    fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
}

/// Returns the folders that are searched for saved documents: that of [`folder`], and root's, which every user may read and into
/// which `sudo ctxprof run` saves.
pub fn folders() -> Vec<PathBuf> {
    let system = PathBuf::from(SYSTEM_STATE).join("runs");
    let mut folders: Vec<PathBuf> = folder().into_iter().collect();
    if !folders.contains(&system) {
        folders.push(system);
    }
    folders
}

/// Returns the newest document saved in these folders.
///
/// # Errors
/// Nothing has been saved, or no folder can be read.
pub fn newest(folders: &[PathBuf]) -> Result<PathBuf> {
    kept_in(folders)?.pop().with_context(|| no_run_in(folders))
}

/// Returns remarks on a document that was taken as the newest without being named: that it is another user's, and that others in
/// these folders are dated in the future and were not taken.
pub fn remarks_on_newest(folders: &[PathBuf], newest: &Path) -> Vec<String> {
    let now = stamp_of(SystemTime::now() + CLOCK_SLACK);
    let mut remarks = Vec::new();
    if folders.first().is_some_and(|own| own.as_path() != parent_of(newest)) {
        remarks.push(format!("the newest saved run is {}", newest.display()));
    }
    let from_the_future = |path: &PathBuf| dated(path).is_some_and(|date| date > now.as_str());
    let passed_over =
        kept_in(folders).unwrap_or_default().into_iter().filter(|path| path != newest && from_the_future(path));
    remarks.extend(passed_over.map(|path| {
        format!(
            "{} is dated in the future, so it is taken for the oldest; remove it if a clock was wrong",
            path.display()
        )
    }));
    remarks
}

/// Returns all documents saved in a folder, the oldest first. One that is dated in the future was saved while a clock was
/// wrong, and would stay the newest for years: such ones, and those without a date, count as the oldest.
///
/// # Errors
/// Nothing has been saved, or the folder cannot be read.
pub fn kept(folder: &Path) -> Result<Vec<PathBuf>> {
    kept_in(&[folder.to_path_buf()])
}

/// Returns the documents of [`kept`] for all these folders; those that do not exist, or that this user may not read, are skipped
/// as long as one can be read.
///
/// # Errors
/// As [`kept`].
pub fn kept_in(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut error = None;
    for folder in folders {
        match runs_in(folder) {
            Ok(found) => paths.extend(found),
            Err(refused) => error = error.or(Some(refused)),
        }
    }
    match error {
        Some(error) if paths.is_empty() && error.kind() == io::ErrorKind::NotFound => bail!("{}", no_run_in(folders)),
        Some(error) if paths.is_empty() => return Err(error).with_context(|| format!("reading {}", listed(folders))),
        _ => (),
    }
    let now = stamp_of(SystemTime::now() + CLOCK_SLACK);
    // The names begin with the time; within the same second the file's own decides.
    paths.sort_by_cached_key(|path| {
        let date = dated(path).filter(|date| *date <= now.as_str()).map(String::from);
        (date, dated(path).map(String::from), fs::metadata(path).and_then(|file| file.modified()).ok(), path.clone())
    });
    Ok(paths)
}

/// Tolerance for documents dated later than this machine's clock: a home folder may be shared by several machines.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

fn runs_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_run = |name: &str| name.starts_with("run-") && name.ends_with(".json");
    let paths = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_run)).collect())
}

/// Returns `20261124T200000Z` of `run-20261124T200000Z-4711.json`.
fn dated(path: &Path) -> Option<&str> {
    let (date, _) = path.file_name()?.to_str()?.strip_prefix("run-")?.split_once('-')?;
    let is_date = date.len() == 16 && date.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    is_date.then_some(date)
}

/// Returns a moment in the form of file names.
fn stamp_of(moment: SystemTime) -> String {
    stamp(&timestamp(moment))
}

fn stamp(started_at: &str) -> String {
    started_at.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn no_run_in(folders: &[PathBuf]) -> String {
    format!("no run has been saved in {}", listed(folders))
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}

/// Checks that a file could be written, before hours are spent on its content.
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

/// Writes a file whole or not at all: into a new file beside it, which is then renamed. A symbolic link of that name is
/// replaced, not followed, except those of /dev and /proc. A path that is no regular file (a pipe, /dev/stdout) is written
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

/// Returns the flags to open a path that is written into rather than replaced; `None` for every other path.
///
/// A link that another user has put into a world-writable folder, where root is about to write a report, can lead anywhere: to a
/// disk, too.
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

/// Replaces a regular file or a link, or creates the file; with this mode, or by the umask.
pub(super) fn replace(path: &Path, content: &str, mode: Option<u32>) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent_of(path))
        .with_context(writing)?;
    if let Some(mode) = mode {
        // Of the open file: by now another one may have its name.
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
        let folders = [runs.clone()];
        assert!(newest(&folders).unwrap_err().to_string().contains("no run has been saved"));
        keep(&runs, "2026-11-23T18:00:00Z", "one").unwrap();
        let second = keep(&runs, "2026-11-23T18:00:01Z", "two").unwrap();
        fs::write(runs.join("zzz"), "not a run").unwrap();
        assert_eq!(newest(&folders).unwrap(), second);
        assert_eq!(fs::read_to_string(&second).unwrap(), "two");
        assert_eq!(fs::metadata(&second).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn what_is_dated_in_the_future_or_not_at_all_is_the_oldest_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [folder.path().join("runs")];
        let keep = |started_at: &str| keep(&runs[0], started_at, "{}").unwrap();
        let from_the_future = keep("2099-01-01T00:00:00Z");
        assert_eq!(newest(&runs).unwrap(), from_the_future, "as long as there is no other");
        assert!(remarks_on_newest(&runs, &from_the_future).is_empty());
        let (older, newer) = (keep("2026-11-23T18:00:00Z"), keep("2026-11-23T18:00:01Z"));
        fs::write(runs[0].join("run-zzz.json"), "{}").unwrap();
        fs::write(runs[0].join("run-zz-a-copy.json"), "{}").unwrap();
        assert_eq!(kept_in(&runs).unwrap()[3..], [older, newer.clone()]);
        let remarks = remarks_on_newest(&runs, &newer);
        assert!(remarks.len() == 1 && remarks[0].contains("run-20990101T000000Z-"), "{remarks:?}");
        let soon = keep(&timestamp(SystemTime::now() + Duration::from_secs(60)));
        assert_eq!(newest(&runs).unwrap(), soon, "another machine's clock may be a little ahead");
    }

    #[test]
    fn runs_of_several_folders_are_in_the_order_of_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let [own, system, absent] = ["own", "system", "absent"].map(|name| folder.path().join(name));
        let folders = [own.clone(), absent, system.clone()];
        let error = newest(&folders).unwrap_err().to_string();
        assert!(error.contains("own") && error.contains("system"), "{error}");
        let third = keep(&system, "2026-11-23T18:00:03Z", "{}").unwrap();
        assert_eq!(newest(&folders).unwrap(), third);
        assert!(remarks_on_newest(&folders, &third)[0].contains(&third.display().to_string()));
        let second = keep(&own, "2026-11-23T18:00:02Z", "{}").unwrap();
        assert_eq!(kept_in(&folders).unwrap(), [second, third]);
        let fourth = keep(&own, "2026-11-23T18:00:04Z", "{}").unwrap();
        assert_eq!(newest(&folders).unwrap(), fourth);
        assert!(remarks_on_newest(&folders, &fourth).is_empty());
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
        // A write to it fails, so that a followed link would show.
        symlink("/dev/full", &link).unwrap();
        write_whole(&link, "new").unwrap();
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        // As by a shell's >(…).
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
