//! Preemption: the turns that another task, thread or goroutine gets while a busy one computes on the same thread or CPU.
//!
//! ```sh
//! cargo run --release --example preemption
//! ```
//!
//! Each row is one experiment of a tenth of a second or so. The busy one computes. The other one only yields again whenever it
//! gets a turn, and its turns are counted while the busy one computes.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ctxprof::count::{self, Whose};
use ctxprof::sys::affinity::{self, Pinned};
use ctxprof::tool::go;
use tokio::runtime::Builder;
use tokio::task::yield_now;

/// Time that the busy one computes: many times the slice of a kernel's or Go's scheduler.
const WORK: Duration = Duration::from_millis(100);
/// Pieces of the work of a task that waits now and then.
const PIECES: u32 = 100;

struct Row {
    busy: &'static str,
    /// Number of times that the busy one was off the thread or CPU, and why.
    left: String,
    /// The other one's turns meanwhile; `None` without an experiment.
    turns: Option<u64>,
    why: String,
}

fn main() -> Result<()> {
    let rows = [
        task(true)?,
        task(false)?,
        thread()?,
        goroutine(
            "goroutine, only computes",
            "",
            "its loop has no call and no wait: Go's runtime interrupts it with a signal (since Go 1.14)",
        ),
        goroutine(
            "the same, asyncpreemptoff=1",
            "asyncpreemptoff=1",
            "with GODEBUG=asyncpreemptoff=1, as before Go 1.14: it keeps the thread as a task does",
        ),
    ];
    println!("{:<28} {:<16} {:>12}", "the busy one", "it was off", "other's turns");
    for Row { busy, left, turns, .. } in &rows {
        let turns = turns.map_or("–".to_string(), |turns| turns.to_string());
        println!("{busy:<28} {left:<16} {turns:>13}");
    }
    println!();
    for Row { busy, why, .. } in &rows {
        println!("{busy}: {why}");
    }
    Ok(())
}

/// Two tokio tasks on one thread. Nothing can interrupt a task: the runtime gets the thread back only where the task awaits
/// something that is not ready.
fn task(waits: bool) -> Result<Row> {
    let runtime = Builder::new_current_thread().build().context("starting a tokio runtime")?;
    let turns = Arc::new(AtomicU64::new(0));
    let turns_of_other = Arc::clone(&turns);
    let other = async move {
        loop {
            turns_of_other.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    };
    let busy = async move {
        let before = turns.load(Ordering::Relaxed);
        for _ in 0..PIECES {
            compute(WORK / PIECES);
            if waits {
                yield_now().await;
            }
        }
        turns.load(Ordering::Relaxed) - before
    };
    let (turns, polls) = runtime.block_on(async {
        // Runs until the runtime ends.
        tokio::spawn(other);
        tokio::spawn(count::polls(busy)).await
    })?;
    Ok(Row {
        busy: if waits { "task, waits 100 times" } else { "task, only computes" },
        // It is polled once to begin, and once more after each wait.
        left: format!("{} waits", polls - 1),
        turns: Some(turns),
        why: if waits {
            "every await that is not ready gives the thread back to the runtime"
        } else {
            "without an await nobody can take the thread from it: the other one waits until it is done"
        }
        .to_string(),
    })
}

/// Two threads on one CPU. When a thread has used its slice, the timer interrupt takes the CPU from it and gives it to the
/// other one, or to another thread of this machine: those preemptions count too.
fn thread() -> Result<Row> {
    let cpu = affinity::current_cpu().context("the kernel does not say on which CPU this runs")?;
    let _pinned = Pinned::to(cpu)?;
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (busy, other) = thread::scope(|scope| {
        // On the same CPU: a thread inherits its parent's affinity.
        let other = scope.spawn(|| {
            while !begun.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            // Each of its turns ends with a switch, which the kernel counts.
            count::switches(Whose::CallingThread, || {
                while !done.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            })
        });
        begun.store(true, Ordering::Relaxed);
        let busy = count::switches(Whose::CallingThread, || compute(WORK));
        done.store(true, Ordering::Relaxed);
        (busy, other.join().expect("the other thread does not panic"))
    });
    let (((), busy), ((), other)) = (busy?, other?);
    Ok(Row {
        busy: "OS thread, only computes",
        left: format!("{} preemptions", busy.involuntary),
        turns: Some(other.total()),
        why: "the kernel takes the CPU from a thread that could go on: an involuntary switch".to_string(),
    })
}

/// Two goroutines on one thread (GOMAXPROCS=1), in a program that prints the other one's turns.
fn goroutine(busy: &'static str, debug: &str, why: &str) -> Row {
    let (turns, why) = match goroutine_turns(debug) {
        Ok(turns) => (Some(turns), why.to_string()),
        Err(error) => (None, format!("{error:#}")),
    };
    // Go's runtime does not count its preemptions.
    Row { busy, left: "–".to_string(), turns, why }
}

fn goroutine_turns(debug: &str) -> Result<u64> {
    // Built once with the installed Go, and saved in ctxprof's cache; nothing is taken from the network.
    let program =
        go::find().context("no Go here")?.build(&[("go.mod", "module preemption\n\ngo 1.14\n"), ("main.go", GO)])?;
    let output = Command::new(program).env("GODEBUG", debug).output()?;
    ensure!(output.status.success(), "the Go program failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

const GO: &str = r#"package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// compute has neither a call nor a wait in its loop: no place where it could yield.
//
//go:noinline
func compute(steps uint64) (state uint64) {
	for ; steps > 0; steps-- {
		state = state*6364136223846793005 + 1442695040888963407
	}
	return state
}

func main() {
	runtime.GOMAXPROCS(1)
	// So many steps take 100 to 200 ms.
	steps := uint64(1 << 20)
	for took := time.Duration(0); took < 50*time.Millisecond; steps *= 2 {
		begun := time.Now()
		compute(steps)
		took = time.Since(begun)
	}

	var turns uint64
	go func() {
		for {
			atomic.AddUint64(&turns, 1)
			runtime.Gosched()
		}
	}()
	runtime.Gosched() // It has had its first turn.
	before := atomic.LoadUint64(&turns)
	compute(steps)
	fmt.Println(atomic.LoadUint64(&turns) - before)
}
"#;

/// Keeps the thread.
fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {}
}
