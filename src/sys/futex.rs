//! Futexes: waiting in the kernel for a word of memory to change.
//!
//! # References
//! futex(2).
#![allow(unsafe_code)]

use std::io;
use std::ptr;
use std::sync::atomic::AtomicU32;

use crate::sys::signal;

/// Processes that can see the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The threads of one process: the kernel finds its waiters by address.
    Process,
    /// All that have the page mapped: the kernel has to look the page up.
    Shared,
}

impl Scope {
    fn flag(self) -> libc::c_int {
        match self {
            Scope::Process => libc::FUTEX_PRIVATE_FLAG,
            Scope::Shared => 0,
        }
    }
}

/// Waits while the word is `value`; may return early.
///
/// # Errors
/// `TimedOut` when the watchdog has stopped the measurement, `BrokenPipe` when a partner process has ended.
#[inline]
pub fn wait(word: &AtomicU32, value: u32, scope: Scope) -> io::Result<()> {
    let operation = libc::FUTEX_WAIT | scope.flag();
    // SAFETY: the word is a live, aligned u32 for as long as the call borrows it; without a timeout nothing else is read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            ptr::null::<libc::timespec>(),
            ptr::null::<u32>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { interrupted() }
}

#[cold]
fn interrupted() -> io::Result<()> {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // The word had changed already.
        Some(libc::EAGAIN) => Ok(()),
        Some(libc::EINTR) => signal::check_in_order(),
        _ => Err(error),
    }
}

/// Wakes one thread that waits for the word to change, if any.
#[inline]
pub fn wake(word: &AtomicU32, scope: Scope) {
    // SAFETY: the word is a live, aligned u32; waking reads no memory of this process.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | scope.flag(), 1) };
}

/// Wakes all threads of one process that wait for the word to change.
pub fn wake_all(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: as in `wake`.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
}
