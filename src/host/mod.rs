//! The host: its facts, its limits, and what else ran on it.

pub mod ceilings;
pub mod checks;
pub mod facts;
pub mod kernel;
pub mod limits;
pub mod memory;
pub mod placement;
pub mod probe;
pub mod process_files;
pub mod surroundings;

#[cfg(test)]
pub(crate) fn made_up_root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    root
}
