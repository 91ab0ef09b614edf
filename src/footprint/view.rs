//! Report of participants' memory: screen and metrics.

use std::slice;

use crate::document::headline::headline;
use crate::document::invocation::Invocation;
use crate::document::{Ending, conditions, metrics};
use crate::estimate::Estimate;
use crate::footprint::document::{KindLeftOut, MemoryDocument};
use crate::footprint::figures::{FootprintRow, Held, KernelSource, held};
use crate::output::Shown;
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Level, LevelStyle, Levels, Picture, Table, View};
use crate::unit::{Bytes, Count, Nanoseconds, Roughly};
use crate::workload::kind::Kind;

const GIB: f64 = (1_u64 << 30) as f64;

/// Figures of a row, as metrics.
type Figure = (&'static str, Quantity, &'static str, fn(&FootprintRow) -> Option<Estimate>);

const FIGURES: [Figure; 13] = [
    ("memory_user", Quantity::Bytes, "Resident memory of user space that one more participant takes", |row| {
        row.user_bytes
    }),
    ("memory_kernel", Quantity::Bytes, "Memory of the kernel that one more participant takes", |row| row.kernel_bytes),
    ("memory_kernel_stack", Quantity::Bytes, "Kernel stacks that one more participant takes", |row| {
        row.kernel_stack_bytes
    }),
    ("memory_slab", Quantity::Bytes, "Slab memory that one more participant takes", |row| row.slab_bytes),
    ("memory_page_table", Quantity::Bytes, "Page tables that one more participant takes", |row| row.page_table_bytes),
    ("memory_resident", Quantity::Bytes, "Memory that one more participant takes, of user space and kernel", |row| {
        row.resident_bytes
    }),
    (
        "memory_randomized_resident",
        Quantity::Bytes,
        "Memory that one more participant takes, of user space and kernel, in processes with randomized addresses",
        |row| row.randomized_resident_bytes,
    ),
    ("memory_virtual", Quantity::Bytes, "Address space that one more participant takes", |row| row.virtual_bytes),
    (
        "memory_machine_kernel",
        Quantity::Bytes,
        "Memory of the kernel that one more participant takes, by /proc/meminfo and the page tables of its process",
        |row| row.machine_kernel_bytes,
    ),
    ("memory_own", Quantity::Bytes, "Memory per participant as its own runtime reports it", |row| row.own_bytes),
    ("memory_spawn", Quantity::Nanoseconds, "Time per participant until the call that makes it has returned", |row| {
        row.spawn_ns
    }),
    ("memory_first_run", Quantity::Nanoseconds, "Time per participant until its body has run", |row| row.first_run_ns),
    ("memory_join", Quantity::Nanoseconds, "Time per participant until it has ended", |row| row.join_ns),
];

impl Shown for MemoryDocument {
    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        metrics.rows(slice::from_ref(self), metrics::command).figure(
            "complete",
            Quantity::Count,
            "1 if the measurement was complete, 0 if it was ended early",
            |document| metrics::completeness(&document.body.ending),
        );
        let mut rows = metrics
            .rows(&self.body.rows, |row: &FootprintRow| -> Labels { vec![("kind", row.kind.name().to_string())] });
        for (name, quantity, help, figure) in FIGURES {
            rows.estimate(name, quantity, help, figure);
        }
        rows.figure(
            "memory_participants",
            Quantity::Count,
            "The highest count of participants that was parked",
            |row| row.counts.last().map(|&count| count as f64),
        );
        metrics
            .rows(&self.body.left_out, |left_out: &KindLeftOut| -> Labels { vec![("kind", left_out.kind.clone())] })
            .figure("memory_left_out", Quantity::Count, "1 for what cannot be measured here", |_| Some(1.0));
        metrics
    }

    fn view(&self, wide: bool) -> View {
        let sources = wide.then(|| source_table(&self.body.rows));
        let by_runtimes = if wide { self.own_sentences() } else { Vec::new() };
        let notes = self.randomized_sentences().into_iter().chain(by_runtimes);
        View {
            heading: self.heading(),
            answer: self.answer().into_iter().collect(),
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: std::iter::once(cost_table(&self.body.rows)).chain(sources).collect(),
            pictures: levels(&self.body.rows).into_iter().collect(),
            notes: notes.chain(self.body.left_out.iter().map(|left_out| format!("Not measured: {left_out}"))).collect(),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }
}

