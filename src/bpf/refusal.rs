//! Reasons why a program cannot be traced on this host, each a sentence.

use std::fs;
use std::path::Path;

use crate::bpf::btf::KernelTypes;

/// File with the kernel's types, below the root.
pub const KERNEL_TYPES: &str = "sys/kernel/btf/vmlinux";

/// Capabilities for BPF programs on tracepoints: bits of capability sets, capabilities(7).
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// Reason why tracing is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel does not publish its types.
    NoTypes(String),
    /// These capabilities are missing.
    NoRights(Vec<&'static str>),
    /// Capabilities hold in a user namespace only, and do not count for BPF.
    InUserNamespace,
    /// The kernel is built without this option.
    NotInKernel(&'static str),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NoTypes(why) => {
                write!(
                    out,
                    "tracing takes the kernel's BTF: /{KERNEL_TYPES}: {why} (kernels with CONFIG_DEBUG_INFO_BTF have it)"
                )
            }
            Refusal::NoRights(missing) => {
                write!(out, "tracing takes {}, which this process lacks: run it with sudo", missing.join(" and "))
            }
            Refusal::InUserNamespace => {
                write!(
                    out,
                    "tracing takes CAP_BPF and CAP_PERFMON of the host, and this process has those of a user namespace only"
                )
            }
            Refusal::NotInKernel(what) => write!(out, "tracing takes a kernel with {what}, and this one is without"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Returns the bytes of the kernel's types, below a root.
///
/// # Errors
/// [`Refusal::NoTypes`].
pub fn kernel_types(root: &Path) -> Result<Vec<u8>, Refusal> {
    fs::read(root.join(KERNEL_TYPES)).map_err(|error| {
        Refusal::NoTypes(
            error
                .raw_os_error()
                .map_or_else(|| error.to_string(), |raw| nix::errno::Errno::from_raw(raw).desc().to_string()),
        )
    })
}

/// Checks the capabilities that loading and attaching need, by /proc/self below a root.
///
/// # Errors
/// [`Refusal::NoRights`], [`Refusal::InUserNamespace`].
pub fn rights(root: &Path) -> Result<(), Refusal> {
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let status = read("proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()) else {
        // Unknown: the kernel will decide.
        return Ok(());
    };
    let has = |capability: u64| effective & (capability | CAP_SYS_ADMIN) != 0;
    let missing: Vec<&str> = [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)]
        .into_iter()
        .filter(|(_, bit)| !has(*bit))
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::NoRights(missing));
    }
    let map = read("proc/self/uid_map");
    let words: Vec<&str> = map.split_whitespace().collect();
    match words.as_slice() {
        [] | ["0", "0", "4294967295"] => Ok(()),
        _ => Err(Refusal::InUserNamespace),
    }
}

/// Checks that the kernel has what the object needs.
///
/// # Errors
/// [`Refusal::NotInKernel`].
pub fn kernel(types: &KernelTypes<'_>) -> Result<(), Refusal> {
    let needed: [(&[&str], &str); 4] = [
        (&["sched_info", "run_delay"], "CONFIG_SCHED_INFO"),
        (&["se", "cfs_rq"], "CONFIG_FAIR_GROUP_SCHED"),
        (&["__state"], "task_struct.__state (5.14)"),
        (&["nvcsw"], "task_struct.nvcsw"),
    ];
    for (path, what) in needed {
        if types.member("task_struct", path).is_none() {
            return Err(Refusal::NotInKernel(what));
        }
    }
    match types.parameters("btf_trace_sched_switch") {
        Some(4..) => Ok(()),
        _ => Err(Refusal::NotInKernel("the tracepoint sched_switch")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::made_up_root;

    #[test]
    fn a_kernel_that_does_not_tell_its_types_is_named_with_what_would() {
        let root = made_up_root(&[]);
        let refusal = kernel_types(root.path()).unwrap_err().to_string();
        assert!(refusal.contains("/sys/kernel/btf/vmlinux: No such file") && refusal.contains("CONFIG_DEBUG_INFO_BTF"));
    }

    #[test]
    fn rights_that_are_missing_are_named() {
        let check = |set: &str, map: &str, expected: Result<(), Refusal>| {
            let status = format!("Name:\tx\nCapEff:\t{set}\n");
            let root = made_up_root(&[("proc/self/status", &status), ("proc/self/uid_map", map)]);
            assert_eq!(rights(root.path()), expected, "{set} {map}");
        };
        let whole = "         0          0 4294967295\n";
        check("000001ffffffffff", whole, Ok(()));
        check("000000c000000000", whole, Ok(()));
        check("0000000000200000", whole, Ok(()));
        check("0000008000000000", whole, Err(Refusal::NoRights(vec!["CAP_PERFMON"])));
        check("0000004000000000", whole, Err(Refusal::NoRights(vec!["CAP_BPF"])));
        check("0000000000000000", whole, Err(Refusal::NoRights(vec!["CAP_BPF", "CAP_PERFMON"])));
        check("000001ffffffffff", "0 1000 1\n", Err(Refusal::InUserNamespace));
        assert!(Refusal::NoRights(vec!["CAP_BPF"]).to_string().contains("CAP_BPF"));
    }
}
