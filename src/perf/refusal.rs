//! Refusals of `perf_event_open`: their meaning, and remedies.

use std::io;

use nix::errno::Errno;

use crate::perf::counting::{AbsentCounter, CountingMode};
use crate::sys::sysctl;

/// Reason why something is not counted in a pass of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The chosen way of counting does not need it.
    NotNeeded,
    /// This system does not offer it.
    Absent(AbsentCounter),
}

impl Refused {
    pub fn absent(name: &str, reason: impl Into<String>) -> Refused {
        Refused::Absent(AbsentCounter { name: name.to_string(), reason: reason.into() })
    }
}

/// Returns one sentence: the system's answer, the reason, and a remedy.
pub(super) fn explain(mode: CountingMode, error: &io::Error) -> String {
    let Some(raw) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_raw(raw);
    let paranoid = sysctl::read("kernel.perf_event_paranoid");
    format!("{}: {}", answer(error), reason(mode, errno, paranoid.as_deref()))
}

/// Returns the system's answer alone.
pub(super) fn answer(error: &io::Error) -> String {
    let Some(raw) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_raw(raw);
    format!("perf_event_open answered {errno:?} ({})", errno.desc())
}

/// Returns the same for a ring buffer.
pub(super) fn explain_buffer(bytes: usize, error: &io::Error) -> String {
    let Some(raw) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_raw(raw);
    let reason = match errno {
        Errno::EPERM => {
            let limit = sysctl::read("kernel.perf_event_mlock_kb")
                .map_or("cannot be read".to_string(), |limit| format!("is {limit} for each CPU"));
            format!(
                "this user has locked too much memory already; kernel.perf_event_mlock_kb {limit}; run with sudo, or raise it or `ulimit -l`"
            )
        }
        Errno::ENOMEM => "the system has no memory for it".to_string(),
        _ => "see perf_event_open(2)".to_string(),
    };
    format!("a ring buffer of {} KiB: mmap answered {errno:?} ({}): {reason}", bytes / 1024, errno.desc())
}

fn reason(mode: CountingMode, errno: Errno, paranoid: Option<&str>) -> String {
    match errno {
        Errno::EACCES | Errno::EPERM => {
            let level = paranoid.map_or("kernel.perf_event_paranoid cannot be read".to_string(), |level| {
                format!("kernel.perf_event_paranoid is {level}")
            });
            let needed = if mode == CountingMode::Cpu { 0 } else { 1 };
            let denied = if errno == Errno::EPERM { ", or a container, seccomp or lockdown forbids it" } else { "" };
            format!("{level}{denied}; run with sudo, or allow it: sudo sysctl kernel.perf_event_paranoid={needed}")
        }
        Errno::ENOSYS => "this kernel is built without perf events, or a seccomp filter hides them".to_string(),
        Errno::EMFILE => "this process may open no more files; raise the limit: ulimit -n 1024".to_string(),
        Errno::ENFILE => "the system may open no more files; see fs.file-max".to_string(),
        Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP => {
            "this machine has no such event (a virtual machine often has no PMU)".to_string()
        }
        Errno::EBUSY => "another user holds this PMU for itself".to_string(),
        Errno::EINVAL => "this kernel does not take the event in this form".to_string(),
        _ => "see perf_event_open(2)".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: Errno, words: &[&str]) {
        let text = explain(CountingMode::Cpu, &io::Error::from(errno));
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    }

    #[test]
    fn every_refusal_names_its_error_and_a_remedy_or_reason() {
        check(Errno::EACCES, &["EACCES", "perf_event_paranoid", "sudo"]);
        check(Errno::EPERM, &["EPERM", "seccomp", "sudo"]);
        check(Errno::ENOSYS, &["ENOSYS", "seccomp"]);
        check(Errno::EMFILE, &["EMFILE", "ulimit -n"]);
        check(Errno::ENOENT, &["ENOENT", "PMU"]);
        check(Errno::EBUSY, &["EBUSY"]);
        check(Errno::EINVAL, &["EINVAL"]);
        check(Errno::E2BIG, &["E2BIG", "perf_event_open(2)"]);
    }

    #[test]
    fn a_refused_buffer_names_its_size_its_error_and_the_limit() {
        let text = |errno| explain_buffer(256 * 1024, &io::Error::from(errno));
        for word in ["256 KiB", "EPERM", "perf_event_mlock_kb", "ulimit -l"] {
            assert!(text(Errno::EPERM).contains(word), "{}", text(Errno::EPERM));
        }
        assert!(text(Errno::ENOMEM).contains("no memory"));
        assert!(text(Errno::EBADF).contains("perf_event_open(2)"));
    }

    #[test]
    fn a_hidden_paranoid_level_is_not_taken_for_a_default() {
        assert!(reason(CountingMode::Cpu, Errno::EACCES, None).contains("cannot be read"));
        assert!(reason(CountingMode::Thread, Errno::EACCES, Some("2")).contains("paranoid is 2"));
    }
}
