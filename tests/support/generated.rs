//! Files of the tree that are made from the source.

use std::fs;
use std::path::Path;

/// Fails if a file of the tree is not what the source makes of it now; writes it with `CTXPROF_WRITE_DOCS=1`, as
/// scripts/docs does.
pub fn hold(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("CTXPROF_WRITE_DOCS").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let differs = written.lines().zip(content.lines()).find(|(one, other)| one != other);
    assert!(written == content, "{path} is out of date, write it anew with scripts/docs: {differs:?}");
}
