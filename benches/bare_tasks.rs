//! Overhead of ctxprof's loops of tasks and coroutines over the same loops written bare, with nothing counted: pairs that take
//! turns, each restarted every time, in many processes. Prints the median of the processes' ratios and their range.
//!
//! ```sh
//! cargo bench --bench bare_tasks [-- PROCESSES]
//! ```

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use corosensei::{Coroutine, CoroutineResult};
use ctxprof::sys::affinity::{Pinned, allowed};
use ctxprof::workload::session::Setting;
use ctxprof::workload::{WORKLOADS, Workload};
use tokio::net::unix::pipe;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::channel;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

/// Plays so many ops by itself and returns their time, ns.
type Bare = fn(u64) -> u64;

/// Ops that take some 10 ms.
const LOOPS: [(&str, u64, Bare); 7] = [
    ("task-channel", 100_000, bare_channel),
    ("task-oneway", 100_000, bare_oneway),
    ("task-notify", 150_000, bare_notify),
    ("task-yield", 100_000, bare_yield),
    ("task-multi", 100_000, bare_multi),
    ("task-pipe", 5_000, bare_pipe),
    ("coroutine", 5_000_000, bare_coroutine),
];

/// Highest acceptable ratio of ctxprof's loop to the bare one.
const WANTED: f64 = 1.02;
/// Pairs of one process, which share its memory layout.
const PAIRS: usize = 9;
/// Argument of the processes that measure pairs.
const ONE_OF_MANY: &str = "--pairs";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let cpu = *allowed().expect("the kernel knows where this runs").cpus().last().expect("this runs somewhere");
    let _pinned = Pinned::to(cpu).expect("an allowed CPU can be pinned to");
    if words.iter().any(|word| word == ONE_OF_MANY) {
        LOOPS.iter().for_each(|&(name, ops, bare)| println!("{name} {}", ratio_of(name, ops, bare, cpu)));
        return;
    }
    let processes: usize = words.iter().filter_map(|word| word.parse().ok()).next().unwrap_or(15);
    println!("# CPU {cpu}, {processes} processes of {PAIRS} pairs each, ctxprof's loop ÷ the bare one");
    let outputs: Vec<String> = (0..processes)
        .map(|_| {
            let program = std::env::current_exe().expect("this program has a name");
            let output = Command::new(program).arg(ONE_OF_MANY).output().expect("it runs again");
            String::from_utf8(output.stdout).expect("it prints text")
        })
        .collect();
    for (name, ..) in LOOPS {
        let lines = outputs.iter().flat_map(|output| output.lines());
        let mut ratios: Vec<f64> = lines.filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect();
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        let verdict = if median <= WANTED { "met:    " } else { "NOT MET:" };
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        println!(
            "{verdict} {name} ÷ the bare loop: {median:.3} (processes {low:.3}…{high:.3}) (wanted: at most {WANTED})"
        );
    }
}

