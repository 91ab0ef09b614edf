//! The history's file: reading it, adding to it, and limiting its size.

use std::fs;
use std::fs::{File, OpenOptions};
use std::io;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::bench::document::history::{History, Line, SCHEMA, full_speed, sessions};
use crate::bench::figures::reference;
use crate::store;

/// Most lines of the file: a run of all workloads a day for more than a year.
pub(super) const MOST_LINES: usize = 10_000;
/// Lines that are left when there are more: merging costs time at every tenth run or so, not at every one.
const LEFT_LINES: usize = MOST_LINES / 10 * 9;
/// Larger files are not read.
const MOST_BYTES: u64 = 16 << 20;
/// Longest wait for another run that ends at the same time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the history in a file; an empty one if there is no file.
///
/// # Errors
/// It cannot be read, or is something else than a history.
pub fn read(path: &Path) -> Result<History> {
    match open(path, OpenOptions::new().read(true)) {
        Ok(file) => read_from(file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
        Err(error) => Err(error).with_context(|| format!("opening {}", path.display())),
    }
}

/// Adds lines to a history, which is created if missing; its oldest sessions are merged when it has too many. Readable
/// for all, or as the umask has it.
///
/// # Errors
/// It cannot be read or written, is something else than a history, or another process holds it. Then it is as it was.
pub fn add(path: &Path, lines: &[Line], for_all_readers: bool) -> Result<()> {
    // Held until the new file has the name: whoever waits for it then takes the lock on that one.
    let locked = lock(path)?;
    let history = read_from(&*locked, path)?;
    let lines = history.lines.into_iter().chain(lines.iter().cloned()).collect();
    let mut text = format!("{SCHEMA}\n");
    for line in shortened(lines) {
        text += &format!("{line}\n");
    }
    store::replace(path, &text, for_all_readers.then_some(0o644))
}

/// Opens a file: never a link, which somebody may have put there, and never waiting for a pipe's writer.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).mode(0o644).open(path)
}

fn lock(path: &Path) -> Result<Flock<File>> {
    let began = Instant::now();
    loop {
        let opening = || format!("opening {} to add to it", path.display());
        let file =
            open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false)).with_context(opening)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) if is_still(path, &locked) => return Ok(locked),
            // Another has replaced it in the meantime.
            Ok(_) => {}
            Err((_, Errno::EWOULDBLOCK)) => sleep(Duration::from_millis(10)),
            Err((_, error)) => return Err(error).with_context(|| format!("locking {}", path.display())),
        }
        if began.elapsed() > PATIENCE {
            bail!("{} is held by another process (`fuser {0}` names it); nothing was added", path.display());
        }
    }
}

fn is_still(path: &Path, file: &File) -> bool {
    let identity = |found: io::Result<fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    identity(file.metadata()) == identity(fs::symlink_metadata(path))
}

fn read_from(mut file: impl Read + std::borrow::Borrow<File>, path: &Path) -> Result<History> {
    let file_is = file.borrow().metadata().with_context(|| format!("looking at {}", path.display()))?;
    if !file_is.is_file() {
        bail!("{} is no regular file", path.display());
    }
    if file_is.len() > MOST_BYTES {
        bail!("{} has {} bytes, more than a history can have", path.display(), file_is.len());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is left as it is", path.display()))
}

/// Returns the history in these bytes; none are an empty one.
///
/// # Errors
/// They are something else, or another version's.
pub fn parse(bytes: &[u8]) -> Result<History> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(History::default()),
        Some(SCHEMA) => {}
        Some(first) if first.starts_with("ctxprof.history/") => {
            bail!(
                "it is a history of another version ({:.40}); this one reads {SCHEMA}",
                first.escape_debug().to_string()
            )
        }
        Some(first) => bail!("it is no history: it begins with \"{:.40}\"", first.escape_debug().to_string()),
    }
    let mut history = History::default();
    for line in lines {
        match line.parse() {
            Ok(line) => history.lines.push(line),
            Err(_) => history.damaged += 1,
        }
    }
    Ok(history)
}

/// Returns the same lines if they are few enough; else with the oldest sessions merged to one line per row, and, should
/// that not do, without the oldest lines.
pub fn shortened(lines: Vec<Line>) -> Vec<Line> {
    if lines.len() <= MOST_LINES {
        return lines;
    }
    let all: Vec<&Line> = lines.iter().collect();
    let numbers = sessions(&all);
    let newest = numbers.last().copied().unwrap_or_default();
    let mut kept: Vec<Line> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let end = at + numbers[at..].iter().take_while(|&&number| number == numbers[at]).count();
        let is_enough = kept.len() + (lines.len() - at) <= LEFT_LINES;
        if is_enough || numbers[at] == newest {
            kept.extend_from_slice(&lines[at..end]);
        } else {
            kept.extend(merged(&lines[at..end]));
        }
        at = end;
    }
    let too_many = if kept.len() > MOST_LINES { kept.len() - LEFT_LINES } else { 0 };
    kept.drain(..too_many);
    kept
}

/// Returns a session's lines with one for all runs of a row under the same circumstances; slow runs are left out.
fn merged(session: &[Line]) -> Vec<Line> {
    let full_speed = full_speed(&session.iter().collect::<Vec<_>>()).unwrap_or(f64::INFINITY);
    let is_slow = |line: &Line| line.core_ns.is_some_and(|core| core > (1.0 + reference::TOLERANCE) * full_speed);
    let mut groups: Vec<Vec<&Line>> = Vec::new();
    for line in session.iter().filter(|line| !is_slow(line)) {
        match groups.iter_mut().find(|group| (&group[0].row, group[0].stratum) == (&line.row, line.stratum)) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    groups.iter().map(|group| mean(group)).collect()
}

fn mean(group: &[&Line]) -> Line {
    let runs: u32 = group.iter().fold(0, |sum: u32, line| sum.saturating_add(line.runs));
    let weighted =
        |of: fn(&Line) -> f64| group.iter().map(|line| of(line) * f64::from(line.runs)).sum::<f64>() / f64::from(runs);
    let squares: f64 = group.iter().map(|line| (line.u * f64::from(line.runs)).powi(2)).sum();
    Line {
        median: weighted(|line| line.median.ln()).exp(),
        u: squares.sqrt() / f64::from(runs),
        undisturbed: weighted(|line| line.undisturbed).min(1.0),
        runs,
        ..group[group.len() - 1].clone()
    }
}
