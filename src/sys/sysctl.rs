//! The kernel's settings (sysctl).

use std::fs;
use std::path::Path;

/// Returns a setting under /proc/sys by its dotted name, trimmed; `None` where it is absent or hidden.
pub fn read(name: &str) -> Option<String> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    Some(fs::read_to_string(path).ok()?.trim().to_string())
}
