//! Participants that wait and do nothing else, made by the process that holds them.

mod coroutine;
mod process;
mod task;
mod thread;

use std::hint::black_box;
use std::io;

use anyhow::{Result, bail};
use nix::errno::Errno;

use crate::workload::kind::Kind;

pub use task::FUTURE_SIZES;

/// Settings of participants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Largest number to come: room for their handles is allocated beforehand.
    pub capacity: usize,
    /// Bytes of its stack that each touches before it waits.
    pub stack_use: usize,
    /// Bytes of state that a task holds across its await; one of [`FUTURE_SIZES`].
    pub future_size: usize,
    /// True to give the process that makes them the same addresses every time, where that is allowed.
    pub fixed_addresses: bool,
}

/// Participants of one kind that wait.
pub trait Participants {
    /// Makes so many more, and returns when the body of each has run and waits.
    ///
    /// # Errors
    /// A participant ended that should wait.
    fn make(&mut self, count: usize) -> Result<Made>;

    /// Ends all of them, and returns when they have ended.
    ///
    /// # Errors
    /// One could not be signalled or waited for.
    fn end(self: Box<Self>) -> Result<()>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub count: usize,
    /// Until the last call that makes one had returned.
    pub created_ns: u64,
    /// Until the last body had run.
    pub ran_ns: u64,
    /// Reason why there are fewer than asked for.
    pub refused: Option<Errno>,
}

/// Returns participants of this kind, none of them made yet.
///
/// # Errors
/// Participants of this kind are made by another program; or their runtime cannot be started.
pub fn prepare(kind: Kind, shape: Shape) -> Result<Box<dyn Participants>> {
    match kind {
        Kind::Thread => Ok(Box::new(thread::Threads::new(shape))),
        Kind::Process => Ok(Box::new(process::Processes::new(shape)?)),
        Kind::Task => task::prepare(shape),
        Kind::Coroutine => Ok(Box::new(coroutine::Coroutines::new(shape))),
        Kind::Goroutine | Kind::Reference => bail!("{} participants are not made by this program", kind.name()),
    }
}

/// Most of a stack that participants can be asked to touch: a coroutine's has 1 MiB.
pub const MOST_STACK_USE: usize = 768 << 10;

/// Bytes that one frame of [`below`] touches.
const FRAME: usize = 1024;

/// Calls `wait` with at least so many bytes of the stack touched above it.
fn below(stack_use: usize, wait: &mut dyn FnMut()) {
    if stack_use == 0 { wait() } else { frame(stack_use, wait) }
}

#[inline(never)]
fn frame(left: usize, wait: &mut dyn FnMut()) {
    let mut touched = [0_u8; FRAME];
    black_box(&mut touched);
    below(left.saturating_sub(FRAME), wait);
    // Used again, so that this frame stays while the one below waits.
    black_box(&mut touched);
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread::sleep;
    use std::time::Duration;

    const KINDS: [Kind; 4] = [Kind::Thread, Kind::Process, Kind::Task, Kind::Coroutine];

    /// Returns the numbers of open files and threads of this process, and its children.
    fn left_overs() -> (usize, usize, Vec<String>) {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let children = tasks.flat_map(|task| {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.split_whitespace().map(String::from).collect::<Vec<_>>()
        });
        let children = children.collect();
        (count("/proc/self/fd"), count("/proc/self/task"), children)
    }

    #[track_caller]
    fn settles_at(before: &(usize, usize, Vec<String>), what: &str) {
        let settled = (0..1000).any(|_| {
            left_overs() == *before || {
                sleep(Duration::from_millis(1));
                false
            }
        });
        assert!(settled, "{what}: {:?}, before {before:?}", left_overs());
    }

    fn check(kind: Kind, shape: Shape) {
        let before = left_overs();
        let mut participants = prepare(kind, shape).unwrap();
        for count in [1, 2, 5] {
            let made = participants.make(count).unwrap();
            assert_eq!((made.count, made.refused), (count, None), "{kind:?}");
            assert!(made.created_ns > 0 && made.ran_ns >= made.created_ns, "{kind:?}: {made:?}");
        }
        match kind {
            Kind::Thread => assert_eq!(left_overs().1, before.1 + 8),
            Kind::Process => assert_eq!(left_overs().2.len(), before.2.len() + 8),
            _ => {}
        }
        participants.end().unwrap();
        settles_at(&before, &format!("{kind:?}, ended"));
        let mut participants = prepare(kind, shape).unwrap();
        participants.make(3).unwrap();
        drop(participants);
        settles_at(&before, &format!("{kind:?}, dropped"));
    }

    /// In a process of its own: other tests of this one open files and start threads as they please.
    #[test]
    fn participants_of_every_kind_wait_end_and_leave_nothing_behind() {
        const ALONE: &str = "CTXPROF_TEST_ALONE";
        let _alone = crate::test_lock();
        if std::env::var_os(ALONE).is_none() {
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            let name = "footprint::participant::tests::participants_of_every_kind_wait_end_and_leave_nothing_behind";
            let output = test.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            return;
        }
        for kind in KINDS {
            for stack_use in [0, 1, 5000, 100_000] {
                check(kind, Shape { capacity: 8, stack_use, ..Shape::default() });
            }
        }
        for future_size in FUTURE_SIZES {
            check(Kind::Task, Shape { capacity: 8, future_size, ..Shape::default() });
        }
    }

    #[test]
    fn what_is_touched_of_a_stack_is_as_much_as_was_asked_for() {
        let mut lowest = usize::MAX;
        let here = 0_u8;
        for stack_use in [0, 1, 1024, 50_000] {
            below(stack_use, &mut || {
                let there = 0_u8;
                lowest = std::ptr::from_ref(&there) as usize;
            });
            let used = (std::ptr::from_ref(&here) as usize).saturating_sub(lowest);
            assert!(used >= stack_use, "{used} of {stack_use}");
        }
    }

    #[test]
    fn what_is_made_elsewhere_or_of_no_known_size_is_refused() {
        assert!(prepare(Kind::Goroutine, Shape::default()).is_err());
        assert!(prepare(Kind::Task, Shape { future_size: 100, ..Shape::default() }).is_err());
    }
}
