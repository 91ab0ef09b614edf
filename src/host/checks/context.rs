//! Data that a check may read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::host::facts::Facts;
use crate::host::surroundings::Window;
use crate::perf::answer::PerfTrials;
use crate::sys::unavailable::Unavailable;

/// The host that checks read.
#[derive(Debug)]
pub struct HostContext<'s> {
    /// Root of /proc and /sys.
    pub root: &'s Path,
    pub facts: &'s Facts,
    /// The CPU that `run` would pin its participants to.
    pub cpu: usize,
    /// Activity there in a time window in which nothing was measured.
    pub window: &'s Window,
    pub perf_events: &'s PerfTrials,
    pub tools: &'s Tools,
}

/// External programs, each with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    pub perf: Result<ToolSeen, Unavailable>,
    pub go: Result<ToolSeen, Unavailable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSeen {
    pub path: PathBuf,
    pub version: String,
}

impl HostContext<'_> {
    /// Returns a file's content, without white space at its ends.
    ///
    /// # Errors
    /// The reason why it cannot be read, in words.
    pub fn read(&self, path: &str) -> Result<String, String> {
        let text = fs::read(self.root.join(path)).map_err(|error| format!("/{path}: {}", words_of(&error)))?;
        Ok(String::from_utf8_lossy(&text).trim().to_string())
    }

    /// As [`HostContext::read`], of a file that this kernel may not have: then `None`.
    ///
    /// # Errors
    /// As [`HostContext::read`].
    pub fn read_if_there(&self, path: &str) -> Result<Option<String>, String> {
        match fs::read(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self.read(path).map(Some),
        }
    }

    pub fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Returns a field of /proc/self/status.
    ///
    /// # Errors
    /// The file cannot be read, or has no such field.
    pub fn status(&self, field: &str) -> Result<String, String> {
        let status = self.read("proc/self/status")?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_string()).ok_or_else(|| format!("/proc/self/status has no {field}"))
    }
}

/// Returns the system's answer, in the words of the manual pages.
pub fn words_of(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| Errno::from_raw(raw).desc().to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::host::checks::{Check, Found, Severity};
    use crate::perf::answer::Cycles;

    /// Inputs of a check that are not files, each for a test to change.
    #[derive(Debug)]
    pub struct MadeUp {
        pub facts: Facts,
        pub window: Window,
        pub perf_events: PerfTrials,
        pub tools: Tools,
    }

    impl Default for MadeUp {
        /// A host on which all is well.
        fn default() -> MadeUp {
            let seen = |name: &str| ToolSeen { path: format!("/usr/bin/{name}").into(), version: "1.2".to_string() };
            MadeUp {
                facts: Facts::default(),
                window: Window::default(),
                perf_events: PerfTrials {
                    on_cpu: Ok(()),
                    on_thread: Ok(()),
                    in_user_mode: Ok(()),
                    cycles: Cycles::Counting { gigahertz: 3.4 },
                },
                tools: Tools { perf: Ok(seen("perf")), go: Ok(seen("go")) },
            }
        }
    }

    impl MadeUp {
        /// Returns a check's finding on this host with these files; CPU 1 is the pinned one.
        pub(in crate::host::checks) fn look(&self, check: &Check, files: &[(&str, &str)]) -> Found {
            let root = crate::host::made_up_root(files);
            self.look_below(check, root.path())
        }

        pub(in crate::host::checks) fn look_below(&self, check: &Check, root: &Path) -> Found {
            let MadeUp { facts, window, perf_events, tools } = self;
            let context = HostContext { root, facts, cpu: 1, window, perf_events, tools };
            (check.look)(&context).unwrap_or_else(Found::unknown)
        }
    }

    /// Asserts a finding's severity, words in it, and words of its command; an empty `fix` means no command.
    #[track_caller]
    pub(in crate::host::checks) fn expect(found: &Found, severity: Severity, words: &str, fix: &str) {
        assert_eq!(found.severity, severity, "{found:?}");
        assert!(found.what.contains(words), "{words:?} is not in {found:?}");
        match &found.fix {
            Some(command) => assert!(!fix.is_empty() && command.contains(fix), "{fix:?} is not in {found:?}"),
            None => assert_eq!(fix, "", "{found:?}"),
        }
    }

    /// Returns a root in which this file exists and cannot be read: a folder, which answers `EISDIR` to root as well.
    pub fn unreadable(path: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(path)).unwrap();
        root
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_path_and_reason() {
        let root = unreadable("proc/self/status");
        let made_up = MadeUp::default();
        let MadeUp { facts, window, perf_events, tools } = &made_up;
        let context = HostContext { root: root.path(), facts, cpu: 0, window, perf_events, tools };
        assert_eq!(context.read("proc/self/status"), Err("/proc/self/status: Is a directory".to_string()));
        assert_eq!(context.read("proc/none"), Err("/proc/none: No such file or directory".to_string()));
        assert_eq!(context.read_if_there("proc/none"), Ok(None));
        assert!(context.read_if_there("proc/self/status").is_err());
    }
}