impl MemoryDocument {
    fn command(&self) -> String {
        let settings = &self.settings;
        Invocation::of(&self.host, "memory")
            .words(&settings.kinds)
            .option("--max", settings.max)
            .option("--repetitions", Some(settings.repetitions))
            .option("--stack-use", Some(settings.stack_use_bytes).filter(|&bytes| bytes > 0))
            .option("--future-size", Some(settings.future_size_bytes).filter(|&bytes| bytes > 0))
            .line()
    }

    fn heading(&self) -> Vec<String> {
        let settings = &self.settings;
        let huge = self.body.huge_pages.as_deref().unwrap_or("none");
        let mut how = vec![format!("{} repetitions", settings.repetitions), format!("huge pages: {huge}")];
        if settings.stack_use_bytes > 0 {
            how.push(format!("{} of each stack touched", Bytes(settings.stack_use_bytes as f64)));
        }
        if settings.future_size_bytes > 0 {
            how.push(format!("each task holds {}", Bytes(settings.future_size_bytes as f64)));
        }
        let ending = match &self.body.ending {
            Ending::Complete => None,
            Ending::Interrupted(_) => Some("partial: interrupted".to_string()),
            Ending::Failed(reason) => Some(format!("partial: ended by an error: {reason}")),
        };
        std::iter::once(headline(self, None, how)).chain(ending).collect()
    }

    /// Returns what one more of each kind takes, and how many of them a gigabyte holds.
    fn answer(&self) -> Option<String> {
        let takes = |row: &FootprintRow| {
            let bytes = Cell::estimate(Some(row.resident_bytes?), true, |bytes| Bytes(bytes).to_string());
            Some((row.kind.name(), bytes.shown().to_string()))
        };
        let mut each = self.body.rows.iter().filter_map(takes);
        let (first, bytes) = each.next()?;
        let others: String = each.map(|(kind, bytes)| format!(", one more {kind} {bytes}")).collect();
        let holds = self.capacity().map_or(String::new(), |holds| format!("; 1 GiB holds about {holds}"));
        Some(format!("One more {first} takes {bytes}{others}{holds}."))
    }

    /// Returns the numbers that a gigabyte holds, the smallest participants first.
    fn capacity(&self) -> Option<String> {
        let limits: Vec<(&str, u64)> =
            self.body.limits.iter().map(|limit| (limit.name.as_str(), limit.value)).collect();
        let mut all: Vec<_> =
            self.body.rows.iter().filter_map(|row| Some((row.kind, held(row, GIB, &limits)?))).collect();
        all.sort_by(|one, other| other.1.by_memory.total_cmp(&one.1.by_memory));
        let each = |(kind, held): &(Kind, Held)| {
            let number = Roughly(held.by_memory);
            match &held.cap {
                Some((name, value)) => format!("{number} {} (no more than {value} here: {name})", plural(*kind)),
                None => format!("{number} {}", plural(*kind)),
            }
        };
        let list: Vec<String> = all.iter().map(each).collect();
        (!list.is_empty()).then(|| list.join(", "))
    }

    /// Returns the memory of the same participants at the kernel's random addresses.
    fn randomized_sentences(&self) -> Vec<String> {
        let sentence = |row: &FootprintRow| {
            let bytes = Cell::estimate(Some(row.randomized_resident_bytes?), true, |bytes| Bytes(bytes).to_string());
            Some(format!(
                "The {} above have no address randomization; with it, as most programs run, one takes {}: its page tables vary from run to run.",
                plural(row.kind),
                bytes.shown()
            ))
        };
        self.body.rows.iter().filter_map(sentence).collect()
    }

    /// Returns what a runtime's own accounting shows beside the kernel's.
    fn own_sentences(&self) -> Vec<String> {
        let whole = if self.settings.stack_use_bytes > 0 {
            " It counts stacks whole, also what of them has not been touched."
        } else {
            ""
        };
        let sentence = |row: &FootprintRow| {
            let (own, user) = row.own_bytes.zip(row.user_bytes)?;
            let apart = (user.median / own.median - 1.0) * 100.0;
            Some(format!(
                "A {}'s runtime.MemStats report {} for it; resident memory is {apart:+.1} % beside that.{whole}",
                row.kind.name(),
                Bytes(own.median)
            ))
        };
        self.body.rows.iter().filter_map(sentence).collect()
    }
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Thread => "threads",
        Kind::Process => "processes",
        Kind::Task => "tasks",
        Kind::Coroutine => "coroutines",
        Kind::Goroutine => "goroutines",
        Kind::Reference => "references",
    }
}

