//! Time and memory to assemble scheduler events: ten million of a thousand threads, each third one an absence that is
//! summed up.
//!
//! ```sh
//! cargo bench --bench sched_events -- 10
//! ```

use std::env;
use std::fs;
use std::time::Instant;

use ctxprof::sched::tally::{Summand, Tally};
use ctxprof::sched::tracks::{Event, Over, Tracks, What};

const THREADS: u64 = 1000;
/// Events of a thread until it ends, and another one gets its number.
const LIFE: u64 = 3000;
const MOST_SECONDS: f64 = 3.0;
const MOST_MEBIBYTES: f64 = 50.0;

fn main() {
    let millions: u64 = env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(10);
    let mut tracks: Tracks<u8, u32> = Tracks::default();
    let mut tally: Tally<u8, u32> = Tally::default();
    let (mut absences, mut slices) = (0_u64, 0_u64);
    let begun = Instant::now();
    for nth in 0..millions * 1_000_000 {
        let (thread, step) = ((nth % THREADS) as u32, nth / THREADS);
        let what = match step % 3 {
            _ if step % LIFE == LIFE - 1 => What::Ended,
            0 => What::Entered { cpu: thread % 8, queue_ns: Some(nth % 5000) },
            1 => What::Left((thread % 20) as u8),
            _ => What::Woken(thread % 50),
        };
        match tracks.take(Event { at_ns: nth * 100, thread, what }) {
            Some(Over::Absence(absence)) => {
                absences += 1;
                let off_ns = Some(absence.to_ns - absence.from_ns);
                let waker = absence.woken.map(|woken| woken.by);
                let summand = Summand {
                    voluntary: true,
                    off_ns,
                    queue_ns: absence.queue_ns,
                    wakeup_ns: Some(nth % 30_000),
                    waker,
                };
                tally.add(absence.left, &summand);
            }
            Some(Over::Slice(_)) => slices += 1,
            None => {}
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    let mebibytes = peak.unwrap_or(f64::INFINITY) / 1024.0;
    println!("{absences} absences and {slices} slices, {} rows, {} threads alive", tally.rows().len(), tracks.alive());
    let judge = |what: &str, figure: f64, unit: &str, most: f64| {
        let word = if figure <= most { "met:     " } else { "NOT MET: " };
        println!(
            "{word} {what} of {millions} million scheduler events: {figure:.2} {unit} (wanted: at most {most} {unit})"
        );
    };
    judge("time", seconds, "s", MOST_SECONDS * millions as f64 / 10.0);
    judge("memory", mebibytes, "MiB", MOST_MEBIBYTES);
}
