//! Counts the switches that pieces of this program make: ctxprof as a library.
//!
//! ```sh
//! cargo run --release --example count_switches
//! ```

use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use ctxprof::count::{self, SwitchCount, Whose};
use tokio::runtime::Builder;
use tokio::task::yield_now;

fn main() -> Result<()> {
    println!("{:<46} voluntary involuntary", "kernel switches");

    let ((), switches) = count::switches(Whose::CallingThread, || compute(Duration::from_millis(20)))?;
    print("this thread computes for 20 ms", switches);

    let ((), switches) = count::switches(Whose::CallingThread, || {
        (0..10).for_each(|_| thread::sleep(Duration::from_millis(1)));
    })?;
    print("this thread sleeps 10 times", switches);

    // Two threads that wait for each other: both must be counted, hence the process.
    let (sum, switches) = count::switches(Whose::Process, || sum_of_answers(100))?;
    assert_eq!(sum, 4950);
    print("two threads, 100 questions and answers", switches);

    let (status, switches) = count::switches(Whose::Children, || Command::new("sleep").arg("0.01").status())?;
    status?;
    print("a child: sleep 0.01", switches);

    // Tasks take turns without the kernel: their polls are counted.
    let runtime = Builder::new_current_thread().build()?;
    let (polled, switches) = count::switches(Whose::CallingThread, || {
        runtime.block_on(async {
            let other = tokio::spawn(give_way(100));
            let one = tokio::spawn(count::polls(give_way(100)));
            (one.await, other.await)
        })
    })?;
    print("two tasks, each gives way 100 times", switches);
    let ((), polls) = polled.0?;
    println!("\none of these tasks was polled {polls} times: begun once, and come back to {} times", polls - 1);

    // Perf's additional events, where this user may count them.
    match count::events(|| compute(Duration::from_millis(20))) {
        Ok(((), events)) => {
            println!("\nperf's events while this thread computes for 20 ms");
            for event in &events.counted {
                println!("{:<46} {:>9}", event.name, event.count);
            }
            for absent in &events.absent {
                println!("{:<46} {:>9}  {}", absent.name, "–", absent.reason);
            }
        }
        Err(refused) => println!("\nperf's events: {refused:#}"),
    }
    Ok(())
}

fn print(what: &str, switches: SwitchCount) {
    println!("{what:<46} {:>9} {:>11}", switches.voluntary, switches.involuntary);
}

/// Keeps the CPU.
fn compute(time: Duration) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {}
}

/// Asks another thread so many questions, one after another, and adds up what it answers.
fn sum_of_answers(questions: u64) -> u64 {
    let (ask, asked) = sync_channel::<u64>(1);
    let (answer, answered) = sync_channel(1);
    // Ends when nobody can ask any more.
    let thread = thread::spawn(move || asked.iter().try_for_each(|question| answer.send(question)));
    let sum = (0..questions).filter_map(|question| ask.send(question).ok().and_then(|()| answered.recv().ok())).sum();
    drop(ask);
    let _ = thread.join();
    sum
}

async fn give_way(times: u32) {
    for _ in 0..times {
        yield_now().await;
    }
}
