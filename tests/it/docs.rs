//! The documents against the source and each other: the architecture page is short and has every room, links have a target, and
//! every decision is in the index.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::rules::ROOMS;
use crate::support::files_below;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const DECISIONS: &str = "docs/decisions";
/// Maximum of the architecture page: longer ones are not read.
const MOST_LINES: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns every page under test, from the project's root.
fn pages() -> Vec<PathBuf> {
    let pages = [ARCHITECTURE, "README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from);
    let below = files_below("docs", "md").into_iter().map(|path| path.strip_prefix(root()).unwrap().to_path_buf());
    pages.into_iter().chain(below).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().expect("a name in UTF-8")).collect();
    names.sort();
    names
}

/// Returns the marks with which a line opens or closes a block of code.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|first| ['`', '~'].contains(first))?;
    let after = line.trim_start_matches(mark);
    let marks = &line[..line.len() - after.len()];
    (marks.len() >= 3 && !after.contains('`')).then_some(marks)
}

/// Returns a page without its blocks of code.
fn prose(text: &str) -> String {
    let (mut prose, mut open) = (String::new(), None);
    for line in text.lines() {
        match (open, fence(line)) {
            (None, Some(marks)) => open = Some(marks),
            (Some(opened), Some(marks)) if marks.starts_with(opened) && line.trim() == marks => open = None,
            (None, None) => {
                prose += line;
                prose.push('\n');
            }
            (Some(_), _) => {}
        }
    }
    prose
}

fn without_code(prose: &str) -> String {
    let (mut kept, mut rest) = (String::new(), prose);
    while let Some(at) = rest.find('`') {
        kept += &rest[..at];
        let inside = rest[at..].trim_start_matches('`');
        let marks = rest[at..].len() - inside.len();
        rest = end_of_code(inside, marks).map_or(inside, |end| &inside[end..]);
    }
    kept + rest
}

/// Returns the end of the code span in a paragraph that so many backticks have begun; `None` if they begin none.
fn end_of_code(inside: &str, marks: usize) -> Option<usize> {
    let paragraph = inside.split("\n\n").next()?;
    let mut from = 0;
    while let Some(at) = paragraph[from..].find('`') {
        let run = &paragraph[from + at..];
        let length = run.len() - run.trim_start_matches('`').len();
        from += at + length;
        if length == marks {
            return Some(from);
        }
    }
    None
}

/// Returns the targets of a page's links within the project, as written.
fn links(text: &str) -> Vec<String> {
    let plain = without_code(&prose(text));
    let inline = plain.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let defined = plain.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.1));
    let targets = inline.chain(defined).filter_map(|target| target.split_whitespace().next());
    let targets = targets.map(|target| target.trim_matches(['<', '>']));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).map(String::from).collect()
}

/// Returns the title of a line that is a heading.
fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
}

/// Returns the anchor that GitHub makes of a title: its letters, digits, hyphens and underscores, with hyphens for spaces.
fn anchor(title: &str) -> String {
    // Only the words of a link are shown.
    let mut parts = title.split("](");
    let first = parts.next().unwrap_or_default().to_string();
    let shown = parts.fold(first, |shown, part| shown + part.split_once(')').map_or(part, |(_, after)| after));
    let kept = shown.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>().to_lowercase()
}

/// Returns the anchors of a page's headings; of equal ones, all but the first are numbered.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = Vec::new();
    for title in prose(text).lines().filter_map(heading) {
        let anchor = anchor(title);
        let before = seen.entry(anchor.clone()).or_default();
        anchors.push(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
        *before += 1;
    }
    anchors
}

/// Follows a link of a page.
fn follow(page: &Path, link: &str) -> Result<(), &'static str> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_path_buf() } else { page.with_file_name(file) };
    if !root().join(&path).exists() {
        return Err("there is no such file");
    }
    match anchor {
        Some(anchor) if path.extension().is_some_and(|suffix| suffix == "md") => {
            let is_there = anchors(&read(&path)).iter().any(|there| there == anchor);
            is_there.then_some(()).ok_or("the page has no such heading")
        }
        _ => Ok(()),
    }
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&read(&page)) {
            if let Err(why) = follow(&page, &link) {
                broken.push(format!("{}: {link}: {why}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn links_and_anchors_are_read_as_they_are_shown() {
    let text = "# Why six?\n\nSee [a\n`b`](c.md#d) and `[no](no)`, ``no ` [no](no)``.\n\n```sh\n# no\n[no](no)\n```\n\n\
                ## Why six?\n## `stat --cost`: [a cost](f.md)\n\n[g]: h.md\n\n[i](https://example.org)\n";
    assert_eq!(links(text), ["c.md#d", "f.md", "h.md"]);
    assert_eq!(anchors(text), ["why-six", "why-six-1", "stat---cost-a-cost"]);
    let page = Path::new("docs/decisions/README.md");
    assert_eq!(follow(page, "../../README.md"), Ok(()));
    assert!(follow(page, "README.md#no-such-heading").is_err() && follow(page, "no-such-file.md").is_err());
}

#[test]
fn the_architecture_page_is_short_and_maps_every_room_the_highest_first() {
    let text = read(Path::new(ARCHITECTURE));
    let lines = text.lines().count();
    assert!(lines <= MOST_LINES, "{lines} lines; what explains why is a decision ({DECISIONS})");
    let mapped: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `src/")?.split(['/', '.']).next()).collect();
    let rooms: Vec<&str> = ["main"].into_iter().chain(ROOMS.iter().rev().map(|(room, _)| *room)).collect();
    assert_eq!(mapped, rooms, "the rooms of the map, and those that there are, the highest first");
}

#[test]
fn files_that_the_architecture_page_and_decisions_name_are_there() {
    const FOLDERS: [&str; 8] = ["src/", "tests/", "scripts/", "benches/", "examples/", "docs/", "fuzz/", "vagrant/"];
    let mut missing = Vec::new();
    for page in pages().into_iter().filter(|page| page == Path::new(ARCHITECTURE) || page.starts_with(DECISIONS)) {
        let prose = prose(&read(&page));
        let named = prose.split('`').skip(1).step_by(2).filter_map(|code| code.split_whitespace().next());
        let named = named.filter(|name| FOLDERS.iter().any(|folder| name.starts_with(folder)) && !name.contains('*'));
        let absent = named.filter(|name| !root().join(name).exists());
        missing.extend(absent.map(|name| format!("{}: {name}", page.display())));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_decision_is_numbered_and_in_the_index_with_its_title() {
    const INDEX: &str = "README.md";
    let folder = Path::new(DECISIONS);
    let index = read(&folder.join(INDEX));
    let decisions: Vec<String> = names_in(folder).into_iter().filter(|name| name != INDEX).collect();
    for (before, name) in decisions.iter().enumerate() {
        let text = read(&folder.join(name));
        let title = text.lines().next().and_then(heading).unwrap_or_else(|| panic!("{name} begins with no title"));
        let number = format!("{:03}", before + 1);
        let is_numbered = name.starts_with(&format!("{number}-")) && title.starts_with(&format!("{number}. "));
        assert!(is_numbered, "{name} is number {number}: {title}");
        assert!(index.contains(&format!("[{title}]({name})")), "the index has not: [{title}]({name})");
    }
    let listed = links(&index).iter().filter(|link| !link.contains('/')).count();
    assert_eq!(listed, decisions.len(), "decisions in the index, and those that there are");
}
