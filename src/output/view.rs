//! A report for people, as plain data: headings, tables, notes.

use crate::estimate::Estimate;
use crate::output::metrics::Quantity;
use crate::sched::timeline::Timeline;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Above everything: the host and how it was measured.
    pub heading: Vec<String>,
    /// The answer with its interval, in a line or a few, of which the first is understood by itself: pages begin with it.
    pub answer: Vec<String>,
    /// Label under which a screen has the answer below its tables, as a summary; `None` where the answer comes first.
    pub answer_label: Option<&'static str>,
    /// The trust that the answer deserves, in one line.
    pub quality: Option<String>,
    /// The command that measures this again.
    pub command: Option<String>,
    /// Other facts of the host and the moment; for pages, which are read elsewhere and later.
    pub conditions: Vec<Condition>,
    pub tables: Vec<Table>,
    /// The part of a table that a screen leaves out; files have all of it.
    pub folded: Option<Folded>,
    /// Below the tables, drawn for people only.
    pub pictures: Vec<Picture>,
    /// Below: the meaning of the figures and the next step.
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

impl View {
    /// The lines below the tables that stand beside a label: the answer, unless it comes first, and the quality.
    pub(super) fn labelled(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let label = self.answer_label.into_iter();
        // A second sentence of the same answer has no label of its own.
        let labels = move |label: &'static str| std::iter::once(label).chain(std::iter::repeat(" "));
        let answer = label.flat_map(move |label| labels(label).zip(self.answer.iter().map(String::as_str)));
        answer.chain(self.quality.as_deref().map(|quality| ("Quality", quality)))
    }

    /// Returns the first sentence of the answer, and what follows it in its line; without an answer, the heading's first line, or what
    /// the first table is of.
    pub fn claim(&self) -> (&str, Option<&str>) {
        let title = || self.tables.first().map_or("ctxprof", |table| table.title);
        let Some(first) = self.answer.first().or(self.heading.first()) else { return (title(), None) };
        match first.find(". ") {
            Some(end) => (&first[..=end], Some(first[end + 1..].trim_start())),
            None => (first, None),
        }
    }

    /// Returns when and where this was measured.
    pub fn measured(&self) -> String {
        let fact = |name| self.conditions.iter().find(|condition| condition.name == name);
        let fact = |name| fact(name).map(|condition| condition.value.as_str());
        // The claim, where there is no answer.
        let what = self.heading.first().filter(|_| !self.answer.is_empty()).map(String::as_str);
        let release = fact(Condition::KERNEL).and_then(|kernel| kernel.split(' ').next());
        let is_named = |release: &str| self.heading.iter().any(|line| line.contains(release));
        let host = release.filter(|release| !is_named(release)).map(|release| {
            let others = [Condition::CPU, Condition::HYPERVISOR].into_iter().filter_map(fact);
            others.fold(format!("Linux {release}"), |host, other| format!("{host}, {other}"))
        });
        let parts = [fact(Condition::MEASURED), what, host.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// Rows of a table that a screen leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Its place among the tables.
    pub table: usize,
    /// The first of the rows.
    pub from: usize,
    /// Printed in their place.
    pub line: String,
}

/// A named condition that affects the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub name: &'static str,
    pub value: String,
}

impl Condition {
    /// Names of the facts without which no figure means anything; the first is the moment at which the document began.
    pub const MEASURED: &'static str = "measured";
    pub const KERNEL: &'static str = "kernel";
    pub const CPU: &'static str = "CPU";
    pub const HYPERVISOR: &'static str = "hypervisor";
}

/// Figures that have a shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// Figures side by side with their intervals. In characters a table says as much.
    Levels(Levels),
    /// Wholes divided into their parts; likewise.
    Stacks(Stacks),
    /// Changes with their intervals, to both sides of no change; likewise.
    Changes(Changes),
    /// Counts by size, on a logarithmic scale, in characters: pages have the percentiles of all rows side by side.
    Histogram { title: String, bars: Vec<Bar> },
    /// Who ran when, of an op.
    Timeline { title: String, op: Timeline },
    /// Curves over steps that stand at equal distances.
    Plot(Plot),
}

impl Picture {
    /// Returns the title of the table that has the same figures, above which pages draw this.
    pub fn table(&self) -> Option<&'static str> {
        match self {
            Picture::Levels(levels) => Some(levels.table),
            Picture::Stacks(stacks) => Some(stacks.table),
            Picture::Changes(changes) => Some(changes.table),
            Picture::Histogram { .. } | Picture::Timeline { .. } | Picture::Plot(_) => None,
        }
    }
}

/// One size, or range of sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub label: String,
    /// The count: the bar's length goes by its logarithm.
    pub value: f64,
    /// The value as printed.
    pub text: String,
}

/// Figures of one quantity, on a logarithmic scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    pub title: String,
    /// Title of the table with the same figures.
    pub table: &'static str,
    pub quantity: Quantity,
    pub style: LevelStyle,
    /// Heads of a row's figures.
    pub heads: Vec<&'static str>,
    pub levels: Vec<Level>,
}

/// The form in which the figures of a row are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelStyle {
    /// Each a dot on its interval, with how many times the least of the first ones it is, where a row has all figures.
    Dots,
    /// Ascending, on one line from the first to the last.
    Spans,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    pub label: String,
    /// Group of the rows that share a colour.
    pub series: String,
    /// One for each head, as in the table.
    pub figures: Vec<Cell>,
}

/// Wholes of one quantity, side by side in their parts, from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Stacks {
    pub title: String,
    /// Title of the table with the same figures.
    pub table: &'static str,
    pub quantity: Quantity,
    pub parts: Vec<String>,
    pub stacks: Vec<Stack>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub label: String,
    /// One for each of the parts.
    pub values: Vec<f64>,
    /// The whole as printed.
    pub text: String,
}

