//! Text from elsewhere (names of threads, words of commands) as it may be shown: what would steer a terminal or break a row is
//! replaced, for whatever reads a report believes its lines.

use std::borrow::Cow;

use crate::output::view::{Cell, Picture, View};

/// Returns the text on one line, with `?` for each character that is none to be seen.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, steers)
}

/// Returns the text with its lines, and `?` for each other character that is none to be seen.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |character| character != '\n' && steers(character))
}

fn replaced(text: &str, which: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if text.contains(which) { Cow::Owned(text.replace(which, "?")) } else { Cow::Borrowed(text) }
}

/// Control characters, and those that order, part or hide others: a name with one shows as another name.
fn steers(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || character.is_control()
}

/// Returns the label value with control characters spelled out (`\x1b`): names that differ stay different, as two samples with the
/// same labels would be refused.
pub(super) fn label(text: &str) -> Cow<'_, str> {
    if !text.contains(|character| character != '\n' && steers(character)) {
        return Cow::Borrowed(text);
    }
    let spelled = |character: char| match character {
        '\n' => "\n".to_string(),
        _ if steers(character) => format!("\\x{:02x}", u32::from(character)),
        _ => character.to_string(),
    };
    Cow::Owned(text.chars().map(spelled).collect())
}

/// Returns the view with all its text as it may be shown.
pub(super) fn view(mut view: View) -> View {
    let on_a_line = |text: &mut String| make(text, line);
    view.heading.iter_mut().chain(&mut view.quality).chain(&mut view.command).for_each(on_a_line);
    view.conditions.iter_mut().for_each(|condition| on_a_line(&mut condition.value));
    for cell in view.tables.iter_mut().flat_map(|table| &mut table.rows).flatten() {
        match cell {
            Cell::Text(text) | Cell::Name(text) | Cell::Number { text, .. } | Cell::Estimate { text, .. } => {
                on_a_line(text)
            }
            Cell::Absent => {}
        }
    }
    view.pictures.iter_mut().for_each(picture);
    view.answer.iter_mut().chain(&mut view.notes).chain(&mut view.warnings).for_each(|text| make(text, lines));
    view
}

fn picture(picture: &mut Picture) {
    let on_a_line = |text: &mut String| make(text, line);
    match picture {
        Picture::Levels(levels) => levels.levels.iter_mut().for_each(|level| on_a_line(&mut level.label)),
        Picture::Stacks(stacks) => stacks.stacks.iter_mut().for_each(|stack| on_a_line(&mut stack.label)),
        Picture::Changes(changes) => changes.changes.iter_mut().for_each(|change| on_a_line(&mut change.label)),
        Picture::Histogram { title, bars } => {
            on_a_line(title);
            bars.iter_mut().for_each(|bar| on_a_line(&mut bar.label));
        }
        // Theirs are workloads' names and our own words.
        Picture::Timeline { .. } | Picture::Plot(_) => {}
    }
}

fn make(text: &mut String, safe: fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(changed) = safe(text) {
        *text = changed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced_and_all_else_stays() {
        for (text, shown) in [
            ("plain, ünïcode and 日本", "plain, ünïcode and 日本"),
            ("two\nlines\t\r", "two?lines??"),
            ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
            ("\u{9b}31m\u{7f}", "?31m?"),
            ("a\u{202e}b\u{200b}c\u{2028}", "a?b?c?"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(lines("one\n  two\x07"), "one\n  two?");
    }

    #[test]
    fn labels_that_differ_stay_different() {
        assert_ne!(label("a\x01"), label("a\x02"));
        assert_eq!((label("\x1b[0m").as_ref(), label("a\nb").as_ref()), ("\\x1b[0m", "a\nb"));
    }
}
