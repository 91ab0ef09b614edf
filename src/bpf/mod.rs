//! The BPF object that follows a program's threads: its source, its data, and its loader.
//!
//! ```text
//! switches.bpf.c ─ scripts/build-bpf ─ switches.bpf.o ─ loaded for this kernel's types (btf) ─ attached ─ rings ─ records
//! ```
//!
//! Nothing in this folder knows what a switch means.

pub mod btf;
pub mod functions;
pub mod layout;
mod object;
mod queue;
pub mod refusal;
mod rings;
pub mod tracer;

/// File with this kernel's types.
#[cfg(test)]
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";
