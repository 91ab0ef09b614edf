//! What this process was given by the one that started it, where Rust's runtime changes it before `main`.
#![allow(unsafe_code)]

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether SIGPIPE was ignored before the runtime had it ignored.
static IGNORED_PIPE: AtomicBool = AtomicBool::new(false);

/// Has the loader call [`note`] before the runtime begins.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

/// Returns whether this process was started with SIGPIPE ignored, which programs that it starts are then to find so, too.
pub fn ignores_pipe() -> bool {
    // Named, so that no linker takes it for unneeded.
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