/// Relative changes: 0.1 is a tenth more.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    pub title: String,
    /// Title of the table with the same figures.
    pub table: &'static str,
    pub changes: Vec<ChangeBar>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChangeBar {
    pub label: String,
    /// Group of the rows that share a colour: the verdict.
    pub series: String,
    pub value: Estimate,
    /// Size above which a change counts.
    pub threshold: f64,
    pub text: String,
}

/// Curves over the same steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    pub title: String,
    /// Short name of each step.
    pub steps: Vec<String>,
    pub curves: Vec<Curve>,
    /// Marks at places between or at steps, such as cache sizes.
    pub places: Vec<Mark>,
    /// Name of the kind of those places.
    pub places_are: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub name: String,
    /// One per step, in ns; `None` where nothing was measured.
    pub values: Vec<Option<Estimate>>,
}

impl Plot {
    /// Values that differ by more than this factor are shown by their logarithms.
    const LINEAR: f64 = 8.0;

    /// Every median that is a number.
    pub fn medians(&self) -> impl Iterator<Item = f64> {
        let values = self.curves.iter().flat_map(|curve| &curve.values).flatten();
        values.map(|value| value.median).filter(|median| median.is_finite())
    }

    /// The least value above 0, if the values are to be shown by their logarithms.
    pub fn logarithmic_from(&self) -> Option<f64> {
        let least = self.medians().filter(|&median| median > 0.0).reduce(f64::min)?;
        (self.medians().reduce(f64::max)? > Self::LINEAR * least).then_some(least)
    }
}

/// A place along the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// In steps from the first: 1.5 is in the middle between the second and the third.
    pub at: f64,
    pub label: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Caption, for pages and for screen readers.
    pub title: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Its name on the command line: the caption in small letters, with hyphens.
    pub fn name(&self) -> String {
        let words = self.title.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
    }

    /// The same table without the column of this key.
    pub fn without(mut self, key: &str) -> Table {
        if let Some(at) = self.columns.iter().position(|column| column.key == key) {
            self.columns.remove(at);
            self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in CSV, with the unit.
    pub key: &'static str,
    /// Its heading for people, in lines.
    pub heading: Vec<String>,
    pub align: Align,
    /// When a terminal is narrow, the column with the highest number goes first; 0 stays.
    pub expendable: u8,
    /// True if its text may be broken into lines to fit.
    pub wraps: bool,
}

impl Column {
    /// Returns a column whose text stays on one line.
    pub fn new(key: &'static str, heading: &[&str], align: Align, expendable: u8) -> Column {
        let heading = heading.iter().map(|line| line.to_string()).collect();
        Column { key, heading, align, expendable, wraps: false }
    }

    /// Its heading on one line: a word that was parted is whole again.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for line in self.heading.iter().filter(|line| !line.is_empty()) {
            match name.strip_suffix('-').map(str::len) {
                Some(parted) => name.truncate(parted),
                None if !name.is_empty() => name.push(' '),
                None => {}
            }
            name += line;
        }
        name
    }
}

/// Returns the half width of an interval in per cent: `±1.2%`.
pub fn half_width(share: f64) -> String {
    match share {
        // From 100 % on, a decimal carries nothing and takes the width of a narrow terminal; from ten times on, digits do.
        share if share >= 9.995 => "±>999%".to_string(),
        share => format!("±{:.*}%", usize::from(share < 0.9995), share * 100.0),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    /// Text from elsewhere, taken literally: no markup.
    Name(String),
    /// A value, and its text as printed.
    Number {
        value: f64,
        text: String,
    },
    /// A median with its interval, and its text as printed.
    Estimate {
        value: Estimate,
        text: String,
    },
    Absent,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    pub fn name(name: impl Into<String>) -> Cell {
        Cell::Name(name.into())
    }

    /// A number shown by `show`, or nothing.
    pub fn number(value: Option<f64>, show: impl FnOnce(f64) -> String) -> Cell {
        value.map_or(Cell::Absent, |value| Cell::Number { value, text: show(value) })
    }

    /// An estimate whose median is shown by `show`, followed by its interval as ± per cent if wished; or nothing.
    pub fn estimate(value: Option<Estimate>, interval: bool, show: impl FnOnce(f64) -> String) -> Cell {
        let Some(value) = value else { return Cell::Absent };
        let median = show(value.median);
        let text = match value.relative_half_width() {
            _ if value.is_at_most() => format!("≤ {median}"),
            Some(share) if interval => format!("{median} {}", half_width(share)),
            _ => median,
        };
        Cell::Estimate { value, text }
    }

    /// An estimate and the ends of its interval, each shown by `show`; or nothing.
    pub fn interval(value: Option<Estimate>, show: impl Fn(f64) -> String) -> Cell {
        let Some(value) = value else { return Cell::Absent };
        let text = match (value.low, value.high) {
            (Some(low), Some(high)) => format!("{} [{}, {}]", show(value.median), show(low), show(high)),
            (None, Some(_)) => format!("≤ {}", show(value.median)),
            _ => show(value.median),
        };
        Cell::Estimate { value, text }
    }

    /// The figure, if it is one.
    pub fn as_estimate(&self) -> Option<Estimate> {
        match self {
            Cell::Estimate { value, .. } => Some(*value),
            Cell::Number { value, .. } => Some(Estimate { median: *value, low: None, high: None }),
            Cell::Text(_) | Cell::Name(_) | Cell::Absent => None,
        }
    }

    /// The text as printed.
    pub fn shown(&self) -> &str {
        match self {
            Cell::Text(text) | Cell::Name(text) | Cell::Number { text, .. } | Cell::Estimate { text, .. } => text,
            Cell::Absent => "–",
        }
    }
}
