//! Address space layout randomization.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::personality;
use nix::sys::personality::Persona;

/// Returns true if the kernel randomizes the address space of programs that this one starts.
pub fn is_randomized() -> bool {
    let machine = fs::read_to_string("/proc/sys/kernel/randomize_va_space").is_ok_and(|mode| mode.trim() == "0");
    !machine && personality::get().is_ok_and(|now| !now.contains(Persona::ADDR_NO_RANDOMIZE))
}

/// Returns true if [`fix`] is allowed on this host; in containers it mostly is not.
pub fn can_fix() -> bool {
    let Ok(now) = personality::get() else { return false };
    // Affects only programs started before it is undone.
    let allowed = personality::set(now | Persona::ADDR_NO_RANDOMIZE).is_ok();
    allowed && personality::set(now).is_ok()
}

/// Restarts the calling program at addresses that are the same every time, unless it has them already. Returns if it has, or
/// where that is refused, as in containers.
pub fn fix() {
    let Ok(now) = personality::get() else { return };
    if now.contains(Persona::ADDR_NO_RANDOMIZE) || personality::set(now | Persona::ADDR_NO_RANDOMIZE).is_err() {
        return;
    }
    // Without the flag in effect it would restart for ever.
    if personality::get().is_ok_and(|now| now.contains(Persona::ADDR_NO_RANDOMIZE)) {
        let _ = Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_changes_nothing() {
        let before = personality::get().unwrap();
        can_fix();
        assert_eq!(personality::get().unwrap(), before);
    }
}
