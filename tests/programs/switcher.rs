//! A program that makes a known number of context switches in a known manner, to test tools that count them.
//!
//! A switch is a sleep unless said otherwise: each is one voluntary switch. The start and end of the program, its threads and
//! its children come on top, a few switches each. Every mode ends by itself.
//!
//! ```sh
//! cargo run --release --example switcher -- --pin 1 pipe 200000
//! ```

use std::env;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::str::FromStr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, wait, waitid, waitpid};
use nix::unistd::{self, ForkResult, Pid, chdir, fork, getpid, pipe, read, setsid, write};

struct Mode {
    word: &'static str,
    arguments: &'static str,
    what: &'static str,
    play: fn(&[String]) -> Result<()>,
}

#[rustfmt::skip]
const MODES: &[Mode] = &[
    Mode { word: "pipe", arguments: "N", what: "two threads, N round trips through pipes", play: pipe_threads },
    Mode { word: "processes", arguments: "N", what: "the same between two processes", play: pipe_processes },
    Mode { word: "futex", arguments: "N", what: "two threads, N round trips through park and unpark", play: futex },
    Mode { word: "yield", arguments: "N", what: "two threads on one CPU, each N times sched_yield", play: yields },
    Mode { word: "sleeps", arguments: "N", what: "one thread, N sleeps of 1 µs", play: sleeps },
    Mode { word: "threads", arguments: "N [SWITCHES]", what: "N threads, one after another", play: threads },
    Mode { word: "many-threads", arguments: "N [SWITCHES]", what: "N threads, all alive at once", play: many_threads },
    Mode { word: "children", arguments: "N [SWITCHES]", what: "N children, one after another", play: children },
    Mode { word: "nested", arguments: "DEPTH [SWITCHES]", what: "a child that has a child that has …", play: nested },
    Mode { word: "double-fork", arguments: "N", what: "an orphan makes N switches; waited for by a pipe", play: double_fork },
    Mode { word: "setsid", arguments: "N", what: "a daemon makes N switches until 300 ms after the end", play: daemon },
    Mode { word: "ignore-sigchld", arguments: "N [SWITCHES]", what: "as children, with SIGCHLD ignored", play: ignore_sigchld },
    Mode { word: "nocldwait", arguments: "N [SWITCHES]", what: "as children, with SA_NOCLDWAIT", play: nocldwait },
    Mode { word: "unreaped", arguments: "N [SWITCHES]", what: "as children, zombies until the end", play: unreaped },
    Mode { word: "exec", arguments: "N [SWITCHES]", what: "executes itself N times, at last from a second thread", play: exec },
    Mode { word: "kill", arguments: "SIGNAL", what: "ends by a signal, given by name or number", play: end_by_signal },
    Mode { word: "exit", arguments: "CODE", what: "ends with a code", play: end_by_code },
    Mode { word: "stop", arguments: "", what: "stops itself; a child continues it after 300 ms", play: stop },
    Mode { word: "spin", arguments: "SECONDS", what: "computes", play: spin },
];

const DEFAULT_SWITCHES: u64 = 10;
/// Time that a daemon stays after the program, and a stopped program stopped.
const AFTERWARDS: Duration = Duration::from_millis(300);

fn main() {
    let mut words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--pin") {
        let Some(cpu) = words.get(1).and_then(|word| word.parse().ok()) else { usage() };
        pin(cpu).unwrap_or_else(|error| fail(&error));
        words.drain(..2);
    }
    let Some((word, arguments)) = words.split_first() else { usage() };
    let Some(mode) = MODES.iter().find(|mode| mode.word == word) else { usage() };
    let known = mode.arguments.split_whitespace().count();
    let needed = mode.arguments.split_whitespace().filter(|name| !name.starts_with('[')).count();
    if !(needed..=known).contains(&arguments.len()) {
        usage()
    }
    (mode.play)(arguments).unwrap_or_else(|error| fail(&error));
}

fn usage() -> ! {
    eprintln!("usage: switcher [--pin CPU] MODE…    SWITCHES of each thread or child: {DEFAULT_SWITCHES}");
    for Mode { word, arguments, what, .. } in MODES {
        eprintln!("  {:32}{what}", format!("{word} {arguments}"));
    }
    process::exit(2)
}

fn first<T: FromStr>(arguments: &[String]) -> T {
    arguments[0].parse().unwrap_or_else(|_| usage())
}

fn switches(arguments: &[String]) -> u64 {
    arguments.get(1).map_or(DEFAULT_SWITCHES, |word| word.parse().unwrap_or_else(|_| usage()))
}

// ---- a token passed back and forth ------------------------------------------------------------------------------

/// The end to take the token from, and the end to pass it to.
type Ends = (OwnedFd, OwnedFd);

