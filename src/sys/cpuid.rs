//! CPUID: identification of the processor, and of a hypervisor.
#![allow(unsafe_code)]

use serde::{Deserialize, Serialize};

/// Identification by CPUID, which no hypervisor's configuration renames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Processor {
    pub family: u32,
    pub model: u32,
    pub stepping: u32,
    /// Measured rate of its time-stamp counter.
    pub tsc_khz: f64,
}

impl Processor {
    /// Largest relative difference of two measurements of one time-stamp counter.
    const TSC_TOLERANCE: f64 = 0.001;

    pub fn is_like(self, other: Processor) -> bool {
        let kind = |each: Processor| (each.family, each.model, each.stepping);
        kind(self) == kind(other) && (self.tsc_khz / other.tsc_khz - 1.0).abs() < Processor::TSC_TOLERANCE
    }
}

/// Returns the hypervisor's signature (`KVMKVMKVM`, `Microsoft Hv`, …), or `None` on bare metal and on processors without CPUID.
///
/// # References
/// "Hypervisor CPUID leaf range", Documentation/virt/kvm/x86/cpuid.rst of the kernel.
#[cfg(target_arch = "x86_64")]
pub fn hypervisor_signature() -> Option<String> {
    use std::arch::x86_64::__cpuid;
    const HYPERVISOR_PRESENT: u32 = 1 << 31;
    // Older compilers call `__cpuid` unsafe, newer ones do not.
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has the CPUID instruction, and leaf 1.
    let features = unsafe { __cpuid(1) };
    if features.ecx & HYPERVISOR_PRESENT == 0 {
        return None;
    }
    #[allow(unused_unsafe)]
    // SAFETY: as above; the hypervisor bit says that this leaf means something.
    let leaf = unsafe { __cpuid(0x4000_0000) };
    let bytes: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].iter().flat_map(|register| register.to_le_bytes()).collect();
    let text: String = bytes.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect();
    Some(text.trim().to_string())
        .filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' '))
}

/// Returns this processor's identification, with the rate of its time-stamp counter; `None` on processors without CPUID.
///
/// # References
/// "CPUID—CPU Identification", leaf 01H, Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2A: where the family is
/// 15 its extension is added, and there, as with family 6, the model has four bits more.
#[cfg(target_arch = "x86_64")]
pub fn processor() -> Option<Processor> {
    use std::arch::x86_64::__cpuid;
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has the CPUID instruction, and leaf 1.
    let signature = unsafe { __cpuid(1) }.eax;
    let bits = |from: u32, count: u32| (signature >> from) & ((1 << count) - 1);
    let base = bits(8, 4);
    let family = if base == 15 { base + bits(20, 8) } else { base };
    let model = if base == 15 || base == 6 { bits(4, 4) | (bits(16, 4) << 4) } else { bits(4, 4) };
    Some(Processor { family, model, stepping: bits(0, 4), tsc_khz: tsc_khz() })
}

/// Returns the rate of the time-stamp counter, measured over a millisecond.
#[cfg(target_arch = "x86_64")]
fn tsc_khz() -> f64 {
    use crate::sys::clock::monotonic_ns;
    const SPAN_NS: u64 = 1_000_000;
    // The counter between two close readings of the clock: an interruption hits one pair, not all.
    let read = || {
        let pairs = (0..5).map(|_| {
            let before_ns = monotonic_ns();
            #[allow(unused_unsafe)]
            // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it to user mode unless a process asks otherwise (PR_SET_TSC).
            let ticks = unsafe { std::arch::x86_64::_rdtsc() };
            let after_ns = monotonic_ns();
            (after_ns - before_ns, u64::midpoint(before_ns, after_ns), ticks)
        });
        pairs.min().unwrap_or_default()
    };
    let (_, began_ns, began) = read();
    while monotonic_ns() < began_ns + SPAN_NS {}
    let (_, ended_ns, ended) = read();
    ended.wrapping_sub(began) as f64 / (ended_ns - began_ns).max(1) as f64 * 1e6
}

#[cfg(not(target_arch = "x86_64"))]
pub fn processor() -> Option<Processor> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
pub fn hypervisor_signature() -> Option<String> {
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_what_the_kernel_says_and_its_counter_keeps_its_rate() {
        let (one, other) = (processor().unwrap(), processor().unwrap());
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let field = |name: &str| {
            let line =
                cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name)).unwrap();
            line.split_once(':').unwrap().1.trim().parse::<u32>().unwrap()
        };
        assert_eq!((one.family, one.model, one.stepping), (field("cpu family"), field("model"), field("stepping")));
        assert!((one.tsc_khz / other.tsc_khz - 1.0).abs() < 0.01, "{one:?}, {other:?}");
    }
}
