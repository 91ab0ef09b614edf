//! Programs that a test makes and then starts.
//!
//! Processes of their own write them. A file that the test itself writes may be open in a child that another thread forks at
//! that moment, until the child executes its program, and a file that anybody has open for writing cannot be executed: "Text
//! file busy" (ETXTBSY).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a shell script that can be executed, and the folders on the way to it.
pub fn make_program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writing =
        Command::new("install").args(["--mode=755", "/dev/stdin"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    writing.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(writing.wait().unwrap().success(), "{}", path.display());
}