/// The leader's ends and the follower's.
fn two_pipes() -> nix::Result<(Ends, Ends)> {
    let (from_leader, to_follower) = pipe()?;
    let (from_follower, to_leader) = pipe()?;
    Ok(((from_follower, to_follower), (from_leader, to_leader)))
}

fn pipe_threads(arguments: &[String]) -> Result<()> {
    let ops = first(arguments);
    let (leader, follower) = two_pipes()?;
    timed(ops, || {
        let follower = thread::spawn(move || follow(&follower, ops));
        lead(&leader, ops)?;
        follower.join().expect("the follower does not panic")
    })
}

fn pipe_processes(arguments: &[String]) -> Result<()> {
    let ops = first(arguments);
    let (leader, follower) = two_pipes()?;
    timed(ops, || {
        let child = child(move || {
            // It has the leader's ends as well, so that it would never see them close.
            set_pdeathsig(Signal::SIGKILL)?;
            follow(&follower, ops)
        })?;
        lead(&leader, ops)?;
        reap(child)
    })
}

fn lead((reader, writer): &Ends, ops: u64) -> Result<()> {
    let mut token = [0; 4];
    for _ in 0..ops {
        write(writer, &token)?;
        read(reader, &mut token)?;
    }
    Ok(())
}

fn follow((reader, writer): &Ends, ops: u64) -> Result<()> {
    let mut token = [0; 4];
    for _ in 0..ops {
        read(reader, &mut token)?;
        write(writer, &token)?;
    }
    Ok(())
}

fn futex(arguments: &[String]) -> Result<()> {
    let ops: u64 = first(arguments);
    let (leads, leader) = (AtomicBool::new(true), thread::current());
    let take = |leading| {
        while leads.load(Ordering::Acquire) != leading {
            thread::park();
        }
    };
    let give = |leading, to: &Thread| {
        leads.store(leading, Ordering::Release);
        to.unpark();
    };
    timed(ops, || {
        thread::scope(|scope| {
            let follower = scope.spawn(|| {
                for _ in 0..ops {
                    take(false);
                    give(true, &leader);
                }
            });
            for _ in 0..ops {
                give(false, follower.thread());
                take(true);
            }
        });
        Ok(())
    })
}

fn yields(arguments: &[String]) -> Result<()> {
    let ops: u64 = first(arguments);
    pin(sched_getcpu()?)?;
    let both = Barrier::new(2);
    let play = || {
        both.wait();
        (0..ops).for_each(|_| thread::yield_now());
    };
    timed(ops, || {
        thread::scope(|scope| {
            scope.spawn(play);
            play();
        });
        Ok(())
    })
}

// ---- one thread, many threads -----------------------------------------------------------------------------------

fn sleeps(arguments: &[String]) -> Result<()> {
    let ops = first(arguments);
    timed(ops, || switch(ops))
}

fn threads(arguments: &[String]) -> Result<()> {
    let switches = switches(arguments);
    for _ in 0..first(arguments) {
        thread::Builder::new().spawn(move || switch(switches))?.join().expect("sleeping does not panic")?;
    }
    Ok(())
}

fn many_threads(arguments: &[String]) -> Result<()> {
    let number = first(arguments);
    let all = Barrier::new(number);
    let play = || {
        all.wait();
        let _ = switch(switches(arguments));
        all.wait();
    };
    thread::scope(|scope| {
        for at in 0..number {
            // Those that wait already would wait forever for one that could not be started.
            let started = thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, play);
            started.with_context(|| format!("thread {at} of {number}")).unwrap_or_else(|error| fail(&error));
        }
    });
    Ok(())
}

fn spin(arguments: &[String]) -> Result<()> {
    let length = Duration::try_from_secs_f64(first(arguments)).unwrap_or_else(|_| usage());
    let began = Instant::now();
    while began.elapsed() < length {}
    Ok(())
}

// ---- children ---------------------------------------------------------------------------------------------------

fn children(arguments: &[String]) -> Result<()> {
    for _ in 0..first(arguments) {
        reap(child(|| switch(switches(arguments)))?)?;
    }
    Ok(())
}

fn nested(arguments: &[String]) -> Result<()> {
    descend(first(arguments), switches(arguments))
}

fn descend(depth: u64, switches: u64) -> Result<()> {
    switch(switches)?;
    if depth > 0 { reap(child(|| descend(depth - 1, switches))?) } else { Ok(()) }
}

fn double_fork(arguments: &[String]) -> Result<()> {
    let (orphan_lives, held_by_orphan) = pipe()?;
    reap(child(|| child(|| switch(first(arguments))).map(drop))?)?;
    drop(held_by_orphan);
    read(&orphan_lives, &mut [0])?;
    // The pipe closes a moment before the orphan is gone.
    thread::sleep(Duration::from_millis(10));
    Ok(())
}

