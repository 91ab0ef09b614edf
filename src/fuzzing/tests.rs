use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::fuzzing::*;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the corpus of a target, with the golden documents for that of documents.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![here().join("fuzz/corpus").join(target.name)];
    if target.name == "document" {
        folders.push(here().join("tests/golden"));
    }
    let files = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().path())
    });
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_program_is_without_one() {
    let manifest = fs::read_to_string(here().join("fuzz/Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = fs::read_to_string(here().join(format!("fuzz/fuzz_targets/{}.rs", target.name)));
        let call = format!("ctxprof::fuzzing::check({:?}, bytes)", target.name);
        assert!(program.is_ok_and(|text| text.contains(&call)), "{}", target.name);
        assert!(manifest.contains(&format!("name = {:?}\n", target.name)), "{}", target.name);
        assert!(!corpus(target).is_empty(), "{} has no corpus", target.name);
    }
    assert_eq!(fs::read_dir(here().join("fuzz/fuzz_targets")).unwrap().count(), TARGETS.len());
    assert_eq!(fs::read_dir(here().join("fuzz/corpus")).unwrap().count(), TARGETS.len());
}

#[test]
fn every_corpus_holds_what_its_target_promises() {
    for target in TARGETS {
        for (path, bytes) in corpus(target) {
            // Printed before: a panic in the check cannot name the file.
            eprintln!("{}: {}", target.name, path.display());
            (target.check)(&bytes);
        }
    }
}

/// The same bytes, some of them replaced, and cut off at a length.
fn damaged(bytes: &[u8], replaced: &[(usize, u8)], length: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        for &(at, byte) in replaced {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
    }
    bytes.truncate(length);
    bytes
}

/// Most inputs are text of numbers and few signs.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(b"0123456789eE+-.,:;[]{}()\"/ \n\t".to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_break_a_promise(bytes in prop::collection::vec(byte(), 0..200)) {
        for target in TARGETS {
            (target.check)(&bytes);
        }
    }

    #[test]
    fn no_damage_to_a_corpus_breaks_a_promise(
        which in any::<prop::sample::Index>(),
        replaced in prop::collection::vec((any::<usize>(), byte()), 1..6),
        length in prop_oneof![3 => Just(usize::MAX), 1 => any::<u16>().prop_map(usize::from)],
    ) {
        for target in TARGETS {
            let corpus = corpus(target);
            let (_, bytes) = &corpus[which.index(corpus.len())];
            (target.check)(&damaged(bytes, &replaced, length));
        }
    }
}
