//! Signals by number: real-time ones have no names of their own.

use std::fmt;

use nix::sys::signal::Signal;

/// The number of any signal of the kernel. Written as `SIGTERM`, or as `signal 36 (SIGRTMIN+2)`.
///
/// # References
/// signal(7): the C library defines `SIGRTMIN`, and reserves the first few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalNumber(pub i32);

impl From<Signal> for SignalNumber {
    fn from(signal: Signal) -> SignalNumber {
        SignalNumber(signal as i32)
    }
}

impl fmt::Display for SignalNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if let Ok(signal) = Signal::try_from(number) {
            return write!(out, "{signal}");
        }
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        match number {
            _ if number == first => write!(out, "signal {number} (SIGRTMIN)"),
            _ if number == last => write!(out, "signal {number} (SIGRTMAX)"),
            _ if (first..last).contains(&number) => write!(out, "signal {number} (SIGRTMIN+{})", number - first),
            _ => write!(out, "signal {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_where_they_have_a_name_and_numbered_elsewhere() {
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        for (number, written) in [
            (15, "SIGTERM".to_string()),
            (first, format!("signal {first} (SIGRTMIN)")),
            (first + 2, format!("signal {} (SIGRTMIN+2)", first + 2)),
            (last, format!("signal {last} (SIGRTMAX)")),
            (first - 1, format!("signal {}", first - 1)),
            (0, "signal 0".to_string()),
            (1000, "signal 1000".to_string()),
        ] {
            assert_eq!(SignalNumber(number).to_string(), written);
        }
        assert_eq!(SignalNumber::from(Signal::SIGKILL), SignalNumber(9));
    }
}
