//! A program whose thread "subject" leaves the CPU twenty times for one known reason, to test tools that report the reason.
//!
//! The thread "helper" ends each absence, and does so only when the kernel shows the subject asleep: however busy the machine is, the
//! subject has left for that reason and no other.
//!
//! ```sh
//! cargo run --example leaver -- pipe
//! ```

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Builder, Thread, sleep};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity, sched_yield};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::select::{FdSet, select};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, gettid, pipe};

/// Departures of the subject.
const TIMES: usize = 20;

struct Way {
    word: &'static str,
    play: fn() -> Result<()>,
}

#[rustfmt::skip]
const WAYS: &[Way] = &[
    Way { word: "futex", play: futex },
    Way { word: "condvar", play: condvar },
    Way { word: "sleep", play: sleeps },
    Way { word: "pipe", play: pipe_read },
    Way { word: "pipe-write", play: pipe_write },
    Way { word: "socketpair", play: socketpair },
    Way { word: "tcp", play: tcp },
    Way { word: "udp", play: udp },
    Way { word: "eventfd", play: eventfd },
    Way { word: "timerfd", play: timerfd },
    Way { word: "epoll", play: epoll },
    Way { word: "poll", play: poll_pipe },
    Way { word: "select", play: select_pipe },
    Way { word: "yield", play: yields },
    Way { word: "wait", play: waits },
    Way { word: "sigwait", play: sigwait },
    Way { word: "stop", play: stops },
    Way { word: "membarrier", play: membarrier },
];

fn main() {
    let word = env::args().nth(1).unwrap_or_default();
    let Some(way) = WAYS.iter().find(|way| way.word == word) else {
        eprintln!("usage: leaver {}", WAYS.iter().map(|way| way.word).collect::<Vec<_>>().join("|"));
        process::exit(2);
    };
    if let Err(error) = (way.play)() {
        eprintln!("leaver: {error:#}");
        process::exit(1);
    }
}

/// The subject, as the helper sees it.
#[derive(Clone)]
struct Subject {
    tid: Arc<AtomicI32>,
    /// Number of departures begun, counted from 1.
    round: Arc<AtomicI32>,
}

impl Subject {
    fn new() -> Subject {
        Subject { tid: Arc::new(AtomicI32::new(0)), round: Arc::new(AtomicI32::new(0)) }
    }

    /// Called by the subject before each absence.
    fn leaves(&self) {
        self.tid.store(gettid().as_raw(), Ordering::SeqCst);
        self.round.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the subject is asleep in its absence of this number.
    fn wait_until_gone(&self, round: usize) -> Result<()> {
        while self.round.load(Ordering::SeqCst) < round as i32 {
            sleep(Duration::from_millis(1));
        }
        let stat = format!("/proc/self/task/{}/stat", self.tid.load(Ordering::SeqCst));
        while !fs::read_to_string(&stat)?.rsplit(") ").next().unwrap_or_default().starts_with('S') {
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Lets a thread "subject" leave by `leave`, and a thread "helper" bring it back by `bring_back`, in turn.
fn played(
    mut leave: impl FnMut() -> Result<()> + Send + 'static,
    mut bring_back: impl FnMut() -> Result<()> + Send + 'static,
) -> Result<()> {
    let subject = Subject::new();
    let seen = subject.clone();
    let helper = move || (1..=TIMES).try_for_each(|round| seen.wait_until_gone(round).and_then(|()| bring_back()));
    let helper = Builder::new().name("helper".to_string()).spawn(helper)?;
    let leaving = move || {
        (0..TIMES).try_for_each(|_| {
            subject.leaves();
            leave()
        })
    };
    let subject = Builder::new().name("subject".to_string()).spawn(leaving)?;
    subject.join().expect("the subject does not panic")?;
    helper.join().expect("the helper does not panic")
}

/// Lets a thread "subject" leave by itself.
fn alone(leave: impl FnMut() -> Result<()> + Send + 'static) -> Result<()> {
    let mut leave = leave;
    let subject = Builder::new().name("subject".to_string()).spawn(move || (0..TIMES).try_for_each(|_| leave()))?;
    subject.join().expect("the subject does not panic")
}

fn futex() -> Result<()> {
    let parked: Arc<Mutex<Option<Thread>>> = Arc::default();
    let (own, others) = (parked.clone(), parked);
    let goes_on = Arc::new(AtomicBool::new(false));
    let (told, tells) = (goes_on.clone(), goes_on);
    let leave = move || {
        own.lock().unwrap().get_or_insert_with(thread::current);
        while !told.swap(false, Ordering::SeqCst) {
            thread::park();
        }
        Ok(())
    };
    played(leave, move || {
        tells.store(true, Ordering::SeqCst);
        others.lock().unwrap().as_ref().context("no subject")?.unpark();
        Ok(())
    })
}

fn condvar() -> Result<()> {
    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    let leave = move || {
        let (is_set, signal) = &*pair;
        let mut is_set = is_set.lock().unwrap();
        while !*is_set {
            is_set = signal.wait(is_set).unwrap();
        }
        *is_set = false;
        Ok(())
    };
    played(leave, move || {
        let (is_set, signal) = &*other;
        *is_set.lock().unwrap() = true;
        signal.notify_one();
        Ok(())
    })
}

fn sleeps() -> Result<()> {
    alone(|| {
        sleep(Duration::from_millis(1));
        Ok(())
    })
}

/// The subject reads a byte that the helper writes.
fn transfer(mut reader: impl Read + Send + 'static, mut writer: impl Write + Send + 'static) -> Result<()> {
    played(move || Ok(reader.read_exact(&mut [0])?), move || Ok(writer.write_all(&[1])?))
}

fn pipe_files() -> Result<(File, File)> {
    let (reader, writer) = pipe()?;
    Ok((reader.into(), writer.into()))
}

fn pipe_read() -> Result<()> {
    let (reader, writer) = pipe_files()?;
    transfer(reader, writer)
}

fn pipe_write() -> Result<()> {
    let (mut reader, mut writer) = pipe_files()?;
    // Twice what a pipe holds: the second half waits until the first has been read, and is then within the pipe.
    let whole = vec![1; 65536];
    writer.write_all(&whole)?;
    let length = whole.len();
    // A writer to a pipe without a reader gets an error.
    let _stays = reader.try_clone()?;
    played(move || Ok(writer.write_all(&whole)?), move || Ok(reader.read_exact(&mut vec![0; length])?))
}

fn socketpair() -> Result<()> {
    let (reader, writer) = UnixStream::pair()?;
    transfer(reader, writer)
}

fn tcp() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let writer = TcpStream::connect(listener.local_addr()?)?;
    let (reader, _) = listener.accept()?;
    transfer(reader, writer)
}

fn udp() -> Result<()> {
    let reader = UdpSocket::bind("127.0.0.1:0")?;
    let writer = UdpSocket::bind("127.0.0.1:0")?;
    writer.connect(reader.local_addr()?)?;
    played(move || Ok(reader.recv(&mut [0; 8]).map(drop)?), move || Ok(writer.send(&[1]).map(drop)?))
}

fn eventfd() -> Result<()> {
    let counter = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
    let other = counter.clone();
    played(move || Ok(counter.read().map(drop)?), move || Ok(other.write(1).map(drop)?))
}

fn timerfd() -> Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?;
    alone(move || {
        timer.set(Expiration::OneShot(Duration::from_millis(5).into()), TimerSetTimeFlags::empty())?;
        Ok(timer.wait()?)
    })
}

/// The subject waits until a pipe can be read, and then reads it, which does not wait.
fn ready(mut wait: impl FnMut(&OwnedFd) -> Result<()> + Send + 'static) -> Result<()> {
    let (reader, writer) = pipe()?;
    let (mut file, mut writer) = (File::from(reader.try_clone()?), File::from(writer));
    played(
        move || {
            wait(&reader)?;
            Ok(file.read_exact(&mut [0])?)
        },
        move || Ok(writer.write_all(&[1])?),
    )
}

fn epoll() -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut is_in = false;
    ready(move |reader| {
        if !is_in {
            epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            is_in = true;
        }
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
        Ok(())
    })
}

fn poll_pipe() -> Result<()> {
    ready(|reader| Ok(poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).map(drop)?))
}

