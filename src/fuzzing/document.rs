//! Saved documents and pages, of any origin.

use crate::change::diff;
use crate::change::rows::DiffSettings;
use crate::command::documents::{self, Saved};
use crate::output::{FORMATS, Look};

/// The input is a document that can be shown in every format and reads back as itself, or it is refused. Raw samples are
/// recomputed on the way, and a run is compared with itself.
pub(super) fn document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(saved) = documents::parse(text) else { return };
    let report = saved.report();
    let (width, wide, ascii) = LOOKS[bytes.len() % LOOKS.len()];
    let look = Look { width, wide, ascii, color: ascii };
    for format in FORMATS {
        (format.draw)(report, &look).unwrap_or_else(|error| panic!("{}: {error:#}", format.name));
    }
    let json = report.json().expect("what was read can be written");
    let again = documents::parse(&json).unwrap_or_else(|error| panic!("what was written cannot be read: {error:#}"));
    assert!(again.report().json().expect("it can be written") == json, "shown again it says something else");
    if let Saved::Run(run) = saved {
        let _ = diff::compare(
            std::slice::from_ref(&run),
            std::slice::from_ref(&run),
            DiffSettings::default(),
            String::new(),
        );
    }
}

/// Width, wide or not, and ASCII or not; one of them by the length of the text, as all of them take their time.
const LOOKS: [(usize, bool, bool); 3] = [(100, false, false), (80, true, true), (20, true, false)];
