//! Checks for a hypervisor below this kernel and a container around this process.

use std::fs;
use std::path::Path;

use crate::host::checks::context::{HostContext, words_of};
use crate::host::checks::{Check, Found, Verdict};

pub(super) const VIRTUAL: Check = Check {
    id: "virtual-machine",
    why: "timers, wake-ups of other CPUs and idle go through the hypervisor: costs are this guest's, and across CPUs mostly the hypervisor's",
    source: "CPUID, /sys/class/dmi/id/sys_vendor, /sys/firmware/devicetree",
    look: virtual_machine,
    feeds: None,
};

fn virtual_machine(context: &HostContext<'_>) -> Verdict {
    let facts = context.facts;
    match &facts.hypervisor {
        Some(name) if name.contains("TCG") => {
            Ok(Found::serious(format!("{name} emulates the processor: no time here is a processor's")))
        }
        Some(name) => Ok(Found::info(name.clone())),
        // CPUID would name a hypervisor.
        None if facts.architecture == "x86_64" => Ok(Found::ok("none: CPUID names no hypervisor")),
        None => {
            Err(format!("neither firmware nor device tree names a hypervisor, and {} has no CPUID", facts.architecture))
        }
    }
}

pub(super) const CONTAINER: Check = Check {
    id: "container",
    why: "a container usually brings a seccomp filter, deeper cgroups and a quota, and hides parts of /proc and /sys: what cannot be seen is not known",
    source: "/proc/self/ns, /run/systemd/container, /run/.containerenv, /.dockerenv, /proc/self/cgroup",
    look: container,
    feeds: None,
};

/// Names that container managers give their cgroups.
const MANAGERS: [(&str, &str); 6] = [
    ("docker", "Docker"),
    ("libpod", "Podman"),
    ("kubepods", "Kubernetes"),
    ("lxc", "LXC"),
    ("machine.slice", "systemd-nspawn"),
    ("containerd", "containerd"),
];

/// The numbers of the namespaces that the kernel itself starts with.
///
/// # References
/// `PROC_PID_INIT_INO` and `PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h of the kernel.
const FIRST_NAMESPACES: [(&str, &str); 2] = [("pid", "pid:[4026531836]"), ("cgroup", "cgroup:[4026531835]")];

fn container(context: &HostContext<'_>) -> Verdict {
    let mark = mark(context);
    // Marks are files, and remain in an image that boots as a machine of its own.
    let own: Vec<&str> = own_namespaces(context)?;
    Ok(match (own.as_slice(), mark) {
        ([], None) => Found::ok("none: its PID and cgroup namespaces are the machine's"),
        ([], Some(mark)) => {
            Found::ok(format!("none, though there is {mark}: its PID and cgroup namespaces are the machine's"))
        }
        (own, Some(mark)) => Found::info(format!("{mark}; namespaces of its own: {}", own.join(", "))),
        (own, None) => Found::info(format!("of an unknown sort; namespaces of its own: {}", own.join(", "))),
    })
}

/// Returns the namespaces that are not the machine's.
fn own_namespaces(context: &HostContext<'_>) -> Result<Vec<&'static str>, String> {
    let mut own = Vec::new();
    for (name, first) in FIRST_NAMESPACES {
        let path = format!("proc/self/ns/{name}");
        let target =
            fs::read_link(context.root.join(&path)).map_err(|error| format!("/{path}: {}", words_of(&error)))?;
        if target != Path::new(first) {
            own.push(name);
        }
    }
    Ok(own)
}

/// Returns the sign of a container manager.
fn mark(context: &HostContext<'_>) -> Option<String> {
    if let Ok(manager) = context.read("run/systemd/container") {
        return Some(format!("{manager} (/run/systemd/container)"));
    }
    let files = [("run/.containerenv", "Podman"), (".dockerenv", "Docker")];
    if let Some((file, name)) = files.iter().find(|(file, _)| context.exists(file)) {
        return Some(format!("{name}'s mark (/{file})"));
    }
    let cgroups = context.read("proc/self/cgroup").ok()?;
    let (_, name) = MANAGERS.iter().find(|(word, _)| cgroups.contains(word))?;
    Some(format!("{name} (by its cgroup's name)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Serious, Unknown};
    use crate::host::checks::context::tests::{MadeUp, expect};
    use crate::host::made_up_root;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_guest_an_emulator_and_bare_metal_are_told_apart() {
        let look = |hypervisor: Option<&str>, architecture: &str| {
            let mut made_up = MadeUp::default();
            made_up.facts.hypervisor = hypervisor.map(String::from);
            made_up.facts.architecture = architecture.to_string();
            made_up.look(&VIRTUAL, &[])
        };
        expect(&look(Some("KVM"), "x86_64"), Info, "KVM", "");
        expect(&look(Some("QEMU TCG"), "x86_64"), Serious, "emulates", "");
        expect(&look(None, "x86_64"), Fine, "no hypervisor", "");
        expect(&look(None, "aarch64"), Unknown, "aarch64 has no CPUID", "");
    }

    /// A tree with these marks, and namespaces of this process that are the machine's or its own.
    fn look(files: &[(&str, &str)], own: bool) -> Found {
        let root = made_up_root(files);
        let folder = root.path().join("proc/self/ns");
        fs::create_dir_all(&folder).unwrap();
        symlink(if own { "pid:[4026532001]" } else { "pid:[4026531836]" }, folder.join("pid")).unwrap();
        symlink("cgroup:[4026531835]", folder.join("cgroup")).unwrap();
        MadeUp::default().look_below(&CONTAINER, root.path())
    }

    #[test]
    fn containers_are_known_by_their_namespaces_and_named_by_their_marks() {
        expect(&look(&[], false), Fine, "none: ", "");
        expect(&look(&[(".dockerenv", "")], false), Fine, "none, though there is Docker's mark (/.dockerenv)", "");
        expect(&look(&[(".dockerenv", "")], true), Info, "Docker's mark (/.dockerenv); namespaces of its own: pid", "");
        expect(&look(&[("run/.containerenv", "")], true), Info, "Podman", "");
        expect(&look(&[("run/systemd/container", "lxc\n")], true), Info, "lxc (/run/systemd/container)", "");
        expect(&look(&[("proc/self/cgroup", "0::/kubepods/pod1\n")], true), Info, "Kubernetes", "");
        expect(&look(&[], true), Info, "of an unknown sort", "");
        expect(&MadeUp::default().look(&CONTAINER, &[]), Unknown, "/proc/self/ns/pid", "");
    }
}
