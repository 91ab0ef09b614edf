//! The history of earlier runs, which may come from somebody else's cache.

use crate::bench::document::history;

/// The input is refused, or each of its lines is written as it is read, and gives widths that are numbers.
pub(super) fn history(bytes: &[u8]) {
    let Ok(read) = history::parse(bytes) else { return };
    for line in &read.lines {
        let again = line.to_string().parse();
        assert!(again.as_ref() == Ok(line), "written again it says something else: {line}");
    }
    for line in &read.lines {
        let told = read.reproducible(line);
        let widths = [told.session, told.any_day, told.run_sd, told.day_sd];
        assert!(widths.iter().all(|width| width.is_finite() && *width >= 0.0), "{told:?}");
    }
    let shortened = history::shortened(read.lines);
    assert!(shortened.iter().all(|line| line.to_string().parse().as_ref() == Ok(line)), "a merged line cannot be read");
}
