//! A thread's indirect branch speculation, prctl(2): with it off, the kernel flushes the branch predictor at a switch to or from
//! another process (an indirect branch prediction barrier, IBPB), which switches between plain processes do not need.
//!
//! # References
//! "Speculation Control", Documentation/userspace-api/spec_ctrl.rst of the kernel; PR_SET_SPECULATION_CTRL in prctl(2).

#![allow(unsafe_code)]

use std::io;

use anyhow::{Context, Result, bail};

/// `PR_GET_SPECULATION_CTRL` and `PR_SET_SPECULATION_CTRL` of linux/prctl.h.
const GET: libc::c_int = 52;
const SET: libc::c_int = 53;
/// `PR_SPEC_INDIRECT_BRANCH`.
const INDIRECT_BRANCH: libc::c_ulong = 1;
/// `PR_SPEC_PRCTL`: a thread may choose.
const MAY_CHOOSE: i32 = 1 << 0;
/// `PR_SPEC_ENABLE` and `PR_SPEC_DISABLE`: speculation is on, or off.
const ON: i32 = 1 << 1;
const OFF: i32 = 1 << 2;
/// `PR_SPEC_FORCE_DISABLE`: off for good.
const OFF_FOR_GOOD: i32 = 1 << 3;

/// Turns the calling thread's indirect branch speculation off until dropped. A process forked meanwhile has it off, too.
#[derive(Debug)]
pub struct Barriers {
    was_on: bool,
}

/// Checks that a thread may turn its indirect branch speculation off on this host.
///
/// # Errors
/// The kernel or the processor has no such control, or boot options decide for all processes; with the reason.
pub fn may_choose() -> Result<()> {
    let state = state().context("prctl(PR_GET_SPECULATION_CTRL) for indirect branches")?;
    if state & MAY_CHOOSE != 0 {
        return Ok(());
    }
    match state {
        0 => {
            bail!("prctl(PR_GET_SPECULATION_CTRL) answered that this processor is not affected, so nothing is flushed")
        }
        state if state & (OFF | OFF_FOR_GOOD) != 0 => {
            bail!(
                "prctl(PR_GET_SPECULATION_CTRL) answered that every process has it off (spectre_v2_user=on), so every switch flushes"
            )
        }
        state => bail!(
            "prctl(PR_GET_SPECULATION_CTRL) answered {state:#x}: a process may not choose, as the kernel was started without, or its processor or hypervisor offers no barrier"
        ),
    }
}

impl Barriers {
    /// Turns it off.
    ///
    /// # Errors
    /// As [`may_choose`]; or the kernel refuses.
    pub fn on() -> Result<Barriers> {
        may_choose()?;
        let was_on = state().is_ok_and(|state| state & ON != 0);
        set(OFF).context("prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE)")?;
        Ok(Barriers { was_on })
    }
}

impl Drop for Barriers {
    fn drop(&mut self) {
        if self.was_on {
            let _ = set(ON);
        }
    }
}

fn state() -> io::Result<i32> {
    let unused: libc::c_ulong = 0;
    // SAFETY: the call takes numbers only, and changes nothing.
    let answer = unsafe { libc::prctl(GET, INDIRECT_BRANCH, unused, unused, unused) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn set(state: i32) -> io::Result<()> {
    let unused: libc::c_ulong = 0;
    let state = state as libc::c_ulong;
    // SAFETY: the call takes numbers only, and changes how the calling thread is switched, not its memory.
    let answer = unsafe { libc::prctl(SET, INDIRECT_BRANCH, state, unused, unused) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_off_while_held_and_as_before_afterwards_or_the_reason_is_told() {
        let before = state().ok();
        match Barriers::on() {
            Ok(barriers) => {
                assert_ne!(state().unwrap() & OFF, 0);
                drop(barriers);
            }
            Err(error) => assert!(format!("{error:#}").contains("PECULATION_CTRL"), "{error:#}"),
        }
        assert_eq!(state().ok(), before);
    }
}
