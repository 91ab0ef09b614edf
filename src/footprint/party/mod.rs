//! Parties that wait and do nothing else, made by the process that holds them.

mod coroutine;
mod process;
mod task;
mod thread;

use std::hint::black_box;
use std::io;

use anyhow::{Result, bail};
use nix::errno::Errno;

use crate::sample::Kind;

pub use task::FUTURE_SIZES;

/// How parties are to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// How many there may come to be: places for their handles are made beforehand.
    pub capacity: usize,
    /// How much of its stack each touches before it waits, in bytes.
    pub stack_use: usize,
    /// How much state a task holds across its await, in bytes; one of [`FUTURE_SIZES`].
    pub future_size: usize,
}

/// Parties of one kind that wait.
pub trait Parties {
    /// Makes so many more, and returns when the body of each has run and waits.
    ///
    /// # Errors
    /// A party ended that should wait.
    fn make(&mut self, count: usize) -> Result<Made>;

    /// Has all of them end, and returns when they have.
    ///
    /// # Errors
    /// One could not be told or waited for.
    fn end(self: Box<Self>) -> Result<()>;
}

/// A batch of parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub count: usize,
    /// Until the last call that makes one had returned.
    pub created_ns: u64,
    /// Until the last body had run.
    pub ran_ns: u64,
    /// Why there are fewer than were asked for.
    pub refused: Option<Errno>,
}

/// Parties of this kind, none of them made yet.
///
/// # Errors
/// Parties of this kind are made by another program; or their runtime cannot be had.
pub fn prepare(kind: Kind, shape: Shape) -> Result<Box<dyn Parties>> {
    match kind {
        Kind::Thread => Ok(Box::new(thread::Threads::new(shape))),
        Kind::Process => Ok(Box::new(process::Processes::new(shape)?)),
        Kind::Task => task::prepare(shape),
        Kind::Coroutine => Ok(Box::new(coroutine::Coroutines::new(shape))),
        Kind::Goroutine | Kind::Reference => bail!("{} parties are not made by this program", kind.name()),
    }
}

/// The most of a stack that [`below`] can be asked to touch: a coroutine's has 1 MiB.
pub const MOST_STACK_USE: usize = 768 << 10;

/// What one frame of [`below`] touches.
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
    // Still of use, so that this frame stays while the one below waits.
    black_box(&mut touched);
}

/// The errno of a refusal.
fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw)
}
