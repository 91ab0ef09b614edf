//! Report of measurement problems: screen and metrics.

use crate::doctor::document::{DoctorDocument, FindingEntry, Severity};
use crate::document::conditions;
use crate::document::invocation::Invocation;
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Folded, Table, View};

impl Shown for DoctorDocument {
    fn view(&self, wide: bool) -> View {
        let mut findings: Vec<&FindingEntry> = self.body.findings.iter().collect();
        // Stable: within a severity the order is the registry's.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let (problems, others): (Vec<&FindingEntry>, Vec<&FindingEntry>) =
            findings.iter().partition(|finding| finding.severity >= Severity::Warning);
        let shows_all = wide || self.settings.all;
        View {
            answer: std::iter::once(self.verdict())
                .chain(problems.iter().flat_map(|finding| problem(finding)))
                .chain([String::new(), self.looked_at()])
                .collect(),
            command: Some(Invocation::of(&self.host, "doctor").option("--cpu", self.host.pinned_cpu).line()),
            conditions: conditions::of(self),
            tables: vec![table(&findings, wide)],
            folded: (!shows_all).then(|| Folded { table: 0, from: 0, line: counted(&others) }),
            notes: if shows_all { notes(&others) } else { Vec::new() },
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        metrics.rows(&self.body.findings, |finding| vec![("check", finding.id.clone())]).figure(
            "finding_severity",
            Quantity::Count,
            "0 for ok, 1 for info, 2 for a warning, 3 for serious; absent where it could not be read",
            |finding| rank(finding.severity),
        );
        metrics
    }
}

impl DoctorDocument {
    /// Returns the host and the CPU that were checked.
    fn looked_at(&self) -> String {
        let (tool, host) = (&self.tool, &self.host);
        format!("{} {} on Linux {} {}; {}", tool.name, tool.version, host.kernel, host.architecture, host.pinned_to())
    }

    /// Returns the number of problems.
    fn verdict(&self) -> String {
        let count =
            |severity: Severity| self.body.findings.iter().filter(|finding| finding.severity == severity).count();
        let several = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (serious, warnings) =
            (several(count(Severity::Serious), "serious problem"), several(count(Severity::Warning), "warning"));
        let found = match (count(Severity::Serious), count(Severity::Warning)) {
            (0, 0) => "No problem".to_string(),
            (_, 0) => serious,
            (0, _) => warnings,
            _ => format!("{serious}, {warnings}"),
        };
        format!("{found}.")
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

/// Returns a problem below an empty line, with its effect, and on a line of its own, to be copied whole, the command that changes it.
fn problem(finding: &FindingEntry) -> [String; 2] {
    let FindingEntry { id, severity, found, why, fix, .. } = finding;
    let fix = fix.as_ref().map_or(String::new(), |command| format!("\nfix: {command}"));
    [String::new(), format!("{}: {id}: {found}\n{why}{fix}", severity.name())]
}

/// Returns how many checks of each other severity there are.
fn counted(others: &[&FindingEntry]) -> String {
    let count = |severity: Severity| others.iter().filter(|finding| finding.severity == severity).count();
    let ok = count(Severity::Ok);
    let rest = [Severity::Info, Severity::Unknown].map(|severity| (count(severity), severity.name()));
    let rest: String =
        rest.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!(", {count} {name}")).collect();
    format!("{ok} check{} ok{rest} (--all shows them)", if ok == 1 { "" } else { "s" })
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

/// Returns why each finding matters that is no problem and not as it should be, with the command that changes it. An unknown one
/// that no command can find out is complete in its row.
fn notes(others: &[&FindingEntry]) -> Vec<String> {
    let note = |finding: &&&FindingEntry| {
        let FindingEntry { id, why, fix, .. } = finding;
        // On a line of its own, to be copied whole.
        let fix = fix.as_ref().map_or(String::new(), |command| format!("\nfix: {command}"));
        format!("{id}: {why}{fix}")
    };
    let is_worth_a_word = |finding: &&&FindingEntry| match finding.severity {
        Severity::Ok => false,
        Severity::Unknown => finding.fix.is_some(),
        Severity::Info | Severity::Warning | Severity::Serious => true,
    };
    others.iter().filter(is_worth_a_word).map(|finding| note(&finding)).collect()
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

    fn document(findings: Vec<FindingEntry>) -> DoctorDocument {
        let golden = include_str!("../../tests/golden/doctor-1.json");
        let mut document: DoctorDocument = serde_json::from_str(golden).unwrap();
        document.body.findings = findings;
        document
    }

    #[test]
    fn problems_come_first_with_their_commands_and_the_rest_is_counted() {
        let mut document = document(vec![
            finding("a", Severity::Ok, None),
            finding("b", Severity::Warning, Some("sudo x")),
            finding("c", Severity::Unknown, Some("sudo y")),
            finding("d", Severity::Info, None),
            finding("e", Severity::Unknown, None),
            finding("f", Severity::Serious, None),
        ]);
        let view = document.view(false);
        let problems = ["", "serious: f: something\nit matters", "", "warning: b: something\nit matters\nfix: sudo x"];
        assert_eq!(view.answer[0], "1 serious problem, 1 warning.");
        assert_eq!(view.answer[1..5], problems);
        let line = "1 check ok, 1 info, 2 unknown (--all shows them)".to_string();
        assert_eq!((view.folded, view.notes.len()), (Some(Folded { table: 0, from: 0, line }), 0));
        document.settings.all = true;
        let view = document.view(false);
        assert_eq!((view.folded, view.tables[0].rows.len()), (None, 6));
        assert_eq!(view.notes, ["c: it matters\nfix: sudo y", "d: it matters"]);
    }

    #[test]
    fn a_host_without_a_problem_is_said_to_have_none() {
        let view = document(vec![finding("a", Severity::Ok, None), finding("b", Severity::Ok, None)]).view(false);
        assert_eq!((view.answer[0].as_str(), view.answer.len()), ("No problem.", 3));
        assert_eq!(view.folded.unwrap().line, "2 checks ok (--all shows them)");
    }
}
