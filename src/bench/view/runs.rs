//! The list of saved runs, for people and machines.

use std::slice;

use crate::bench::document::runs::{RunState, RunsDocument, SavedRun};
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Table, View};
use crate::unit::Bytes;

impl Shown for RunsDocument {
    fn view(&self, wide: bool) -> View {
        View { heading: vec![self.summary()], tables: vec![self.table(wide)], notes: self.notes(), ..View::default() }
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        let saved = |document: &RunsDocument| document.saved().count() as f64;
        metrics
            .rows(slice::from_ref(self), |_| vec![("command", "runs".to_string())])
            .figure("saved_runs", Quantity::Count, "Readable saved runs", |document| Some(saved(document)))
            .figure("saved_runs_size", Quantity::Bytes, "Size of all files among the saved runs", |document| {
                Some(size(&document.runs).0)
            });
        metrics
    }
}

impl RunsDocument {
    fn saved(&self) -> impl Iterator<Item = &SavedRun> {
        self.runs.iter().filter(|run| run.state == RunState::Saved)
    }

    fn summary(&self) -> String {
        let folders = self.folders.join(" and ");
        format!("{} saved runs, {}, in {folders}", self.saved().count(), size(&self.runs))
    }

    fn table(&self, wide: bool) -> Table {
        let row = |run: &SavedRun| {
            let mut cells = vec![
                run.started_at.as_ref().map_or(Cell::Absent, Cell::name),
                Cell::text(run.state.name()),
                Cell::name(what(run)),
                run.kernel.as_ref().map_or(Cell::Absent, Cell::name),
                run.cpu_model.as_ref().map_or(Cell::Absent, Cell::name),
                Cell::number(Some(run.size_bytes as f64), |bytes| Bytes(bytes).to_string()),
                Cell::name(self.short(run, wide)),
            ];
            if !self.has_states() {
                cells.remove(1);
            }
            cells
        };
        let column = |key, heading: &[&str], expendable| {
            Column::new(key, heading, if key == "size_bytes" { Align::Right } else { Align::Left }, expendable)
        };
        let mut columns = vec![
            column("started_at", &["started"], 0),
            column("run_state", &["state"], 0),
            Column { wraps: true, ..column("rows", &["workloads"], 0) },
            column("run_kernel", &["kernel"], 4),
            column("run_cpu", &["processor"], 3),
            column("size_bytes", &["size"], 2),
            column("saved_file", &["file"], 0),
        ];
        if !self.has_states() {
            columns.remove(1);
        }
        Table { title: "Saved runs", columns, rows: self.runs.iter().map(row).collect() }
    }

    /// Returns true if a file is something else than a readable run.
    fn has_states(&self) -> bool {
        self.runs.iter().any(|run| run.state != RunState::Saved)
    }

    /// Returns the file's name without the folder that the heading has first.
    fn short<'r>(&self, run: &'r SavedRun, wide: bool) -> &'r str {
        let folder = self.folders.first().filter(|_| !wide);
        let name = folder.and_then(|folder| run.file.strip_prefix(folder.as_str())?.strip_prefix('/'));
        name.unwrap_or(&run.file)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(keep) = self.keep {
            let verb = if self.dry_run { "Would remove" } else { "Removed" };
            let files: Vec<&str> = self.removed.iter().map(|run| self.short(run, false)).collect();
            notes.push(match files.as_slice() {
                [] => format!("Nothing to remove: no more than {keep} runs."),
                files => {
                    format!("{verb} {} of the oldest, {}: {}.", files.len(), size(&self.removed), files.join(", "))
                }
            });
        }
        let others = self.runs.len() - self.saved().count();
        if self.keep.is_some() && others > 0 {
            notes.push(format!("Left alone: {others} files that are no readable run."));
        }
        notes
    }
}

fn size(runs: &[SavedRun]) -> Bytes {
    Bytes(runs.iter().map(|run| run.size_bytes as f64).sum())
}

/// Returns the workloads, or why it is no readable run.
fn what(run: &SavedRun) -> String {
    const MOST: usize = 3;
    let part = if run.is_complete == Some(false) { " (ended early)" } else { "" };
    match (&run.reason, run.rows.as_slice()) {
        (Some(reason), _) => reason.clone(),
        (None, rows) if rows.len() > MOST + 1 => {
            format!("{} and {} more{part}", rows[..MOST].join(", "), rows.len() - MOST)
        }
        (None, rows) => format!("{}{part}", rows.join(", ")),
    }
}
