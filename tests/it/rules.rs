//! The rules of the house, checked on the source itself: the rooms that each room may use, no circles between the files of a folder,
//! and the places of `unsafe` and output. Tests in the source are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files_below;

/// Each room, lowest first, with the rooms that it may use. An unused entry fails as well.
pub const ROOMS: &[(&str, &[&str])] = &[
    ("unit", &[]),
    ("text", &[]),
    ("estimate", &[]),
    ("sys", &[]),
    ("sched", &[]),
    ("output", &["estimate", "sched", "unit"]),
    ("store", &["sys"]),
    ("tool", &["sys"]),
    ("bpf", &["sys"]),
    ("perf", &["sched", "sys"]),
    ("host", &["bpf", "perf", "sys", "unit"]),
    ("count", &["perf", "sys"]),
    ("workload", &["sys", "tool"]),
    ("document", &["host", "output", "text", "unit"]),
    ("doctor", &["document", "host", "output"]),
    ("glossary", &["document", "host", "output", "perf", "workload"]),
    (
        "bench",
        &[
            "document", "estimate", "host", "output", "perf", "sched", "store", "sys", "text", "tool", "unit",
            "workload",
        ],
    ),
    ("footprint", &["document", "estimate", "host", "output", "sys", "tool", "unit", "workload"]),
    ("program", &["bench", "bpf", "document", "estimate", "output", "perf", "sched", "sys", "unit"]),
    ("change", &["bench", "document", "estimate", "host", "output", "unit", "workload"]),
    ("cli", &["bench", "change", "footprint", "glossary", "host", "output", "perf", "sys", "text", "workload"]),
    (
        "command",
        &[
            "bench",
            "bpf",
            "change",
            "cli",
            "doctor",
            "document",
            "footprint",
            "glossary",
            "host",
            "output",
            "perf",
            "program",
            "store",
            "sys",
            "text",
            "tool",
            "unit",
            "workload",
        ],
    ),
    (
        "fuzzing",
        &[
            "bench",
            "bpf",
            "change",
            "command",
            "footprint",
            "host",
            "output",
            "perf",
            "program",
            "sched",
            "sys",
            "tool",
            "workload",
        ],
    ),
];

/// A file of the source without its tests.
struct Source {
    /// Path below `src`.
    path: PathBuf,
    /// Its name from the root: of `src/a/b.rs` and of `src/a/b/mod.rs`, a and b.
    module: Vec<String>,
    uses: Uses,
}

/// Paths, output and unsafe code of a file.
#[derive(Default)]
struct Uses {
    /// As written: `crate::…`, `super::…`, and any path of a `use` line.
    paths: Vec<Vec<String>>,
    prints: bool,
    is_unsafe: bool,
}

impl Uses {
    /// Reads a source formatted by rustfmt.
    fn of(text: &str) -> Uses {
        let code = without_tests(text);
        let (mut paths, mut rest) = (Vec::new(), String::new());
        let mut lines = code.lines();
        while let Some(line) = lines.next() {
            let tree = line.trim_start();
            let tree =
                tree.strip_prefix("pub ").or_else(|| tree.split_once(") ").map(|(_, tree)| tree)).unwrap_or(tree);
            let Some(tree) = tree.strip_prefix("use ") else {
                rest += line;
                rest.push('\n');
                continue;
            };
            let mut tree = tree.to_string();
            while !tree.ends_with(';') {
                tree += lines.next().expect("a use ends").trim_start();
            }
            expand(tree.trim_end_matches(';'), &[], &mut paths);
        }
        let is_in_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
        let words = rest.split(|letter| !is_in_word(letter));
        let own = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
        paths.extend(own.map(|word| word.split("::").map(String::from).collect::<Vec<_>>()));
        let prints = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("]
            .iter()
            .any(|call| rest.match_indices(call).any(|(at, _)| !rest[..at].ends_with(is_in_word)));
        Uses { paths, prints, is_unsafe: rest.contains("unsafe {") }
    }
}

/// Removes comments and test-only code: an item below `#[cfg(test)]`, up to the line that closes it.
fn without_tests(text: &str) -> String {
    let (mut code, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let close = line.replace("#[cfg(test)]", "}");
            let first = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
            if !first.unwrap_or_default().ends_with([';', '}']) {
                lines.by_ref().find(|line| *line == close);
            }
        } else if !line.trim_start().starts_with("//") {
            code += line;
            code.push('\n');
        }
    }
    code
}