/// Title of the table of memory.
const MEMORY: &str = "What one more participant takes";

fn cost_table(rows: &[FootprintRow]) -> Table {
    let columns = vec![
        column("kind", &["", "KIND"], 0),
        column("counts", &["", "up to"], 6),
        column("user_bytes", &["user", "resident"], 0),
        column("kernel_bytes", &["", "kernel"], 0),
        column("resident_bytes", &["", "total"], 0),
        column("virtual_bytes", &["", "virtual"], 3),
        column("spawn_ns", &["spawn", "ns"], 2),
        column("first_run_ns", &["first", "run ns"], 4),
        column("join_ns", &["join", "ns"], 5),
    ];
    let cells = |row: &FootprintRow| {
        let mut cells = vec![
            Cell::text(row.kind.name()),
            Cell::number(row.counts.last().map(|&count| count as f64), |count| Count(count).to_string()),
            bytes(row.user_bytes),
            bytes(row.kernel_bytes),
            Cell::estimate(row.resident_bytes, true, |bytes| Bytes(bytes).to_string()),
            bytes(row.virtual_bytes),
        ];
        let ns = |estimate: Option<Estimate>| Cell::estimate(estimate, false, |ns| Nanoseconds(ns).to_string());
        cells.extend([row.spawn_ns, row.first_run_ns, row.join_ns].map(ns));
        cells
    };
    Table { title: MEMORY, columns, rows: rows.iter().map(cells).collect() }
}

/// Returns the resident memory of each kind; `None` if there is none.
fn levels(rows: &[FootprintRow]) -> Option<Picture> {
    let level = |row: &FootprintRow| Level {
        label: row.kind.name().to_string(),
        series: "user and kernel".to_string(),
        figures: vec![Cell::estimate(row.resident_bytes, true, |bytes| Bytes(bytes).to_string())],
    };
    let levels: Vec<Level> = rows.iter().filter(|row| row.resident_bytes.is_some()).map(level).collect();
    (!levels.is_empty()).then_some(Picture::Levels(Levels {
        title: "Memory that one more participant takes, user and kernel; relative: by the least".to_string(),
        table: MEMORY,
        quantity: Quantity::Bytes,
        style: LevelStyle::Dots,
        heads: vec!["total"],
        levels,
    }))
}

/// Returns a table of other sources, and of the parts of kernel memory.
fn source_table(rows: &[FootprintRow]) -> Table {
    let columns = vec![
        column("kind", &["", "KIND"], 0),
        column("kernel_source", &["kernel", "by"], 3),
        column("machine_kernel_bytes", &["kernel by", "meminfo"], 0),
        column("kernel_stack_bytes", &["kernel", "stacks"], 0),
        column("slab_bytes", &["", "slab"], 0),
        column("page_table_bytes", &["page", "tables"], 0),
        column("own_bytes", &["by its own", "runtime"], 1),
        column("huge_bytes", &["in huge", "pages"], 2),
        column("repetitions", &["", "repetitions"], 4),
        column("disturbed", &["", "disturbed"], 4),
    ];
    let number = |count: usize| Cell::number(Some(count as f64), |count| format!("{count:.0}"));
    let cells = |row: &FootprintRow| {
        let source = match row.kernel_source {
            KernelSource::Cgroup => "cgroup",
            KernelSource::Meminfo => "meminfo",
        };
        let mut cells = vec![Cell::text(row.kind.name()), Cell::text(source)];
        let figures =
            [row.machine_kernel_bytes, row.kernel_stack_bytes, row.slab_bytes, row.page_table_bytes, row.own_bytes];
        cells.extend(figures.into_iter().chain([row.huge_bytes]).map(bytes));
        cells.extend([number(row.repetitions), number(row.disturbed)]);
        cells
    };
    Table { title: "Where that comes from", columns, rows: rows.iter().map(cells).collect() }
}

fn bytes(estimate: Option<Estimate>) -> Cell {
    Cell::estimate(estimate, false, |bytes| Bytes(bytes).to_string())
}

fn column(key: &'static str, heading: &[&str], expendable: u8) -> Column {
    let align = if ["kind", "kernel_source"].contains(&key) { Align::Left } else { Align::Right };
    Column::new(key, heading, align, expendable)
}
