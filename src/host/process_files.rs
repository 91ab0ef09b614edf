//! PID namespace of the mounted /proc.

use std::io;
use std::path::{Path, PathBuf};
use std::{fs, process};

use anyhow::{Result, bail};

/// Refuses a /proc of another PID namespace, in which a PID names another process: its switches and memory would be reported
/// for the process asked for. Without a /proc, each reader reports what it misses.
///
/// # Errors
/// /proc has this process under another number, or not at all.
pub fn check() -> Result<()> {
    check_number(fs::read_link("/proc/self"), process::id())
}

fn check_number(shown: io::Result<PathBuf>, own: u32) -> Result<()> {
    let shown = match shown {
        Ok(number) if number == Path::new(&own.to_string()) => return Ok(()),
        Ok(number) => format!("as {}", number.display()),
        // /proc cannot show a process of a parent namespace: the link leads nowhere.
        Err(_) if Path::new("/proc/stat").exists() => "not at all".to_string(),
        Err(_) => return Ok(()),
    };
    bail!(
        "/proc is of another PID namespace: this process is {own} here, and /proc has it {shown}, so that other programs' \
         figures would be read there; mount this namespace's /proc (unshare --fork --pid --mount-proc, or mount -t proc proc /proc)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proc_that_has_this_process_under_its_number_is_taken() {
        check().unwrap();
        check_number(Ok("7".into()), 7).unwrap();
        let refused = check_number(Ok("4711".into()), 7).unwrap_err().to_string();
        assert!(refused.contains("this process is 7 here, and /proc has it as 4711"), "{refused}");
        let refused = check_number(Err(io::ErrorKind::NotFound.into()), 7).unwrap_err().to_string();
        assert!(refused.contains("not at all"), "{refused}");
    }
}
