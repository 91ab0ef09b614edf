//! CSV: one table a file, as a strict reader of RFC 4180 takes it.

use std::fs;

use crate::support::run;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// Returns the records of CSV, by the grammar of RFC 4180 with line feeds.
///
/// # Panics
/// A quote stands where none may, a quoted field is not closed, the last line has no end, or records differ in length.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut letters) = (Vec::new(), Vec::new(), text.chars().peekable());
    while letters.peek().is_some() {
        let mut field = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next().expect("a quoted field is closed") {
                    '"' if letters.next_if_eq(&'"').is_none() => break,
                    letter => field.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '\n')) {
                assert!(letter != '"' && letter != '\r', "{letter:?} in an unquoted field of {text}");
                field.push(letter);
            }
        }
        record.push(field);
        match letters.next().expect("the last line has an end") {
            ',' => assert!(letters.peek().is_some(), "a record ends with its line"),
            '\n' => records.push(std::mem::take(&mut record)),
            other => panic!("{other:?} after a quoted field"),
        }
    }
    let width = records.first().map_or(0, Vec::len);
    assert!(width > 0 && records.iter().all(|record| record.len() == width), "{text}");
    records
}

/// Checks that the text is one table with one header, of names that stand for columns.
fn check(what: &str, text: &str) {
    let records = records(text);
    let header = &records[0];
    let is_name =
        |name: &String| !name.is_empty() && name.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
    assert!(header.iter().all(is_name), "{what}: {header:?}");
    let unique: std::collections::BTreeSet<&String> = header.iter().collect();
    assert_eq!(unique.len(), header.len(), "{what}: {header:?}");
    assert!(!records[1..].contains(header), "{what}: the header stands twice");
}

/// Returns the names of a document's tables.
fn tables(file: &str) -> Vec<String> {
    let error =
        run(&format!("ctxprof report {file} --wide --format csv --table no-such-table")).expect(1, &["--table takes"]);
    let names = error.stderr.split("--table takes ").nth(1).unwrap().trim();
    names.split(", ").map(String::from).collect()
}

#[test]
fn every_table_of_every_document_is_csv_that_a_strict_reader_takes() {
    let mut seen = 0;
    for entry in fs::read_dir(GOLDEN).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|suffix| suffix != "json") {
            continue;
        }
        let file = path.display().to_string();
        let names = tables(&file);
        for wide in ["", "--wide"] {
            let first = run(&format!("ctxprof report {file} {wide} --format csv")).expect(0, &[]).stdout;
            check(&file, &first);
            for name in &names {
                let done = run(&format!("ctxprof report {file} {wide} --format csv --table {name}"));
                // Some tables are of `--wide` only.
                if wide.is_empty() && done.code == Some(1) {
                    continue;
                }
                let text = done.expect(0, &[]).stdout;
                check(&format!("{file} {name}"), &text);
                assert_eq!(text == first, *name == names[0], "{file} {name}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} tables were seen");
}

#[test]
fn what_these_commands_print_as_csv_is_one_table() {
    for command in ["list", "doctor", "runs", "explain net", "stat --cost none -- true"] {
        // `stat` reports on stderr.
        let (words, rest) =
            command.split_once(" -- ").map_or((command, String::new()), |(a, b)| (a, format!(" -- {b}")));
        let done = run(&format!("ctxprof {words} --format csv{rest}")).expect(0, &[]);
        check(command, if done.stdout.is_empty() { &done.stderr } else { &done.stdout });
    }
}

#[test]
#[should_panic(expected = "in an unquoted field")]
fn a_quote_within_a_field_is_no_csv() {
    records("a,b\"\n");
}

#[test]
#[should_panic(expected = "the last line has an end")]
fn a_cut_off_line_is_no_csv() {
    records("a,b\nc");
}
