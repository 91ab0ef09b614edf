//! Black-box tests: the built binary, driven as a user would.

#![cfg(target_os = "linux")]

mod breakdown;
mod command_line;
mod compares;
mod counting;
mod diff_verdicts;
mod diffs;
mod docs;
mod doctor;
mod examples;
mod explain;
mod faults;
mod figures;
mod history;
mod isolation;
mod jobs;
mod latency;
mod like_with_like;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/program.rs"]
mod made_program;
mod man_pages;
mod manners;
mod manual;
mod memory;
mod metrics;
mod odd_programs;
mod output;
mod pages;
mod placement;
mod policies;
mod programs;
mod refusals;
mod rights;
mod rings;
mod rules;
mod runs;
mod saved;
mod saved_outputs;
mod screens;
mod stat_attach;
mod stat_ends;
mod stat_pid;
mod stat_screen;
mod stats;
mod stops;
mod support;
mod sweeps;
mod tables;
mod trace_reasons;
mod traces;
mod workloads;
