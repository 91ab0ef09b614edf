//! Definitions, for people.

use crate::glossary::Entry;
use crate::glossary::document::ExplainDocument;
use crate::output::Shown;
use crate::output::metrics::Metrics;
use crate::output::view::{Align, Cell, Column, Table, View};

impl Shown for ExplainDocument {
    /// Returns the meanings of what was asked for; if that is everything, only its words, but for `wide`.
    fn view(&self, wide: bool) -> View {
        if self.asked.is_some() || wide {
            return View { tables: vec![meanings(&self.entries)], ..View::default() };
        }
        let note = "`ctxprof explain WORD` explains one of them, `ctxprof explain SUBJECT` all of a subject.";
        View { tables: vec![words(&self.entries)], notes: vec![note.to_string()], ..View::default() }
    }

    /// Returns none: these are words.
    fn metrics(&self) -> Metrics {
        Metrics::default()
    }
}

fn meanings(entries: &[Entry]) -> Table {
    let row = |entry: &Entry| [&entry.word, &entry.subject, &entry.meaning].map(Cell::text).to_vec();
    let columns = vec![column("word", 0), column("subject", 1), Column { wraps: true, ..column("meaning", 0) }];
    Table { title: "Meanings", columns, rows: entries.iter().map(row).collect() }
}

fn words(entries: &[Entry]) -> Table {
    let row = |entries: &[Entry]| {
        let words: Vec<&str> = entries.iter().map(|entry| entry.word.as_str()).collect();
        vec![Cell::text(&entries[0].subject), Cell::text(words.join("; "))]
    };
    let columns = vec![column("subject", 0), Column { wraps: true, ..column("words", 0) }];
    let of_subject = entries.chunk_by(|one, other| one.subject == other.subject);
    Table { title: "Words", columns, rows: of_subject.map(row).collect() }
}

fn column(key: &'static str, expendable: u8) -> Column {
    Column::new(key, &[key], Align::Left, expendable)
}