/// Collects the paths of a use tree: of `a::{b, c::d as e}`, `a::b` and `a::c::d`.
fn expand(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let head: Vec<String> = tree.split(['{', ' ']).next().unwrap().split("::").map(String::from).collect();
    let head = head.into_iter().filter(|word| !["", "self", "*"].contains(&word.as_str()));
    let path: Vec<String> = before.iter().cloned().chain(head).collect();
    let Some((_, group)) = tree.split_once('{') else {
        paths.push(path);
        return;
    };
    let (mut depth, mut from) = (0, 0);
    let group = group.strip_suffix('}').expect("a group is closed");
    for (at, letter) in group.char_indices().chain([(group.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[from..at].trim().is_empty() {
                    expand(&group[from..at], &path, paths);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let source = |path: PathBuf| {
        let parent = fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "tests" || parent.contains(&format!("#[cfg(test)]\nmod {name};")) {
            return None;
        }
        let uses = Uses::of(&fs::read_to_string(&path).unwrap());
        let path = path.strip_prefix(&root).unwrap().to_path_buf();
        let module = path.with_extension("");
        let mut module: Vec<String> = module.iter().map(|name| name.to_str().unwrap().to_string()).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Some(Source { path, module, uses })
    };
    files_below("src", "rs").into_iter().filter_map(source).collect()
}

impl Source {
    fn room(&self) -> &str {
        &self.module[0]
    }

    /// Returns its uses of this crate, as paths from the root.
    fn paths(&self) -> BTreeSet<Vec<String>> {
        let from_root = |path: &Vec<String>| {
            let supers = path.iter().take_while(|word| *word == "super").count();
            match path[0].as_str() {
                "crate" => Some(path[1..].to_vec()),
                "super" => Some([&self.module[..self.module.len().saturating_sub(supers)], &path[supers..]].concat()),
                _ => None,
            }
        };
        self.uses.paths.iter().filter_map(from_root).collect()
    }
}

/// Returns the rooms that each room uses.
fn used_rooms(sources: &[Source]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !["main", "lib"].contains(&source.room())) {
        let rooms = source.paths().into_iter().filter_map(|path| path.first().cloned());
        used.entry(source.room()).or_default().extend(rooms.filter(|room| room != source.room()));
    }
    used
}

#[test]
fn a_room_uses_those_below_it_and_what_it_may() {
    let sources = sources();
    let used = used_rooms(&sources);
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    assert_eq!(used.keys().copied().collect::<BTreeSet<_>>(), known, "each room has its line");
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        let below: BTreeSet<&str> = ROOMS[..at].iter().map(|(room, _)| *room).collect();
        assert!(may.iter().all(|used| below.contains(used)), "{room} looks up: {may:?}");
        let may: BTreeSet<String> = may.iter().map(|used| used.to_string()).collect();
        assert_eq!(used[room], may, "what {room} uses, and what it may use");
    }
}

#[test]
fn uses_are_read_as_they_are_written() {
    let text = "use crate::a::{b, c::{self, d as e}};\npub(super) use f::G;\n#[cfg(test)]\nmod tests {\n    use crate::z;\n}\n\
                // crate::comment\nfn h() {\n    super::i::j(crate::k::L);\n    reprint!();\n}\n";
    let uses = Uses::of(text);
    let found: BTreeSet<String> = uses.paths.iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::b", "crate::a::c", "crate::a::c::d", "f::G", "super::i::j", "crate::k::L"];
    assert_eq!(found, expected.map(String::from).into());
    assert!(!uses.prints && !uses.is_unsafe);
    assert!(Uses::of("fn m() {\n    println!();\n    unsafe { n() }\n}\n").prints);
    assert!(Uses::of("let x = unsafe { n() };\n").is_unsafe);
}

/// Returns for each file of a folder the other files that it uses; a folder in it counts as one file.
fn used_files(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let known: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| (2..=source.module.len()).map(|depth| source.module[..depth].join("::")))
        .collect();
    // A name re-exported by a folder's own file is still its file's.
    let mut handed_on: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        let below = |name: &str| format!("{}::{name}", source.module.join("::"));
        for path in source.uses.paths.iter().filter(|path| path.len() > 1) {
            let (name, from) = (below(path.last().unwrap()), below(&path[0]));
            if known.contains(&from) && !known.contains(&name) {
                handed_on.insert(name, from);
            }
        }
    }
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let paths = source.paths();
        for depth in 1..source.module.len() {
            let own = source.module[..=depth].join("::");
            let beside = paths.iter().filter(|path| path.len() > depth && path[..depth] == source.module[..depth]);
            let of = beside
                .map(|path| path[..=depth].join("::"))
                .filter_map(|name| if known.contains(&name) { Some(name) } else { handed_on.get(&name).cloned() });
            used.entry(own.clone()).or_default().extend(of.filter(|name| *name != own));
        }
    }
    used
}

/// Returns all files that can be reached from this one.
fn reached<'u>(from: &'u str, used: &'u BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'u str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(at) = next.pop() {
        next.extend(used.get(at).into_iter().flatten().map(String::as_str).filter(|file| reached.insert(*file)));
    }
    reached
}

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    let used = used_files(&sources());
    let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
    for file in used.keys() {
        let from_here = reached(file, &used);
        if from_here.contains(file.as_str()) {
            circles
                .insert(from_here.into_iter().filter(|other| reached(other, &used).contains(file.as_str())).collect());
        }
    }
    assert!(circles.is_empty(), "{circles:?}");
}

#[test]
fn unsafe_code_is_in_sys_only() {
    let found: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|source| source.uses.is_unsafe && source.room() != "sys")
        .map(|source| source.path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn engines_and_arithmetic_print_nothing() {
    let may = ["main", "command"];
    let found: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|source| source.uses.prints && !may.contains(&source.room()))
        .map(|source| source.path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Returns every file of Rust in the project, but for the fuzz targets.
fn rust_files() -> Vec<PathBuf> {
    let folders = ["src", "tests/it", "tests/programs", "tests/support", "benches", "examples"];
    folders.iter().flat_map(|folder| files_below(folder, "rs")).collect()
}

#[test]
fn doc_comments_begin_with_what_a_thing_is() {
    let opens = |line: &&str| {
        let text = line.trim_start();
        let text = text.strip_prefix("/// ").or_else(|| text.strip_prefix("//! "));
        text.is_some_and(|text| ["What ", "How ", "Whether "].iter().any(|word| text.starts_with(word)))
    };
    let found: Vec<String> = rust_files()
        .into_iter()
        .flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            text.lines().filter(opens).map(|line| format!("{}: {line}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_have_at_most_400_lines_and_functions_70() {
    let mut found = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > 400 {
            found.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = code.starts_with("fn ") || code.starts_with("pub") && code.contains(" fn ");
            if !is_function || code.ends_with([';', '}']) {
                continue;
            }
            let close = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[at..].iter().position(|line| *line == close).map_or(0, |end| end + 1);
            if length > 70 {
                found.push(format!("{}: {code} has {length} lines", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
