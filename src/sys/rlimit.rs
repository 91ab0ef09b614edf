//! How many files this process may have open, and raising that.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many files [`allow_files`] can bring about: the hard limit, which is raised to the kernel's own where one may.
pub fn most_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // That one may is found out by doing it, for this process alone: a capability can be there and not count.
    let kernel = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let raised = kernel.filter(|&kernel| kernel > hard && setrlimit(Resource::RLIMIT_NOFILE, soft, kernel).is_ok());
    raised.unwrap_or(hard)
}

/// Raises the soft limit so that `files` more can be opened, as far as that is allowed; what is not, opening them says.
pub fn allow_files(files: u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let open = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
    let needed = open.saturating_add(files).saturating_add(SPARE);
    if needed > soft && setrlimit(Resource::RLIMIT_NOFILE, needed, needed.max(hard)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
}

/// For what is opened beside them.
const SPARE: u64 = 256;
