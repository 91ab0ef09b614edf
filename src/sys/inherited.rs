//! Settings inherited from the parent process that Rust's runtime changes before `main`.
#![allow(unsafe_code)]

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// True if SIGPIPE was ignored before the runtime ignored it.
static IGNORED_PIPE: AtomicBool = AtomicBool::new(false);

/// Makes the loader call [`note`] before the runtime begins.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

/// Returns true if this process was started with SIGPIPE ignored, as the programs that it starts must be then.
pub fn ignores_pipe() -> bool {
    // Used, so that no linker removes it.
    std::hint::black_box(&NOTE);
    IGNORED_PIPE.load(Ordering::Relaxed)
}

extern "C" fn note() {
    // SAFETY: sigaction is plain data, of which all may be 0.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a null pointer changes nothing; `action` outlives the call. The C library is ready when this is called.
    let answer = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action) };
    IGNORED_PIPE.store(answer == 0 && action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
}
