//! The object, loaded and attached: follows a program from its first instruction, and is removed with this process.

use std::error::Error;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;

use anyhow::{Context, Result, anyhow};
use aya::maps::{Map, MapData};
use aya::programs::BtfTracePoint;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::util::nr_cpus;
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use nix::sys::stat::{major, minor};

use crate::bpf::btf::KernelTypes;
use crate::bpf::functions;
use crate::bpf::layout::{
    CONTROL, RECORD, RING, ROOT_SLOT, ROOT_WANTED, Record, SLOTS, THREAD, THREAD_WAITS, Thread, UNFOLLOWED,
};
use crate::bpf::object::OBJECT;
use crate::bpf::queue::Slots;
use crate::bpf::refusal;
use crate::bpf::rings::Rings;
use crate::sys::mapped::Mapped;

/// System call numbers that the object needs, from the caller's tables.
#[derive(Debug, Clone, Copy)]
pub struct CallNumbers<'n> {
    /// Restarts the call that a signal has interrupted.
    pub restart: i16,
    /// Calls whose first argument is a file.
    pub of_files: &'n [i16],
    pub sending: &'n [i16],
}

/// Set of programs. All but the first are for measuring the cost of tracing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// Record the switches of followed threads.
    Following,
    Empty,
}

/// An item passed on by [`Tracer::drain`].
#[derive(Debug, Clone, Copy)]
pub enum Step<'s> {
    Record(&'s Record),
    Ended(&'s Thread),
}

/// Programs of the object, each with its tracepoint.
const FOLLOWING: [(&str, &str); 5] = [
    ("on_free", "sched_process_free"),
    ("on_exec", "sched_process_exec"),
    ("on_waking", "sched_waking"),
    ("on_switch", "sched_switch"),
    // Last: from then on threads are followed.
    ("on_new", "task_newtask"),
];
const EMPTY: [(&str, &str); 2] = [("on_waking_empty", "sched_waking"), ("on_switch_empty", "sched_switch")];

/// Memory for the records of all CPUs; and the most records of one, which 400,000 switches a second fill in a sixth of a second.
const MOST_RECORD_BYTES: usize = 64 << 20;
const MOST_RECORDS: usize = 1 << 16;
const FEWEST_RECORDS: usize = 64;

/// The object in the kernel. It is detached when this is dropped, or this process ends in any way.
#[derive(Debug)]
pub struct Tracer {
    ebpf: Ebpf,
    programs: Programs,
    links: Vec<(&'static str, BtfTracePointLinkId)>,
    control: Mapped,
    slots: Slots,
    rings: Rings,
}

impl Tracer {
    /// Loads the object without attaching it. `record_bytes` are per CPU; by default they depend on the number of CPUs.
    ///
    /// # Errors
    /// [`refusal::Refusal`]; the kernel's answer; no memory.
    pub fn load(programs: Programs, calls: &CallNumbers<'_>, record_bytes: Option<usize>) -> Result<Tracer> {
        let root = Path::new("/");
        let types = refusal::kernel_types(root)?;
        refusal::rights(root)?;
        let kernel = Kernel::of(&types)?;
        let btf = Btf::parse(&types, Endianness::default()).context("reading the kernel's BTF")?;
        let cpus = nr_cpus().map_err(|(what, error)| anyhow!("{what}: {error}"))?;
        let size = record_bytes.map_or(MOST_RECORD_BYTES / RECORD / cpus, |bytes| bytes / RECORD);
        let size = size.clamp(FEWEST_RECORDS, MOST_RECORDS);
        let size = if size.is_power_of_two() { size } else { size.next_power_of_two() / 2 };
        let mut ebpf = load_object(&btf, &kernel, calls, cpus, size)?;
        let names = if programs == Programs::Following { FOLLOWING.as_slice() } else { EMPTY.as_slice() };
        for (name, tracepoint) in names {
            program(&mut ebpf, name)?
                .load(tracepoint, &btf)
                .map_err(|error| refused(&format!("loading {name}"), error))?;
        }
        let mut map = |name: &str, bytes: usize| -> Result<Mapped> {
            let data = array(&mut ebpf, name)?;
            // The kernel maps whole pages.
            Mapped::new(data.fd().as_fd(), bytes.next_multiple_of(4096)).with_context(|| format!("mapping {name}"))
        };
        let control = map("control", CONTROL)?;
        let slots = Slots::new(
            map("threads", SLOTS * THREAD)?,
            map("free_slots", SLOTS * 8)?,
            map("ended_slots", SLOTS * 8)?,
            &control,
        );
        let rings = Rings::new(map("rings", cpus * RING)?, map("records", cpus * size * RECORD)?, size as u64, cpus);
        Ok(Tracer { ebpf, programs, links: Vec::new(), control, slots, rings })
    }

    /// Attaches the programs.
    ///
    /// # Errors
    /// The kernel's answer; programs attached before are detached.
    pub fn attach(&mut self) -> Result<()> {
        let names = if self.programs == Programs::Following { FOLLOWING.as_slice() } else { EMPTY.as_slice() };
        for (name, _) in names {
            match program(&mut self.ebpf, name)?.attach() {
                Ok(link) => self.links.push((name, link)),
                Err(error) => {
                    self.detach();
                    return Err(refused(&format!("attaching {name}"), error));
                }
            }
        }
        Ok(())
    }

    /// Detaches the programs: from then on nothing is recorded, and switches cost no more than without tracing.
    pub fn detach(&mut self) {
        for (name, link) in self.links.drain(..) {
            // A program that cannot be detached ends with this process.
            let _ = program(&mut self.ebpf, name).map(|program| program.detach(link));
        }
    }

    /// Expects the next child of this process, to be followed with its descendants once [`Tracer::follow_root`] is called.
    pub fn expect_root(&self) {
        self.control.store(ROOT_SLOT, 0);
        self.control.store(ROOT_WANTED, 1);
    }

    /// Follows the child, which sleeps, from its next run on.
    ///
    /// # Errors
    /// The tracer has not seen its creation.
    pub fn follow_root(&self) -> Result<()> {
        match self.control.load(ROOT_SLOT) as usize {
            slot @ 1..SLOTS => {
                self.slots.threads().store_byte(slot * THREAD + THREAD_WAITS, 0);
                Ok(())
            }
            _ => Err(anyhow!("the tracer has not seen the program's process being made")),
        }
    }

    /// Passes on the events since the last call: first the records in order of time, then each ended thread whose records have all
    /// been passed on. `all`: no more will come.
    pub fn drain(&mut self, all: bool, each: &mut dyn FnMut(Step<'_>)) {
        // A thread that is handed over by now has its last record in a ring.
        let handed_over = Slots::handed_over(&self.control);
        self.rings.drain(all, &mut |record| each(Step::Record(record)));
        self.slots.take_ended(handed_over, &self.control, &mut |thread| each(Step::Ended(thread)));
    }

    /// Returns the followed threads that have not ended.
    pub fn alive(&self) -> Vec<Thread> {
        let threads = (1..SLOTS).map(|slot| self.slots.thread(slot));
        threads.filter(|thread| thread.slot != 0 && thread.ran && !thread.ended).collect()
    }

    /// Returns the number of records lost for lack of room.
    pub fn lost(&self) -> u64 {
        self.rings.lost()
    }

    /// Returns the number of threads that could not be followed because there were too many at once.
    pub fn unfollowed(&self) -> u64 {
        self.control.load(UNFOLLOWED)
    }
}

/// Properties of the kernel that decide how the object is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kernel {
    has_state_argument: u32,
    preempt_count_in: u32,
    runqueues_at: u64,
    preempt_count_at: u64,
}

impl Kernel {
    /// # Errors
    /// [`refusal::Refusal`], or the BTF cannot be read.
    fn of(types: &[u8]) -> Result<Kernel> {
        let types = KernelTypes::read(types).context("/sys/kernel/btf/vmlinux")?;
        refusal::kernel(&types).map_err(anyhow::Error::from)?;
        // The first parameter is not one of the tracepoint's arguments.
        let arguments = types.parameters("btf_trace_sched_switch").unwrap_or_default().saturating_sub(1);
        let mut kernel = Kernel { has_state_argument: u32::from(arguments >= 4), ..Kernel::default() };
        // A variable of its own, or, from 6.2 to 6.14, a member of another.
        let own = types.per_cpu("__preempt_count");
        let part = || Some(types.per_cpu("pcpu_hot")? + types.member("pcpu_hot", &["preempt_count"])?);
        match (types.per_cpu("runqueues"), own.or_else(part)) {
            (Some(runqueues_at), Some(preempt_count_at)) => {
                (kernel.preempt_count_in, kernel.runqueues_at, kernel.preempt_count_at) =
                    (1, runqueues_at, preempt_count_at);
            }
            _ if types.member("task_struct", &["thread_info", "preempt", "count"]).is_some() => {
                kernel.preempt_count_in = 2
            }
            _ => {}
        }
        Ok(kernel)
    }
}

fn load_object(btf: &Btf, kernel: &Kernel, calls: &CallNumbers<'_>, cpus: usize, size: usize) -> Result<Ebpf> {
    let namespace = fs::metadata("/proc/self/ns/pid").context("/proc/self/ns/pid")?;
    // In the kernel's encoding, which differs from stat(2)'s.
    let device = major(namespace.dev()) << 20 | minor(namespace.dev());
    let inode = namespace.ino();
    let (ring_size, ring_count) = (size as u32, cpus as u32);
    let orders_stores = u32::from(cfg!(target_arch = "x86_64"));
    let (file_calls, send_calls) = (set(calls.of_files), set(calls.sending));
    let (reader, restart) = (process::id(), i32::from(calls.restart));
    let (slots, kernel_text) = (pid_limit(), functions::beginning().unwrap_or(0));
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(btf))
        .set_global("ring_size", &ring_size, true)
        .set_global("has_state_argument", &kernel.has_state_argument, true)
        .set_global("orders_stores", &orders_stores, true)
        .set_global("call_restart", &restart, true)
        .set_global("file_calls", &file_calls, true)
        .set_global("send_calls", &send_calls, true)
        .set_global("preempt_count_in", &kernel.preempt_count_in, true)
        .set_global("runqueues_at", &kernel.runqueues_at, true)
        .set_global("preempt_count_at", &kernel.preempt_count_at, true)
        .set_global("kernel_text", &kernel_text, true)
        .set_global("reader_pid", &reader, true)
        .set_global("namespace_device", &device, true)
        .set_global("namespace_inode", &inode, true)
        .set_max_entries("slot_of", slots)
        .set_max_entries("rings", ring_count)
        .set_max_entries("records", ring_count * ring_size);
    loader.load(OBJECT).map_err(|error| refused("loading the BPF object", error))
}

/// Returns one more than the highest possible TID.
fn pid_limit() -> u32 {
    const HIGHEST: u32 = 4 << 20;
    let read = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    // A PID namespace may have a lower limit of its own; that of threads outside is not lower.
    let own = read.and_then(|text| text.trim().parse().ok()).unwrap_or(HIGHEST);
    let is_first = fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE);
    if is_first { own } else { HIGHEST }
}

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Returns a set of call numbers, one bit each.
fn set(calls: &[i16]) -> [u64; 8] {
    let mut set = [0; 8];
    for call in calls.iter().filter_map(|&call| usize::try_from(call).ok()).filter(|&call| call < 512) {
        set[call / 64] |= 1 << (call % 64);
    }
    set
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut BtfTracePoint> {
    let program = ebpf.program_mut(name).with_context(|| format!("the BPF object has no program {name}"))?;
    Ok(program.try_into()?)
}

fn array(ebpf: &mut Ebpf, name: &str) -> Result<MapData> {
    match ebpf.take_map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(anyhow!("the BPF object has no array {name}")),
    }
}

/// Returns the attempt and the kernel's answer, in a line: an error of aya's repeats those of its causes in its own words, and
/// perhaps the verifier's whole log.
fn refused(what: &str, error: impl Error) -> anyhow::Error {
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let (whole, cause) = (error.to_string(), cause.to_string());
    let first = whole.lines().next().unwrap_or_default().trim_end_matches(": ");
    if first.contains(&cause) { anyhow!("{what}: {first}") } else { anyhow!("{what}: {first}: {cause}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_calls_has_a_bit_for_each() {
        assert_eq!(set(&[0, 1, 64, -1, 511]), [3, 1, 0, 0, 0, 0, 0, 1 << 63]);
    }
}
