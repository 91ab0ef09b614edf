//! Limits that a process hits, by name, value and remedy.

use std::path::Path;

use anyhow::{Error, anyhow};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use crate::host::probe;
use crate::sys::ownership;
use crate::sys::policy::Policy;

/// Returns the same error, with the limit behind it if there is one.
pub fn explain(error: Error) -> Error {
    match remedy(&error) {
        Some(remedy) => error.context(remedy),
        None => error,
    }
}

/// Returns the reason why a scheduling policy or nice value is refused, and what would help.
pub fn explain_policy(errno: Errno, policy: Option<Policy>, nice: Option<i32>) -> Error {
    let asked =
        policy.map(|policy| format!("--policy {policy}")).into_iter().chain(nice.map(|nice| format!("--nice {nice}")));
    let asked = asked.collect::<Vec<_>>().join(" ");
    let quota = realtime_quota_of_group(Path::new("/"));
    anyhow!("{asked} is refused ({errno:?}): {}", policy_reason(errno, policy, ownership::is_machines_root(), quota))
}

fn policy_reason(errno: Errno, policy: Option<Policy>, is_root: bool, quota_us: Option<i64>) -> String {
    let realtime = policy.is_some_and(Policy::is_realtime);
    let soft = |resource| getrlimit(resource).map_or("unknown".to_string(), |(soft, _)| soft.to_string());
    match errno {
        Errno::EPERM if realtime && quota_us == Some(0) => {
            "this kernel groups real-time threads, and cpu.rt_runtime_us of this process's cgroup is 0: give the group time (echo 950000 > …/cpu.rt_runtime_us, its parents first), or run in the root cgroup".to_string()
        }
        Errno::EPERM if realtime && is_root => {
            "a container or a missing CAP_SYS_NICE forbids it, or the cgroup has no real-time quota (cpu.rt_runtime_us)".to_string()
        }
        Errno::EPERM if realtime => {
            format!("it takes root, CAP_SYS_NICE, or an RLIMIT_RTPRIO of its priority (it is {})", soft(Resource::RLIMIT_RTPRIO))
        }
        Errno::EPERM | Errno::EACCES => {
            format!("it takes root, CAP_SYS_NICE, or an RLIMIT_NICE that allows it (it is {})", soft(Resource::RLIMIT_NICE))
        }
        _ => "see sched(7)".to_string(),
    }
}

/// `cpu.rt_runtime_us` of this process's cgroup, where the kernel groups real-time threads (version 1 only).
fn realtime_quota_of_group(root: &Path) -> Option<i64> {
    let stat = probe::cgroup_cpu_stat(root)?;
    std::fs::read_to_string(stat.with_file_name("cpu.rt_runtime_us")).ok()?.trim().parse().ok()
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
    fn a_refused_policy_names_the_cause() {
        let fifo = Some(Policy::Fifo(50));
        for (policy, is_root, quota_us, words) in [
            (fifo, true, Some(0), "cpu.rt_runtime_us of this process's cgroup is 0"),
            (fifo, true, Some(950_000), "CAP_SYS_NICE"),
            (fifo, false, None, "RLIMIT_RTPRIO"),
            (None, false, None, "RLIMIT_NICE"),
        ] {
            let reason = policy_reason(Errno::EPERM, policy, is_root, quota_us);
            assert!(reason.contains(words), "{reason}");
        }
        let error = explain_policy(Errno::EPERM, fifo, Some(-5)).to_string();
        assert!(error.starts_with("--policy fifo:50 --nice -5 is refused (EPERM)"), "{error}");
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        assert_eq!(format!("{:#}", explain(Error::new(Errno::EIO))), Errno::EIO.to_string());
    }
}
