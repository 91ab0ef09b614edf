//! perf's counters on the threads of another program, and on those that they create: what `perf stat` does.
//!
//! Every switch of such a thread takes the counters off the CPU and puts them back: 15 to 25 % of a pipe round trip.

use std::io;

use anyhow::{Result, anyhow};
use nix::unistd::Pid;

use crate::perf::counting::{AbsentCounter, CountingMode};
use crate::perf::fallback_chain::check_hardware;
use crate::perf::open::{OpenCounter, Target};
use crate::perf::{CONTEXT_SWITCHES, Counter, HARDWARE, SOFTWARE, refusal};
use crate::sys::rlimit;

/// perf's counters on all threads of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadCounting {
    pub counters: Vec<ThreadCount>,
    pub absent: Vec<AbsentCounter>,
    pub remarks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadCount {
    /// As perf prints it.
    pub name: String,
    pub count: u64,
    pub enabled_ns: u64,
    pub running_ns: u64,
}

/// Counters that are open, each on all threads of a program.
pub struct ThreadCounters {
    counters: Vec<Vec<OpenCounter>>,
    absent: Vec<AbsentCounter>,
    remarks: Vec<String>,
}

impl ThreadCounters {
    /// Opens them on a child that has not called exec yet, and its descendants; counts from exec on.
    ///
    /// # Errors
    /// `perf_event_open` refuses to count switches; other refused counters are absent.
    pub fn of_program(pid: Pid) -> Result<ThreadCounters> {
        ThreadCounters::on(&[Target::AfterExec(pid)])
    }

    /// Opens them on running threads, and those that they create from now on.
    ///
    /// # Errors
    /// As [`ThreadCounters::of_program`].
    pub fn of_threads(threads: &[Pid]) -> Result<ThreadCounters> {
        let targets: Vec<Target> = threads.iter().map(|&thread| Target::Thread(thread)).collect();
        ThreadCounters::on(&targets)
    }

    fn on(targets: &[Target]) -> Result<ThreadCounters> {
        let each = 1 + SOFTWARE.len() + HARDWARE.len();
        rlimit::allow_files(targets.len().saturating_mul(each) as u64);
        let explain = |error: &io::Error| refusal::explain(CountingMode::Thread, error);
        let open = |counter: &Counter| -> io::Result<Vec<OpenCounter>> {
            targets.iter().map(|&target| OpenCounter::open(counter, target)).collect()
        };
        let switches =
            open(&CONTEXT_SWITCHES).map_err(|error| anyhow!("--counters thread is refused: {}", explain(&error)))?;
        let mut all = ThreadCounters { counters: vec![switches], absent: Vec::new(), remarks: Vec::new() };
        let hardware = check_hardware();
        let no_hardware = hardware.as_ref().err().cloned();
        all.remarks.extend(hardware.ok().flatten());
        let software = SOFTWARE.iter().filter(|counter| counter.scope.includes(CountingMode::Thread));
        let hardware = HARDWARE.iter().rev().map(|counter| (counter, no_hardware.as_ref()));
        for (counter, refused) in software.map(|counter| (counter, None)).chain(hardware) {
            let opened = match refused {
                Some(reason) => Err(reason.clone()),
                None => open(counter).map_err(|error| explain(&error)),
            };
            match opened {
                Ok(opened) => all.counters.push(opened),
                Err(reason) => all.absent.push(AbsentCounter { name: counter.name.to_string(), reason }),
            }
        }
        Ok(all)
    }

    /// Returns the counts, each summed over all threads.
    ///
    /// # Errors
    /// The kernel does not let one be read.
    pub fn read(self) -> Result<ThreadCounting> {
        let mut counters = Vec::new();
        for mut events in self.counters {
            let Some(name) = events.first().map(|event| event.name().to_string()) else { continue };
            let mut sum = ThreadCount { name, count: 0, enabled_ns: 0, running_ns: 0 };
            for event in &mut events {
                let reading = event.read()?;
                sum.count += reading.count;
                sum.enabled_ns += reading.enabled_ns;
                sum.running_ns += reading.running_ns;
            }
            counters.push(sum);
        }
        Ok(ThreadCounting { counters, absent: self.absent, remarks: self.remarks })
    }
}
