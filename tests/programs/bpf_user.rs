//! Somebody else who uses BPF, to test that `ctxprof trace` works beside them and leaves nothing behind.
//!
//! ```sh
//! bpf_user programs                the number and name of each program that is loaded
//! bpf_user task-storage OBJECT     attaches task_storage.bpf.c and updates its own storage until it is killed
//! ```

use std::env;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::process;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, Map};
use aya::programs::BtfTracePoint;
use aya::{Btf, EbpfLoader};

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["programs"] => programs(),
        ["task-storage", object] => task_storage(object),
        _ => bail!("usage: bpf_user programs|task-storage OBJECT"),
    }
}

fn programs() -> Result<()> {
    for program in aya::programs::loaded_programs() {
        let program = program?;
        println!("{} {}", program.id(), program.name_as_str().unwrap_or_default());
    }
    Ok(())
}

/// Updates between two lines of output.
const ROUND: u64 = 100_000;

fn task_storage(object: &str) -> Result<()> {
    let btf = Btf::from_sys_fs()?;
    let object = fs::read(object).with_context(|| object.to_string())?;
    let mut ebpf = EbpfLoader::new().btf(Some(&btf)).allow_unsupported_maps().load(&object)?;
    for (name, tracepoint) in [("on_new_task", "task_newtask"), ("on_task_switch", "sched_switch")] {
        let program: &mut BtfTracePoint = ebpf.program_mut(name).context("no such program")?.try_into()?;
        program.load(tracepoint, &btf)?;
        program.attach()?;
    }
    let sums = Array::<_, u64>::try_from(ebpf.map("sums").context("no map sums")?)?;
    let Some(Map::Unsupported(storage)) = ebpf.map("switches") else { bail!("no map switches") };
    let storage = storage.fd().as_fd().as_raw_fd();
    // SAFETY: this call takes numbers only.
    let own = unsafe { libc::syscall(libc::SYS_pidfd_open, process::id(), 0) } as i32;
    ensure!(own >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
    loop {
        println!("{} switches counted, {} without storage", sums.get(&0, 0)?, sums.get(&1, 0)?);
        for round in 0..ROUND {
            // An update that finds the storage in use is refused, which is the point.
            let _ = update(storage, own, round);
        }
    }
}

/// `union bpf_attr` of BPF_MAP_UPDATE_ELEM.
#[repr(C)]
struct Update {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Stores a value for the process of a pidfd; returns true where the kernel took it.
fn update(map: i32, pidfd: i32, value: u64) -> bool {
    const BPF_MAP_UPDATE_ELEM: i32 = 2;
    let (key, value) = (&raw const pidfd as u64, &raw const value as u64);
    let request = Update { map: map as u32, padding: 0, key, value, flags: 0 };
    // SAFETY: the request and what it points to live until the call is over, and are of the sizes that the map has.
    unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_ELEM, &raw const request, size_of::<Update>()) == 0 }
}
