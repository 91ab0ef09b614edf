//! This process's limit on open files, and raising it.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Returns the most files that [`allow_files`] can allow: the hard limit, raised to the kernel's own where permitted.
pub fn most_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // Permission is found out by trying, for this process alone: a capability can be present and not count.
    let kernel = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let raised = kernel.filter(|&kernel| kernel > hard && setrlimit(Resource::RLIMIT_NOFILE, soft, kernel).is_ok());
    raised.unwrap_or(hard)
}

/// Raises the soft limit so that `files` more can be opened, as far as permitted; beyond, opening them fails.
pub fn allow_files(files: u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let open = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
    let needed = open.saturating_add(files).saturating_add(SPARE);
    if needed > soft && setrlimit(Resource::RLIMIT_NOFILE, needed, needed.max(hard)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
}

/// Left for other files.
const SPARE: u64 = 256;
