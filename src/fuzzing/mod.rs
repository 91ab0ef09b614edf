//! The registry of fuzzing targets: every reader of outside input, with the properties that hold for any bytes.
//!
//! A target is a name, a function, a program in `fuzz/fuzz_targets` that passes libFuzzer's bytes to it, and a folder of real
//! inputs in `fuzz/corpus`. The tests in this folder replay every corpus, whole and damaged, without a fuzzer.

mod document;
mod history;
mod host;
mod other_tools;
mod process;
mod records;
mod trace;

/// A reader, or a family of readers of the same sort of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the program and of the corpus.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub check: fn(&[u8]),
}

/// Every reader of outside input.
pub static TARGETS: &[Target] = &[
    Target { name: "document", check: document::document },
    Target { name: "history", check: history::history },
    Target { name: "perf_output", check: other_tools::perf_output },
    Target { name: "go_output", check: other_tools::go_output },
    Target { name: "saved_claim", check: other_tools::saved_claim },
    Target { name: "child_answer", check: other_tools::child_answer },
    Target { name: "go_program", check: other_tools::go_program },
    Target { name: "process_text", check: process::text },
    Target { name: "exit_record", check: process::exit_record },
    Target { name: "host_text", check: host::text },
    Target { name: "host_tree", check: host::tree },
    Target { name: "ring_record", check: records::ring_record },
    Target { name: "recording", check: records::recording },
    Target { name: "kernel_types", check: trace::kernel_types },
    Target { name: "trace_records", check: trace::records },
];

/// Checks a target's properties on these bytes.
///
/// # Panics
/// A property does not hold; or there is no target of this name.
pub fn check(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no fuzz target {name}")).check)(bytes);
}

#[cfg(test)]
mod tests;
