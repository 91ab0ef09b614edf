//! Ctrl-C, SIGTERM, and a watchdog, without a helper thread that would itself switch.
//!
//! ```text
//! SIGINT, SIGTERM   first: recorded, the current sample is finished          half a second later: the process ends
//! SIGCHLD           a partner process has ended: calls that wait for it fail
//! SIGALRM           every 2 s: a tick; progress sets the ticks back to 0
//!                   tick 5 (10 s without progress): waiting calls fail       tick 7: the process ends at once
//! ```
//!
//! The handlers are installed without `SA_RESTART`: a waiting call returns `EINTR`, checks [`check_in_order`], and waits again.
//! Ticks are counted, not time, so that a process stopped by Ctrl-Z for an hour has missed one tick.
#![allow(unsafe_code)]

mod number;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::alarm;

pub use crate::sys::signal::number::SignalNumber;

use crate::sys::clock::monotonic_ns;

const TICK_SECONDS: u32 = 2;
const TICKS_UNTIL_STALLED: u32 = 5;
/// Enough for an interrupted call to fail and for the report to be printed.
const TICKS_UNTIL_EXIT: u32 = 7;

/// Seconds that a measurement may go without progress.
pub const STALL_SECONDS: u32 = TICK_SECONDS * TICKS_UNTIL_STALLED;

/// A signal that follows within this time is the same request: timeout(1) signals its child and then the group, the child again.
const SAME_WISH_NS: u64 = 500_000_000;

static STOP_SIGNAL: AtomicI32 = AtomicI32::new(0);
static STOPPED_AT_NS: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);
static CHILD_ENDED: AtomicBool = AtomicBool::new(false);
/// Current activity, for the last message: always a `&'static` place, so that a handler may read it at any time.
static ACTIVITY: AtomicPtr<&'static str> = AtomicPtr::new(std::ptr::null_mut());

/// Records SIGINT and SIGTERM from now on, so that a run can end in order. One that was ignored when this process began stays so,
/// as nohup(1) and a shell's background jobs require.
pub fn catch_stops() -> Result<()> {
    for stop in [Signal::SIGINT, Signal::SIGTERM] {
        if !is_ignored(stop)? {
            install(stop, SigHandler::Handler(on_stop))?;
        }
    }
    Ok(())
}

/// Ignores SIGINT and SIGTERM from now on.
pub fn ignore_stops() -> Result<()> {
    install(Signal::SIGINT, SigHandler::SigIgn)?;
    install(Signal::SIGTERM, SigHandler::SigIgn)
}

/// Returns the signal that asked this process to stop, if any.
pub fn stop_requested() -> Option<Signal> {
    Signal::try_from(STOP_SIGNAL.load(Ordering::Relaxed)).ok()
}

/// Returns true if a signal is ignored, as under nohup(1) and in a shell's background jobs.
///
/// # Errors
/// None for a signal that can be handled.
pub fn is_ignored(signal: Signal) -> Result<bool> {
    // SAFETY: sigaction is plain data, of which all may be 0; the call only writes it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null pointer changes nothing; `action` outlives the call.
    let answer = unsafe { libc::sigaction(signal as c_int, std::ptr::null(), &raw mut action) };
    Errno::result(answer).with_context(|| format!("sigaction({signal})"))?;
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

/// Ignores a signal from now on. Async-signal-safe.
///
/// # Errors
/// None for a signal that can be ignored.
pub fn ignore(signal: Signal) -> Result<(), Errno> {
    // SAFETY: no handler is installed.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }.map(drop)
}

/// Restores a signal's default action.
pub fn take_default(signal: Signal) -> Result<()> {
    install(signal, SigHandler::SigDfl)
}

/// Ends this process by the signal that ended its program: a shell then knows the reason, and stops its script at a Ctrl-C. Leaves
/// no core file; returns only if the signal cannot end a process.
pub fn die_of(SignalNumber(number): SignalNumber) {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // SAFETY: no handler is installed, only the default taken back; a set is plain data that sigemptyset fills in; the last
    // call sends this thread a signal that it may then take.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, number);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::raise(number);
    }
}

/// Blocks all signals for the calling thread, so that the main thread gets them.
pub fn block_all() -> Result<()> {
    SigSet::all().thread_block().context("blocking signals")
}

