//! What the processor says about a hypervisor above it.
#![allow(unsafe_code)]

/// The hypervisor's signature (`KVMKVMKVM`, `Microsoft Hv`, …), or `None` on bare metal and where a processor cannot be asked.
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

#[cfg(not(target_arch = "x86_64"))]
pub fn hypervisor_signature() -> Option<String> {
    None
}
