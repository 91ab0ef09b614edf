//! Limits that a process runs into, by name, value and remedy.

use anyhow::Error;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// The same error, with the limit behind it if there is one.
pub fn explain(error: Error) -> Error {
    match remedy(&error) {
        Some(remedy) => error.context(remedy),
        None => error,
    }
}

fn remedy(error: &Error) -> Option<String> {
    let errno = error.chain().find_map(errno_of)?;
    let soft = |resource| getrlimit(resource).map_or("unknown".to_string(), |(soft, _)| soft.to_string());
    match errno {
        Errno::EMFILE => Some(format!(
            "too few files allowed: RLIMIT_NOFILE is {}; raise it: ulimit -n 1024",
            soft(Resource::RLIMIT_NOFILE)
        )),
        Errno::ENFILE => Some("the whole system may open no more files; see sysctl fs.file-max".to_string()),
        Errno::EAGAIN => Some(format!(
            "too few processes or threads allowed: RLIMIT_NPROC is {} (ulimit -u); the cgroup's pids.max, kernel.threads-max and kernel.pid_max also limit them",
            soft(Resource::RLIMIT_NPROC)
        )),
        Errno::ENOMEM => Some("not enough memory, or too many mappings (vm.max_map_count)".to_string()),
        _ => None,
    }
}

fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<Errno> {
    let io = |error: &std::io::Error| error.raw_os_error().map(Errno::from_raw);
    error.downcast_ref::<Errno>().copied().or_else(|| error.downcast_ref::<std::io::Error>().and_then(io))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn check(errno: Errno, words: &[&str]) {
        for error in [Error::new(errno), Error::new(std::io::Error::from(errno))] {
            let text = format!("{:#}", explain(Err::<(), _>(error).context("making a pipe").unwrap_err()));
            for word in words {
                assert!(text.contains(word), "{word:?} is not in {text:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_named_with_its_value_and_how_to_raise_it() {
        check(Errno::EMFILE, &["RLIMIT_NOFILE is", "ulimit -n", "making a pipe"]);
        check(Errno::EAGAIN, &["RLIMIT_NPROC is", "pids.max"]);
        check(Errno::ENOMEM, &["memory"]);
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        assert_eq!(format!("{:#}", explain(Error::new(Errno::EIO))), Errno::EIO.to_string());
    }
}
