//! Warnings of rows, as sentences.

use crate::document::Warning;

/// Returns the warnings of rows in their order. One whose code `folds` is true of appears once, with the number of other rows
/// that have it: a property of the machine affects many rows.
pub(crate) fn sentences<'w>(of_rows: impl Iterator<Item = &'w Warning>, folds: impl Fn(&str) -> bool) -> Vec<String> {
    let mut told: Vec<(&Warning, usize)> = Vec::new();
    for warning in of_rows {
        match told.iter_mut().find(|(first, _)| first.code == warning.code && folds(&warning.code)) {
            Some((_, others)) => *others += 1,
            None => told.push((warning, 0)),
        }
    }
    let sentence = |(first, others): (&Warning, usize)| match others {
        0 => first.message.clone(),
        1 => format!("{} (another row has this warning too)", first.message),
        _ => format!("{} ({others} other rows have this warning too)", first.message),
    };
    told.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_folds_is_told_once_and_counted_and_the_rest_as_it_is() {
        let warnings = ["slow a", "count a", "slow b", "count b", "slow c"].map(|words| {
            let code = words.split(' ').next().unwrap();
            Warning::new(code, words)
        });
        let folded = sentences(warnings.iter(), |code| code == "slow");
        assert_eq!(folded, ["slow a (2 other rows have this warning too)", "count a", "count b"]);
        assert_eq!(sentences(warnings[..3].iter(), |_| true)[0], "slow a (another row has this warning too)");
        assert_eq!(sentences(warnings.iter(), |_| false).len(), 5);
    }
}
