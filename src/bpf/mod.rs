//! The BPF object that follows a program's threads: its source, what it writes, and its loader.
//!
//! ```text
//! switches.bpf.c ─ scripts/build-bpf ─ switches.bpf.o ─ loaded with what this kernel is (btf) ─ attached ─ rings ─ records
//! ```
//!
//! Nothing here knows what a switch means.

pub mod btf;
pub mod layout;
mod object;
mod queue;
pub mod refusal;
mod rings;
pub mod tracer;

/// Where this kernel tells its types.
#[cfg(test)]
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";
