//! Reasons of `ctxprof trace` that depend on the kernel's tables: the calls of 32-bit programs, and the functions in which threads wait.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::machine::{needs, skipped};
use crate::support::{command, example};

/// Returns the switches of each reason of a program's trace.
fn reasons(program: &Path, arguments: &[&str]) -> Vec<(String, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let mut trace = command("ctxprof trace --no-cost --quiet -o");
    let output = trace.arg(&path).arg("--").arg(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let rows = document["reasons"].as_array().unwrap().iter();
    rows.map(|row| (row["reason"].as_str().unwrap().to_string(), row["switches"].as_u64().unwrap())).collect()
}

#[test]
fn calls_of_a_32_bit_program_are_told_by_its_own_numbers() {
    needs!(Bpf);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("32-bit");
    let source = format!("{}/tests/cases/32-bit.c", env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Command::new("cc");
    compiler.args(["-m32", "-O1", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector", "-o"]);
    let compiled = compiler.arg(&program).arg(source).output().unwrap();
    if !compiled.status.success() || !Command::new(&program).status().is_ok_and(|status| status.success()) {
        skipped("32-bit programs", &String::from_utf8_lossy(&compiled.stderr));
        return;
    }
    let reasons = reasons(&program, &[]);
    let switches = |reason: &str| reasons.iter().find(|(name, _)| name == reason).map_or(0, |(_, switches)| *switches);
    // Where a timer ends before its thread sleeps, the reason is that.
    let early = switches("woken before it slept");
    assert!(switches("sleep") + early >= 21 && switches("futex") + early >= 20, "{reasons:?}");
    assert!(switches("32-bit system call 7") + early >= 1, "{reasons:?}");
    assert_eq!(switches("unknown"), 0, "{reasons:?}");
}

#[test]
fn a_wait_in_the_kernel_has_the_function_and_the_call_that_it_is_in() {
    // Others are not shown the kernel's addresses; with one CPU there is nobody to wait for.
    needs!(Root, Bpf, TwoCpus);
    let reasons = reasons(&example("leaver"), &["membarrier"]);
    let of = |is_it: &dyn Fn(&str) -> bool| -> u64 {
        reasons.iter().filter(|(name, _)| is_it(name)).map(|(_, switches)| switches).sum()
    };
    let named = of(&|name| name.starts_with("kernel wait, ") && name.ends_with(" in membarrier"));
    // A stack that the kernel could not walk just then has no function; seldom, and beside load only.
    let nameless = of(&|name| name == "kernel wait in membarrier");
    assert!(named >= 1 && nameless <= named / 4, "{reasons:?}");
}