fn daemon(arguments: &[String]) -> Result<()> {
    let switches: u32 = first(arguments);
    let serve = || {
        chdir("/")?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        unistd::dup2_stdin(&null)?;
        unistd::dup2_stdout(&null)?;
        unistd::dup2_stderr(&null)?;
        (0..switches).for_each(|_| thread::sleep(AFTERWARDS / switches));
        Ok(())
    };
    reap(child(|| {
        setsid()?;
        child(serve).map(drop)
    })?)
}

fn ignore_sigchld(arguments: &[String]) -> Result<()> {
    dispose(Signal::SIGCHLD, SigHandler::SigIgn, SaFlags::empty())?;
    unwaited_children(arguments)
}

fn nocldwait(arguments: &[String]) -> Result<()> {
    dispose(Signal::SIGCHLD, SigHandler::SigDfl, SaFlags::SA_NOCLDWAIT)?;
    unwaited_children(arguments)
}

fn unwaited_children(arguments: &[String]) -> Result<()> {
    for _ in 0..first(arguments) {
        child(|| switch(switches(arguments)))?;
        // It returns when the last child has gone, without reporting it.
        let gone = wait();
        ensure!(gone == Err(Errno::ECHILD), "a child that leaves nothing behind was waited for: {gone:?}");
    }
    Ok(())
}

fn unreaped(arguments: &[String]) -> Result<()> {
    for _ in 0..first(arguments) {
        let child = child(|| switch(switches(arguments)))?;
        waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    }
    Ok(())
}

// ---- other programs and other ends ------------------------------------------------------------------------------

fn exec(arguments: &[String]) -> Result<()> {
    let (left, switches): (u64, _) = (first(arguments), switches(arguments));
    switch(switches)?;
    let again = move || -> Result<()> {
        let program = env::current_exe()?;
        let words = ["exec".into(), (left - 1).to_string(), switches.to_string()];
        Err(Command::new(program).args(words).exec().into())
    };
    match left {
        0 => Ok(()),
        // The other thread takes this one's place and number.
        1 => thread::spawn(again).join().expect("exec does not panic"),
        _ => again(),
    }
}

fn end_by_signal(arguments: &[String]) -> Result<()> {
    let word: String = first(arguments);
    let signal = word.parse::<i32>().map_or_else(|_| word.parse(), Signal::try_from).unwrap_or_else(|_| usage());
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Rust's runtime ignores SIGPIPE and catches SIGSEGV; SIGKILL has no disposition.
    let _ = dispose(signal, SigHandler::SigDfl, SaFlags::empty());
    Ok(raise(signal)?)
}

fn end_by_code(arguments: &[String]) -> Result<()> {
    process::exit(first(arguments))
}

fn stop(_: &[String]) -> Result<()> {
    let stopped = getpid();
    let waker = child(|| {
        thread::sleep(AFTERWARDS);
        Ok(kill(stopped, Signal::SIGCONT)?)
    })?;
    raise(Signal::SIGSTOP)?;
    reap(waker)
}

// ---- shared by the modes ----------------------------------------------------------------------------------------

/// Makes voluntary switches, and never fails; the timer's slack makes each sleep one of 50 µs, long enough to be begun.
fn switch(times: u64) -> Result<()> {
    (0..times).for_each(|_| thread::sleep(Duration::from_micros(1)));
    Ok(())
}

/// Prints the time of a loop's op, as `perf bench sched pipe` does.
fn timed(ops: u64, play: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    play()?;
    println!("{:14.6} usecs/op", began.elapsed().as_secs_f64() * 1e6 / ops as f64);
    Ok(())
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {cpu}"))
}

/// Forks a process that plays and ends.
fn child(play: impl FnOnce() -> Result<()>) -> Result<Pid> {
    // SAFETY: no mode that forks has started a thread, so the child finds no lock taken.
    if let ForkResult::Parent { child } = unsafe { fork() }.context("fork")? {
        return Ok(child);
    }
    play().unwrap_or_else(|error| fail(&error));
    process::exit(0)
}

fn reap(child: Pid) -> Result<()> {
    let ended = waitpid(child, None)?;
    ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "a child did not end as it should: {ended:?}");
    Ok(())
}

fn dispose(signal: Signal, handler: SigHandler, flags: SaFlags) -> Result<()> {
    // SAFETY: only SIG_IGN and SIG_DFL are given, so no function is called from a signal.
    unsafe { sigaction(signal, &SigAction::new(handler, flags, SigSet::empty())) }?;
    Ok(())
}

fn fail(error: &anyhow::Error) -> ! {
    eprintln!("switcher: {error:#}");
    process::exit(1)
}
