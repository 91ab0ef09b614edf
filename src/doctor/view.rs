//! Report of measurement problems: screen and metrics.

use crate::doctor::document::{DoctorDocument, FindingEntry, Severity};
use crate::document::conditions;
use crate::document::invocation::Invocation;
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Table, View};

impl Shown for DoctorDocument {
    fn view(&self, wide: bool) -> View {
        let mut findings: Vec<&FindingEntry> = self.body.findings.iter().collect();
        // Stable: within a severity the order is the registry's.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        View {
            heading: vec![format!(
                "{} {} on Linux {} {}; {}",
                self.tool.name,
                self.tool.version,
                self.host.kernel,
                self.host.architecture,
                self.host.pinned_to()
            )],
            answer: vec![summary(&findings)],
            command: Some(Invocation::of(&self.host, "doctor").option("--cpu", self.host.pinned_cpu).line()),
            conditions: conditions::of(self),
            tables: vec![table(&findings, wide)],
            notes: notes(&findings),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        metrics
            .rows(&self.body.findings, |finding| vec![("check", finding.id.clone())])
            .figure(
                "finding_severity",
                Quantity::Count,
                "0 for what is well, 1 for what to know, 2 for a warning, 3 for what is serious; absent where it could not be read",
                |finding| rank(finding.severity),
            );
        metrics
    }
}

fn rank(severity: Severity) -> Option<f64> {
    match severity {
        Severity::Ok => Some(0.0),
        Severity::Info => Some(1.0),
        Severity::Warning => Some(2.0),
        Severity::Serious => Some(3.0),
        Severity::Unknown => None,
    }
}

/// Returns how many checks have each state, the worst first.
fn summary(findings: &[&FindingEntry]) -> String {
    let states = [Severity::Serious, Severity::Warning, Severity::Unknown, Severity::Info, Severity::Ok];
    let of = |state: &Severity| findings.iter().filter(|finding| finding.severity == *state).count();
    let counts = states.iter().filter(|state| of(state) > 0).map(|state| format!("{} {}", of(state), state.name()));
    format!("{} checks: {}.", findings.len(), counts.collect::<Vec<_>>().join(", "))
}

fn table(findings: &[&FindingEntry], wide: bool) -> Table {
    let row = |finding: &&FindingEntry| {
        let mut cells = vec![Cell::text(&finding.id), Cell::text(finding.severity.name()), Cell::text(&finding.found)];
        if wide {
            cells.push(finding.fix.as_ref().map_or(Cell::Absent, Cell::text));
            cells.push(Cell::text(&finding.source));
        }
        cells
    };
    let mut columns = vec![
        column("check", "check", 0),
        column("severity", "state", 0),
        Column { wraps: true, ..column("found", "what was found", 0) },
    ];
    if wide {
        columns.extend([column("fix", "what changes it", 1), column("source", "where it was read", 2)]);
    }
    Table { title: "Findings", columns, rows: findings.iter().map(row).collect() }
}

fn column(key: &'static str, heading: &str, expendable: u8) -> Column {
    Column::new(key, &[heading], Align::Left, expendable)
}

/// Returns why each finding matters that is not as it should be, with the command that changes it. An unknown one that no
/// command can find out is complete in its row.
fn notes(findings: &[&FindingEntry]) -> Vec<String> {
    let note = |finding: &&&FindingEntry| {
        let FindingEntry { id, why, fix, .. } = finding;
        // On a line of its own, to be copied whole.
        let fix = fix.as_ref().map_or(String::new(), |command| format!(". Try:\n{command}"));
        format!("{id}: {why}{fix}")
    };
    let is_worth_a_word = |finding: &&&FindingEntry| match finding.severity {
        Severity::Ok => false,
        Severity::Unknown => finding.fix.is_some(),
        Severity::Info | Severity::Warning | Severity::Serious => true,
    };
    findings.iter().filter(is_worth_a_word).map(|finding| note(&finding)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, severity: Severity, fix: Option<&str>) -> FindingEntry {
        FindingEntry {
            id: id.to_string(),
            severity,
            found: "something".to_string(),
            why: "it matters".to_string(),
            fix: fix.map(String::from),
            source: "/proc".to_string(),
        }
    }

    #[test]
    fn what_is_well_has_no_note_and_the_others_their_commands() {
        let findings = [
            finding("a", Severity::Ok, None),
            finding("b", Severity::Warning, Some("sudo x")),
            finding("c", Severity::Unknown, Some("sudo y")),
            finding("d", Severity::Info, None),
            finding("e", Severity::Unknown, None),
        ];
        let notes = notes(&findings.iter().collect::<Vec<_>>());
        assert_eq!(notes, ["b: it matters. Try:\nsudo x", "c: it matters. Try:\nsudo y", "d: it matters"]);
    }
}
