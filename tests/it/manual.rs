//! README and the manual: the length of the front page, and every command line in them taken by the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{files_below, run};

/// Limits of the front page: longer ones are not read to their end.
const README_LINES: usize = 250;
const README_BYTES: usize = 12_000;

/// A page of documentation: its name below the root, and its text.
struct Page {
    name: String,
    text: String,
}

/// Returns README and each chapter of the manual.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Not the decisions below.
    let is_chapter = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("docs"));
    let mut paths: Vec<PathBuf> = files_below("docs", "md").into_iter().filter(is_chapter).collect();
    paths.push(root.join("README.md"));
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(root).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(page).collect()
}

/// Returns the command lines of ctxprof in a page, with the numbers of their lines: those in fenced blocks and those in code spans.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut is_fenced = false;
    let mut commands = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
            continue;
        }
        let code: Vec<&str> = if is_fenced {
            vec![line.split(" #").next().unwrap()]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        let pieces = code.iter().flat_map(|code| code.split("&&")).flat_map(|code| code.split([';', '|']));
        commands.extend(pieces.filter_map(command_in).map(|command| (at + 1, command)));
    }
    commands
}

/// Prefixes of a command line.
const BEFORE_IT: [&str; 5] = ["$ ", "- run: ", "sudo ", "ExecStart=", "/usr/local/bin/"];

/// Returns the command line of ctxprof in a piece of code, without prompt and sudo; `None` without one.
fn command_in(piece: &str) -> Option<String> {
    let mut piece = piece.trim();
    while let Some(rest) = BEFORE_IT.iter().find_map(|start| piece.strip_prefix(start)) {
        piece = rest;
    }
    let word = piece.strip_prefix("ctxprof ")?.split_whitespace().next()?;
    // In a heading the version follows, and in a text about all commands a placeholder.
    let is_command = word.starts_with(|letter: char| letter.is_ascii_lowercase());
    is_command.then(|| piece.to_string())
}

/// Returns the options that the help of a command lists; `None` where there is no such command.
fn options_of(command: &str) -> Option<BTreeSet<String>> {
    let done = run(&format!("ctxprof {command} --help"));
    // Descriptions are indented further.
    let rows = done.stdout.lines().filter(|line| line.len() - line.trim_start().len() <= 6);
    let options = rows.flat_map(|row| {
        let words = row.split([' ', ',', '[']).filter(|word| !word.is_empty());
        words.take_while(|word| word.starts_with('-')).map(str::to_string)
    });
    (done.code == Some(0)).then(|| options.collect())
}

/// Options of each command, by its help.
#[derive(Default)]
struct Helps(BTreeMap<String, Option<BTreeSet<String>>>);

impl Helps {
    /// Returns the mistake in a command line; `None` if its command and options exist.
    fn fault(&mut self, line: &str) -> Option<String> {
        let mut words = line.split_whitespace().skip(1);
        let command = words.next()?;
        let known = self.0.entry(command.to_string()).or_insert_with(|| options_of(command));
        let Some(known) = known else { return Some(format!("there is no command {command}")) };
        let is_option = |word: &&str| {
            let letters = word.trim_start_matches('-');
            letters.len() < word.len() && letters.starts_with(|letter: char| letter.is_ascii_alphabetic())
        };
        // The rest is another program's.
        let own = words.take_while(|word| *word != "--");
        let mut names = own.filter(is_option).map(|word| word.split('=').next().unwrap());
        names.find(|name| !known.contains(*name)).map(|name| format!("{command} has no {name}"))
    }
}

#[test]
fn the_readme_is_short_and_begins_with_a_screen() {
    let readme = pages().into_iter().find(|page| page.name == "README.md").unwrap().text;
    let lines = readme.lines().count();
    assert!(lines <= README_LINES && readme.len() <= README_BYTES, "{lines} lines, {} bytes", readme.len());
    let beginning: Vec<&str> = readme.lines().take(30).collect();
    assert!(beginning.iter().any(|line| line.starts_with("$ sudo ctxprof run")), "{beginning:?}");
}

#[test]
fn the_binary_takes_every_command_line_that_is_shown() {
    let mut helps = Helps::default();
    let mut faults = Vec::new();
    let mut shown = 0;
    for Page { name, text } in pages() {
        for (at, line) in commands(&text) {
            shown += 1;
            faults.extend(helps.fault(&line).map(|fault| format!("{name}:{at}: {line}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(shown > 60, "only {shown} command lines were found");
}

#[test]
fn wrong_command_lines_are_found_wherever_they_are_shown() {
    let text = "\
Say `ctxprof walk`, or `sudo ctxprof stat --prices FILE -- CMD --wide`, of ctxprof 0.1.0.
```console
$ sudo ctxprof run --nice -5 --cpus=1 -o a.json -z    # and --more
ctxprof 0.1.0 on Linux --here
- run: make --all && sudo ctxprof doctor --strict
17 4 * * * root sleep 1; /usr/local/bin/ctxprof run --quiet > /dev/null
```
";
    let commands = commands(text);
    let lines: Vec<usize> = commands.iter().map(|(at, _)| *at).collect();
    assert_eq!(lines, [1, 1, 3, 5, 6], "{commands:?}");
    let mut helps = Helps::default();
    let faults: Vec<Option<String>> = commands.iter().map(|(_, line)| helps.fault(line)).collect();
    let expected =
        [Some("there is no command walk"), Some("stat has no --prices"), Some("run has no --cpus"), None, None];
    assert_eq!(faults, expected.map(|fault| fault.map(str::to_string)));
}

/// Words of early versions that nobody else in the field uses so.
const OWN_WORDS: [&str; 20] = [
    "party",
    "parties",
    "incarnation",
    "incarnations",
    "made anew",
    "dear",
    "dearer",
    "dearest",
    "the bill",
    "books",
    "booked",
    "to be had",
    "yardstick",
    "errand",
    "switch proper",
    "whole op",
    "price",
    "prices",
    "people divide by",
    "true ns",
];

/// Returns those of them that stand in a text as words.
fn own_words(text: &str) -> Vec<&'static str> {
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    OWN_WORDS.into_iter().filter(|word| text.contains(&format!(" {word} "))).collect()
}

#[test]
fn help_pages_and_reports_use_the_fields_words() {
    let mut found = Vec::new();
    let mut check = |name: &str, text: &str| {
        let words = own_words(text);
        if !words.is_empty() {
            found.push(format!("{name}: {}", words.join(", ")));
        }
    };
    for Page { name, text } in pages() {
        check(&name, &text);
    }
    let help = run("ctxprof --help").expect(0, &[]).stdout;
    let words = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let words: BTreeSet<&str> =
        words.filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase())).collect();
    let helps: Vec<(&str, String)> = words
        .into_iter()
        .map(|word| (word, run(&format!("ctxprof {word} --help"))))
        .filter_map(|(word, done)| (done.code == Some(0)).then_some((word, done.stdout)))
        .collect();
    assert!(helps.len() >= 11, "{helps:?}");
    for (command, help) in helps {
        check(&format!("{command} --help"), &help);
        check(&format!("man {command}"), &run(&format!("ctxprof man {command}")).expect(0, &[]).stdout);
    }
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap() {
        let path = entry.unwrap().path();
        check(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(own_words("A Party, and the whole\n  op: `price`; the billing"), ["party", "whole op", "price"]);
}