/// Returns an error of kind `TimedOut` once the watchdog has expired, or `BrokenPipe` once a partner process has ended; for
/// calls that were interrupted while they waited for a participant.
pub fn check_in_order() -> io::Result<()> {
    if CHILD_ENDED.load(Ordering::Relaxed) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "a partner process has ended"));
    }
    check_not_stalled()
}

/// Returns an error of kind `TimedOut` once the watchdog has expired; for calls that were interrupted.
pub fn check_not_stalled() -> io::Result<()> {
    if TICKS.load(Ordering::Relaxed) < TICKS_UNTIL_STALLED {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no progress for {STALL_SECONDS} s")))
}

/// Resets the watchdog, where a wait has its own limit and no [`Watchdog`] at hand.
pub fn progress() {
    TICKS.store(0, Ordering::Relaxed);
}

/// Records from now on that a child has ended, so that no call waits for it: [`check_in_order`] then fails.
pub fn watch_children() -> Result<()> {
    forget_ended_children();
    install_with(Signal::SIGCHLD, SigHandler::Handler(on_child), SaFlags::SA_NOCLDSTOP)
}

/// Clears the record that a child has ended: it has been waited for.
pub fn forget_ended_children() {
    CHILD_ENDED.store(false, Ordering::Relaxed);
}

/// Watches for progress until dropped. One at a time.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    pub fn start() -> Result<Watchdog> {
        TICKS.store(0, Ordering::Relaxed);
        install(Signal::SIGALRM, SigHandler::Handler(on_tick))?;
        alarm::set(TICK_SECONDS);
        Ok(Watchdog(()))
    }

    /// Resets the watchdog. Costs one store.
    pub fn progress(&self) {
        progress();
    }

    /// Sets the current activity, which the message of a stalled process names.
    pub fn begin(&self, activity: &'static &'static str) {
        ACTIVITY.store(std::ptr::from_ref(activity).cast_mut(), Ordering::Relaxed);
        self.progress();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        alarm::cancel();
        TICKS.store(0, Ordering::Relaxed);
    }
}

fn install(signal: Signal, handler: SigHandler) -> Result<()> {
    install_with(signal, handler, SaFlags::empty())
}

fn install_with(signal: Signal, handler: SigHandler, flags: SaFlags) -> Result<()> {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the handlers of this file touch atomics and call async-signal-safe functions only (clock_gettime is one).
    unsafe { sigaction(signal, &action) }.with_context(|| format!("sigaction({signal})"))?;
    Ok(())
}

extern "C" fn on_stop(signal: c_int) {
    let now_ns = monotonic_ns();
    // One exchange decides which was first, even between two signals whose handlers interrupt each other.
    match STOPPED_AT_NS.compare_exchange(0, now_ns, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => STOP_SIGNAL.store(signal, Ordering::Relaxed),
        Err(first_ns) if now_ns.saturating_sub(first_ns) > SAME_WISH_NS => {
            // SAFETY: _exit only ends the process. 128 + signal is the shell's convention.
            unsafe { libc::_exit(128 + signal) }
        }
        Err(_) => {}
    }
}

extern "C" fn on_child(_: c_int) {
    CHILD_ENDED.store(true, Ordering::Relaxed);
}

extern "C" fn on_tick(_: c_int) {
    let ticks = TICKS.fetch_add(1, Ordering::Relaxed) + 1;
    if ticks >= TICKS_UNTIL_EXIT {
        say("ctxprof: no progress and no way to interrupt what waits: ");
        let activity = ACTIVITY.load(Ordering::Relaxed);
        // SAFETY: only `Watchdog::begin` stores a pointer here, and only one to a `&'static str` that lives forever.
        say(unsafe { activity.as_ref() }.unwrap_or(&"starting"));
        say("; ending\n");
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(1) }
    }
    // SAFETY: alarm(2) is async-signal-safe and has no memory effects.
    unsafe { libc::alarm(TICK_SECONDS) };
}

/// Writes to stderr from a signal handler, where neither locks nor allocation are allowed.
fn say(text: &str) {
    // SAFETY: pointer and length are those of a live `str`; write(2) is async-signal-safe.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}
