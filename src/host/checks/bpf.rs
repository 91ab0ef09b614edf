//! Checks of what `ctxprof trace` needs: kernel types and capabilities.

use std::fs;

use crate::bpf::btf::KernelTypes;
use crate::bpf::refusal::{self, KERNEL_TYPES, Refusal};
use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};

pub(super) const BTF: Check = Check {
    id: "btf",
    why: "`ctxprof trace` fits its BPF object to the kernel by the types that the kernel tells",
    source: "/sys/kernel/btf/vmlinux",
    look: btf,
    feeds: None,
};

fn btf(context: &HostContext<'_>) -> Verdict {
    if !context.exists(KERNEL_TYPES) {
        return Ok(Found::info(format!("no /{KERNEL_TYPES}: this kernel is built without CONFIG_DEBUG_INFO_BTF")));
    }
    let path = context.root.join(KERNEL_TYPES);
    let bytes = fs::read(&path).map_err(|error| format!("/{KERNEL_TYPES}: {error}"))?;
    let types = KernelTypes::read(&bytes).map_err(|error| format!("/{KERNEL_TYPES}: {error:#}"))?;
    Ok(match refusal::kernel(&types) {
        Ok(()) => Found::ok("the kernel tells its types, and has what tracing takes"),
        Err(refused) => Found::info(refused.to_string()),
    })
}

pub(super) const RIGHTS: Check = Check {
    id: "bpf-rights",
    why: "`ctxprof trace` attaches BPF programs to the scheduler",
    source: "/proc/self/status, /proc/self/uid_map",
    look: rights,
    feeds: None,
};

fn rights(context: &HostContext<'_>) -> Verdict {
    context.status("CapEff")?;
    Ok(match refusal::rights(context.root) {
        Ok(()) => Found::ok("CAP_BPF and CAP_PERFMON"),
        Err(Refusal::NoRights(missing)) => {
            Found::info(format!("this process lacks {}", missing.join(" and "))).fix("sudo ctxprof trace -- CMD")
        }
        Err(refused) => Found::info(refused.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown};
    use crate::host::checks::context::tests::{MadeUp, expect};

    #[test]
    fn a_kernel_without_types_or_with_others_is_named() {
        expect(&MadeUp::default().look(&BTF, &[]), Info, "CONFIG_DEBUG_INFO_BTF", "");
        expect(&MadeUp::default().look(&BTF, &[(KERNEL_TYPES, "x")]), Unknown, "no BTF", "");
    }

    #[test]
    fn rights_are_there_or_named() {
        let look = |set: &str| {
            let status = format!("CapEff:\t{set}\n");
            MadeUp::default().look(&RIGHTS, &[("proc/self/status", &status)])
        };
        expect(&look("000000c000000000"), Fine, "CAP_BPF and CAP_PERFMON", "");
        expect(&look("0000008000000000"), Info, "lacks CAP_PERFMON", "sudo ctxprof trace");
        expect(&MadeUp::default().look(&RIGHTS, &[]), Unknown, "/proc/self/status", "");
    }
}
