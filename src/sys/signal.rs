//! Ctrl-C, SIGTERM, and a watchdog, without a helper thread that would itself switch.
//!
//! ```text
//! SIGINT, SIGTERM   first: remembered, the sample under way is finished      half a second later: the process ends
//! SIGCHLD           a partner process has ended: who waits for it gives up
//! SIGALRM           every 2 s: a tick; progress sets the ticks back to 0
//!                   tick 5 (10 s without progress): waiting calls give up    tick 7: the process ends at once
//! ```
//!
//! The handlers are installed without `SA_RESTART`: a call that waits returns `EINTR`, asks [`check_in_order`], and waits
//! again. Ticks are counted, not time, so that a process stopped by Ctrl-Z for an hour has missed one tick.
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
/// Enough for a call that does notice `EINTR` to give up and for the report to be printed.
const TICKS_UNTIL_EXIT: u32 = 7;

/// How long a measurement may make no progress, in seconds.
pub const STALL_SECONDS: u32 = TICK_SECONDS * TICKS_UNTIL_STALLED;

/// A signal that follows so soon is the same wish: timeout(1) signals its child and then the group, the child again.
const SAME_WISH_NS: u64 = 500_000_000;

static STOP_SIGNAL: AtomicI32 = AtomicI32::new(0);
static STOPPED_AT_NS: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);
static CHILD_ENDED: AtomicBool = AtomicBool::new(false);
/// What is being done, for the last words: always a `&'static` place, so that a handler may read it at any time.
static ACTIVITY: AtomicPtr<&'static str> = AtomicPtr::new(std::ptr::null_mut());

/// Remembers SIGINT and SIGTERM from now on, so that a run can end in order. One that was ignored when this process began
/// stays so, as nohup(1) and a shell's background jobs want it.
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

/// The signal that asked this process to stop, if one has.
pub fn stop_requested() -> Option<Signal> {
    Signal::try_from(STOP_SIGNAL.load(Ordering::Relaxed)).ok()
}

/// Whether a signal is ignored, as nohup(1) and a shell's background jobs have it.
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

/// Has a signal do what it does by default from now on.
pub fn take_default(signal: Signal) -> Result<()> {
    install(signal, SigHandler::SigDfl)
}

/// Ends this process by a signal, as the program ended that it stands for: a shell then knows why, and stops its script
/// at a Ctrl-C. Leaves no core file; returns only if the signal cannot end a process.
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

/// Blocks every signal for the calling thread, so that the main thread gets them all.
pub fn block_all() -> Result<()> {
    SigSet::all().thread_block().context("blocking signals")
}

/// An error of kind `TimedOut` once the watchdog has given up, or `BrokenPipe` once a partner process has ended; for
/// calls that were interrupted while they waited for a party.
pub fn check_in_order() -> io::Result<()> {
    if CHILD_ENDED.load(Ordering::Relaxed) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "a partner process has ended"));
    }
    check_not_stalled()
}

/// An error of kind `TimedOut` once the watchdog has given up; for calls that were interrupted.
pub fn check_not_stalled() -> io::Result<()> {
    if TICKS.load(Ordering::Relaxed) < TICKS_UNTIL_STALLED {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no progress for {STALL_SECONDS} s")))
}

/// Says that there was progress, where a wait has a limit of its own and knows no watchdog.
pub fn progress() {
    TICKS.store(0, Ordering::Relaxed);
}

/// Notices from now on when a child ends, so that nobody waits for it: [`check_in_order`] says so.
pub fn watch_children() -> Result<()> {
    forget_ended_children();
    install_with(Signal::SIGCHLD, SigHandler::Handler(on_child), SaFlags::SA_NOCLDSTOP)
}

/// Forgets that a child has ended: it has been waited for, and nobody waits for it any more.
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

    /// Says that there was progress. Costs one store.
    pub fn progress(&self) {
        progress();
    }

    /// Says what begins now: the words that a stalled process ends with.
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
    // One exchange decides who was first, even between two signals whose handlers interrupt each other.
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
