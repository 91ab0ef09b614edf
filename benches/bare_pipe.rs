//! The bare loop that `thread-pipe` is compared with where perf's own is not available: two threads, two pipes, one token, and
//! no reading of counters while it runs. Prints microseconds per round trip, as `perf bench sched pipe` does.
//!
//! ```sh
//! taskset -c 1 cargo bench --bench bare_pipe -- 200000
//! ```

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use nix::unistd::{pipe, read, write};

fn main() -> nix::Result<()> {
    let ops: u32 = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(200_000);
    let (from_leader, to_follower) = pipe()?;
    let (from_follower, to_leader) = pipe()?;
    let started = Instant::now();
    let follower = thread::spawn(move || hand_back(&from_leader, &to_leader, ops));
    let mut token = [0; 4];
    for _ in 0..ops {
        write(&to_follower, &token)?;
        read(&from_follower, &mut token)?;
    }
    follower.join().expect("the follower does not panic")?;
    println!("{:14.6} usecs/op", started.elapsed().as_secs_f64() * 1e6 / f64::from(ops));
    Ok(())
}

fn hand_back(from_leader: &OwnedFd, to_leader: &OwnedFd, ops: u32) -> nix::Result<()> {
    let mut token = [0; 4];
    for _ in 0..ops {
        read(from_leader, &mut token)?;
        write(to_leader, &token)?;
    }
    Ok(())
}