/// Returns the median ratio of this process's pairs.
fn ratio_of(name: &str, ops: u64, bare: Bare, cpu: usize) -> f64 {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name).expect("a workload of this name");
    let mut ratios: Vec<f64> = (0..PAIRS)
        .map(|pair| {
            // Each goes first in every other pair.
            let bare_first = (pair % 2 == 1).then(|| bare(ops));
            let own = played(workload, cpu, ops);
            own as f64 / bare_first.unwrap_or_else(|| bare(ops)) as f64
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[PAIRS / 2]
}

/// Plays a warmed-up session of ctxprof's once.
fn played(workload: &Workload, cpu: usize, ops: u64) -> u64 {
    let mut session = (workload.prepare)(&Setting::on(cpu)).expect("the session can be made");
    session.play(ops / 10).expect("it plays");
    let elapsed_ns = session.play(ops).expect("it plays").elapsed_ns;
    session.end().expect("it ends");
    elapsed_ns
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime can be made")
}

/// Runs a leading task on this runtime to its end; returns its time, ns.
fn led(runtime: &Runtime, leader: impl Future<Output = u64> + Send + 'static) -> u64 {
    let (say, told) = oneshot::channel();
    runtime.spawn(async move {
        let _ = say.send(leader.await);
    });
    runtime.block_on(told).expect("the leader comes to its end")
}

fn ping_pong_on(runtime: &Runtime, ops: u64) -> u64 {
    let (to_follower, mut from_leader) = channel(1);
    let (to_leader, mut from_follower) = channel(1);
    runtime.spawn(async move {
        while let Some(token) = from_leader.recv().await {
            if to_leader.send(token).await.is_err() {
                break;
            }
        }
    });
    led(runtime, async move {
        let mut started = Instant::now();
        for op in 0..ops / 10 + ops {
            if op == ops / 10 {
                started = Instant::now();
            }
            let _ = to_follower.send(1_u64).await;
            from_follower.recv().await;
        }
        started.elapsed().as_nanos() as u64
    })
}

fn bare_channel(ops: u64) -> u64 {
    ping_pong_on(&current_thread(), ops)
}

fn bare_multi(ops: u64) -> u64 {
    ping_pong_on(&Builder::new_multi_thread().worker_threads(2).build().expect("a runtime can be made"), ops)
}

fn bare_oneway(ops: u64) -> u64 {
    let runtime = current_thread();
    let (to_receiver, mut from_sender) = channel(1);
    runtime.spawn(async move { while let Some(1..) = from_sender.recv().await {} });
    led(&runtime, async move {
        let mut started = Instant::now();
        for op in 0..ops / 10 + ops {
            if op == ops / 10 {
                started = Instant::now();
            }
            let _ = to_receiver.send(1_u64).await;
        }
        started.elapsed().as_nanos() as u64
    })
}

fn bare_notify(ops: u64) -> u64 {
    let runtime = current_thread();
    let (there, back) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (follower_there, follower_back) = (Arc::clone(&there), Arc::clone(&back));
    runtime.spawn(async move {
        loop {
            follower_there.notified().await;
            follower_back.notify_one();
        }
    });
    led(&runtime, async move {
        let mut started = Instant::now();
        for op in 0..ops / 10 + ops {
            if op == ops / 10 {
                started = Instant::now();
            }
            there.notify_one();
            back.notified().await;
        }
        started.elapsed().as_nanos() as u64
    })
}

fn bare_yield(ops: u64) -> u64 {
    let runtime = current_thread();
    runtime.spawn(async {
        loop {
            yield_now().await;
        }
    });
    led(&runtime, async move {
        let mut started = Instant::now();
        for op in 0..ops / 10 + ops {
            if op == ops / 10 {
                started = Instant::now();
            }
            yield_now().await;
        }
        started.elapsed().as_nanos() as u64
    })
}

fn bare_pipe(ops: u64) -> u64 {
    async fn send(pipe: &Sender) {
        while pipe.try_write(b"ctxp").is_err() {
            pipe.writable().await.expect("the pipe is open");
        }
    }
    async fn receive(pipe: &Receiver) {
        let mut token = [0; 4];
        while pipe.try_read(&mut token).is_err() {
            pipe.readable().await.expect("the pipe is open");
        }
    }
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime can be made");
    let entered = runtime.enter();
    let ((to_follower, from_leader), (to_leader, from_follower)) =
        (pipe::pipe().expect("a pipe can be made"), pipe::pipe().expect("a pipe can be made"));
    drop(entered);
    runtime.spawn(async move {
        loop {
            receive(&from_leader).await;
            send(&to_leader).await;
        }
    });
    led(&runtime, async move {
        let mut started = Instant::now();
        for op in 0..ops / 10 + ops {
            if op == ops / 10 {
                started = Instant::now();
            }
            send(&to_follower).await;
            receive(&from_follower).await;
        }
        started.elapsed().as_nanos() as u64
    })
}

fn bare_coroutine(ops: u64) -> u64 {
    let mut coroutine: Coroutine<bool, (), ()> = Coroutine::new(|suspender, mut go_on| {
        while go_on {
            go_on = suspender.suspend(());
        }
    });
    let mut resume = |go_on| matches!(coroutine.resume(go_on), CoroutineResult::Yield(()));
    (0..ops / 10).for_each(|_| assert!(resume(true)));
    let started = Instant::now();
    for _ in 0..ops {
        if !resume(true) {
            break;
        }
    }
    let elapsed_ns = started.elapsed().as_nanos() as u64;
    resume(false);
    elapsed_ns
}
