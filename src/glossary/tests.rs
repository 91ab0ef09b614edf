use super::*;
use crate::bpf::layout::FileKind;
use crate::program::trace::reason::Reason;

use std::fs;
use std::path::Path;

#[test]
fn every_column_of_every_view_is_explained_by_its_heading_and_by_its_key() {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("view")) => {
                    files.push(path);
                }
                false => {}
            }
        }
    }
    let (mut seen, mut unknown) = (0, Vec::new());
    for path in files.iter().filter(|path| !path.starts_with("src/glossary")) {
        for (key, heading) in columns(&fs::read_to_string(path).unwrap()) {
            seen += 1;
            for name in [key, heading] {
                let known =
                    entries().iter().any(|entry| names(entry).any(|word| normalized(word) == normalized(&name)));
                if !known && !normalized(&name).is_empty() {
                    unknown.push(format!("{}: {name}", path.file_name().unwrap().to_string_lossy()));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} columns were found");
    assert!(unknown.is_empty(), "not in the glossary: {unknown:#?}");
}

/// Returns the key and the heading of each column that a view's source has.
fn columns(source: &str) -> Vec<(String, String)> {
    let literals = |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(String::from).collect() };
    source
        .split("column(")
        .skip(1)
        .filter_map(|rest| {
            let (key, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            let rest = rest.strip_prefix(',')?.trim_start();
            let heading = match rest.strip_prefix("&[") {
                Some(list) => literals(list.split_once(']')?.0).join(" "),
                None => literals(
                    rest.strip_prefix('"').map(|_| rest)?.split_inclusive('"').take(2).collect::<String>().as_str(),
                )[0]
                .clone(),
            };
            Some((key.to_string(), heading))
        })
        .collect()
}

#[test]
fn columns_are_found_in_a_source() {
    let source = "column(\"a_b\", &[\"a\", \"b c\"], 0),\ncost_column(\n  \"d\",\n &[\"e\"], x), column(\"f\", \"g\", 0), column(key, heading)";
    let pair = |key: &str, heading: &str| (key.to_string(), heading.to_string());
    assert_eq!(columns(source), [pair("a_b", "a b c"), pair("d", "e"), pair("f", "g")]);
}

#[test]
fn every_reason_of_trace_is_explained() {
    use FileKind::*;
    let files = [Pipe, Socket, Eventfd, Timerfd, Signalfd, Inotify, Regular, Directory, Device, Terminal, Other];
    let one_of_each = [
        Reason::Futex,
        Reason::Sleep,
        Reason::Epoll,
        Reason::Poll,
        Reason::Select,
        Reason::Yield,
        Reason::WokenBefore,
        Reason::PreemptedByWoken,
        Reason::SliceUsedUp,
        Reason::Throttled,
        Reason::Child(-1),
        Reason::PageFault,
        Reason::UserPageFault,
        Reason::Disk(-1),
        Reason::Memory,
        Reason::Kernel(None, -1),
        Reason::Worker,
        Reason::Frozen,
        Reason::Stopped,
        Reason::Traced,
        Reason::Exit,
        Reason::Unknown,
    ];
    // A new reason does not compile here until it stands in the lists of this test.
    let is_listed = |reason: &Reason| match reason {
        Reason::Futex | Reason::Sleep | Reason::Epoll | Reason::Poll | Reason::Select | Reason::Yield => true,
        Reason::WokenBefore | Reason::PreemptedByWoken | Reason::SliceUsedUp | Reason::Throttled => true,
        Reason::Child(_) | Reason::Call(_) | Reason::Call32(_) | Reason::Read(_) | Reason::Write(_) => true,
        Reason::PageFault | Reason::UserPageFault | Reason::Disk(_) | Reason::Memory | Reason::Kernel(..) => true,
        Reason::Worker | Reason::Frozen | Reason::Stopped | Reason::Traced | Reason::Exit | Reason::Unknown => true,
    };
    assert!(one_of_each.iter().all(is_listed));
    let of_files = files.into_iter().flat_map(|file| [Reason::Read(file), Reason::Write(file)]);
    for reason in one_of_each.into_iter().chain(of_files) {
        let found = find(&reason.to_string());
        assert!(found.iter().any(|entry| entry.subject == "reasons"), "{reason}: {found:?}");
    }
    // Those that name a call are explained by what stands before it.
    for reason in [Reason::Call(0), Reason::Call32(0), Reason::Kernel(Some("function"), 0)] {
        let name = reason.to_string();
        assert!(find("reasons").iter().any(|entry| name.starts_with(&entry.word)), "{name}");
    }
}

#[test]
fn every_word_leads_to_its_own_entry_and_stands_once_in_its_subject() {
    let all = entries();
    for entry in &all {
        for name in names(entry) {
            assert!(find(name).contains(entry), "{name} does not lead to {entry:?}");
        }
        let words: Vec<String> = names(entry).map(normalized).collect();
        let twice = all.iter().filter(|other| other.subject == entry.subject && *other != entry);
        let twice: Vec<&Entry> =
            twice.filter(|other| names(other).any(|name| words.contains(&normalized(name)))).collect();
        assert!(twice.is_empty(), "{entry:?} and {twice:?}");
        assert!(entry.meaning.ends_with('.') && entry.meaning.len() < 400, "{entry:?}");
    }
    for word in words() {
        assert!(!find(&word).is_empty(), "{word} is offered and leads nowhere");
    }
}

#[test]
fn words_are_found_however_they_are_written() {
    let first = |asked: &str| find(asked).first().map(|entry| entry.word.clone()).unwrap_or_default();
    for asked in ["net ns/switch", "net_ns_per_switch", "NET", "net-ns-per-switch", "net ns per switch"] {
        assert_eq!(first(asked), "net ns/switch", "{asked}");
    }
    assert_eq!(first("steal"), "steal");
    assert_eq!(first("thread-pipe"), "thread-pipe");
    assert_eq!(first("±"), "±");
    assert!(find("stat").len() > 10, "a subject has all of its words");
    assert!(find("queue").len() > 2, "a part of several words");
}

#[test]
fn near_words_are_suggested_and_none_where_nothing_is_near() {
    assert_eq!(near("futx"), ["futex"]);
    assert_eq!(near("undistrubed-sample"), ["undisturbed-sample"]);
    assert_eq!(near("xylophone"), [] as [&str; 0]);
    assert_eq!(near("q"), [] as [&str; 0]);
    assert!(find("").is_empty() && find("xylophone").is_empty());
}

#[test]
fn generated_reading_page_is_of_today() {
    let mut page = String::from(
        "# Reading ctxprof's output\n\nEvery column, reason, verdict and term, as `ctxprof explain WORD` prints it. Made from the source by `scripts/docs`.\nWhat the figures rest on is in [method](method.md).\n",
    );
    for subject in SUBJECTS {
        page += &format!("\n## {}\n\n", subject.about);
        for Entry { word, meaning, .. } in entries_of(subject) {
            let lines = textwrap::Options::new(118).initial_indent("- ").subsequent_indent("  ").break_words(false);
            let text = format!("**{}**: {}", word.replace('*', "\\*"), meaning.replace('<', "&lt;"));
            page += &textwrap::fill(&text, lines);
            page.push('\n');
        }
    }
    crate::generated::hold("docs/reading.md", &page);
}
