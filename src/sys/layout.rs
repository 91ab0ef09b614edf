//! Where a process has its memory.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::personality::{self, Persona};

/// Has the calling program begin again at addresses that are the same every time, unless it has them already. Returns if
/// it has, or where that is refused, as containers may: then it goes on where it is.
pub fn fix() {
    let Ok(now) = personality::get() else { return };
    if now.contains(Persona::ADDR_NO_RANDOMIZE) || personality::set(now | Persona::ADDR_NO_RANDOMIZE).is_err() {
        return;
    }
    // Without the flag in force it would begin again for ever.
    if personality::get().is_ok_and(|now| now.contains(Persona::ADDR_NO_RANDOMIZE)) {
        let _ = Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec();
    }
}