fn select_pipe() -> Result<()> {
    ready(|reader| {
        let mut readers = FdSet::new();
        readers.insert(reader.as_fd());
        Ok(select(None, &mut readers, None, None, None).map(drop)?)
    })
}

/// The subject has another thread to yield to, on its CPU.
fn yields() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cpu = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true)).context("no CPU")?;
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = is_over.clone();
    let runs = move || {
        while !seen.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    };
    let other = Builder::new().name("helper".to_string()).spawn(runs)?;
    let outcome = alone(|| Ok(sched_yield()?));
    is_over.store(true, Ordering::Relaxed);
    other.join().expect("the helper does not panic");
    outcome
}

/// Each round has another child, which ends when its parent is seen to wait.
fn waits() -> Result<()> {
    let children: Arc<Mutex<Vec<(Pid, File)>>> = Arc::default();
    for _ in 0..TIMES {
        let (reader, writer) = pipe()?;
        // SAFETY: this process has one thread, so the child finds no lock taken; it leaves through _exit, so that nothing of its
        // parent's is ended twice.
        match unsafe { fork() }? {
            ForkResult::Child => {
                drop(writer);
                // It has the pipe ends of earlier children as well: it waits for a byte, not for the end.
                let _ = File::from(reader).read(&mut [0]);
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => children.lock().unwrap().push((child, writer.into())),
        }
    }
    let (pids, ends): (Vec<Pid>, Vec<File>) = children.lock().unwrap().drain(..).unzip();
    let (mut pids, mut ends) = (pids.into_iter(), ends.into_iter());
    played(
        move || Ok(waitpid(pids.next().context("no child")?, None).map(drop)?),
        move || Ok(ends.next().context("no child")?.write_all(&[1])?),
    )
}

fn sigwait() -> Result<()> {
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGUSR1);
    awaited.thread_block()?;
    played(move || Ok(awaited.wait().map(drop)?), || Ok(kill(getpid(), Signal::SIGUSR1)?))
}

/// Each round waits until every CPU has been through the scheduler, in the kernel and for no signal.
fn membarrier() -> Result<()> {
    const MEMBARRIER_CMD_GLOBAL: i32 = 1;
    alone(|| {
        // SAFETY: this call takes numbers only.
        let answer = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
        Ok(Errno::result(answer).map(drop)?)
    })
}

/// Each round the whole process stops, and a child continues it.
fn stops() -> Result<()> {
    let parent = getpid();
    // SAFETY: this process has one thread, so the child finds no lock taken; it ends by a signal, so that nothing of its parent's is
    // ended twice.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let _ = set_pdeathsig(Signal::SIGKILL);
            let state = || fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
            loop {
                if state().rsplit(") ").next().unwrap_or_default().starts_with('T') {
                    let _ = kill(parent, Signal::SIGCONT);
                }
                sleep(Duration::from_millis(1));
            }
        }
        ForkResult::Parent { child } => {
            let outcome = alone(move || Ok(kill(parent, Signal::SIGSTOP)?));
            kill(child, Signal::SIGKILL)?;
            waitpid(child, None)?;
            outcome
        }
    }
}
