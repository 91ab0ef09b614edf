//! The object, built by `scripts/build-bpf` from the sources in this folder.

use aya::include_bytes_aligned;

/// A BPF object in ELF, for any kernel with BTF, of x86-64 and arm64.
pub static OBJECT: &[u8] = include_bytes_aligned!("switches.bpf.o");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use object::{Object, ObjectSection};

    use super::*;

    /// Sources in the script's order.
    const SOURCES: [&str; 4] = ["helpers.h", "kernel.h", "layout.h", "switches.bpf.c"];

    fn section(name: &str) -> String {
        let file = object::File::parse(OBJECT).unwrap();
        let section = file.section_by_name(name).unwrap_or_else(|| panic!("no section {name}"));
        String::from_utf8(section.data().unwrap().to_vec()).unwrap().trim().to_string()
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_object_was_built_from_these_sources() {
        let read = |name: &&str| fs::read(root().join("src/bpf").join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let all = folder.path().join("all");
        fs::write(&all, SOURCES.iter().map(read).collect::<Vec<_>>().concat()).unwrap();
        let sum = Command::new("sha256sum").arg(&all).output().unwrap().stdout;
        let sum = String::from_utf8(sum).unwrap();
        let sum = sum.split_whitespace().next().unwrap();
        assert_eq!(section("ctxprof.sources"), sum, "please run scripts/build-bpf");
    }

    #[test]
    fn the_compiler_that_built_the_object_builds_it_again_to_the_byte() {
        let compiler = section("ctxprof.compiler");
        assert!(compiler.contains("clang"), "{compiler}");
        let here = Command::new("clang").arg("--version").output();
        let here = here.map(|output| String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_string));
        if here.ok().flatten().as_ref() != Some(&compiler) {
            crate::machine::skipped("the compiler of the BPF object", &compiler);
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("switches.bpf.o");
        let script = root().join("scripts/build-bpf");
        let done = Command::new(script).arg("--output").arg(&built).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        assert!(fs::read(&built).unwrap() == OBJECT, "the two differ");
    }

    #[test]
    fn the_object_may_call_what_only_gpl_compatible_programs_may() {
        assert_eq!(section("license").trim_end_matches('\0'), "Dual MIT/GPL");
        for source in SOURCES {
            let text = fs::read_to_string(root().join("src/bpf").join(source)).unwrap();
            assert!(text.contains("SPDX-License-Identifier: MIT OR GPL-2.0-only"), "{source}");
        }
    }
}
