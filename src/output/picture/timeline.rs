//! A typical op as a picture: a lane for each participant, time to the right, and below it the events in words.
//!
//! ```text
//! leader     ██1███▒       ░░░░░░░░░███3████▒
//! follower   ░░░░░░▒██2███▒         ░░░░░░░░▒██4██
//! ```

use console::measure_text_width;

use crate::output::lanes;
use crate::sched::timeline::Timeline;

/// Longer lanes show no more.
const WIDEST_LANE: usize = 100;
/// Shorter lanes are illegible: only the words below stay.
const NARROWEST_LANE: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Blocked, or not of interest.
    Nothing,
    Runs,
    /// Runnable, not running.
    Waits,
    /// A context switch is under way on its CPU.
    Switches,
    /// A digit of a run slice's number.
    Number(char),
}

impl Cell {
    fn drawn(self, ascii: bool) -> char {
        match (self, ascii) {
            (Cell::Nothing, _) => ' ',
            (Cell::Runs, false) => '█',
            (Cell::Runs, true) => '#',
            (Cell::Waits, false) => '░',
            (Cell::Waits, true) => '.',
            (Cell::Switches, false) => '▒',
            (Cell::Switches, true) => '=',
            (Cell::Number(digit), _) => digit,
        }
    }
}

/// Draws a typical op in lines of at most this width, as far as names let it.
pub(super) fn draw(timeline: &Timeline, width: usize, ascii: bool) -> String {
    let names = lanes::names(timeline);
    let labels = names.iter().map(|name| measure_text_width(&label(name))).max().unwrap_or_default();
    let room = width.saturating_sub(labels + 2).min(WIDEST_LANE);
    let mut lines = Vec::new();
    if room >= NARROWEST_LANE && timeline.duration_ns > 0 {
        let scale = Scale { room, duration_ns: timeline.duration_ns };
        lines.push(format!("{}{}", " ".repeat(labels + 2), scale.ruler()));
        for name in &names {
            let cells = lane(timeline, name, scale);
            let drawn: String = cells.into_iter().map(|cell| cell.drawn(ascii)).collect();
            let label = label(name);
            let gap = " ".repeat(labels + 2 - measure_text_width(&label));
            lines.push(format!("{label}{gap}{drawn}").trim_end().to_string());
        }
        lines.push(legend(timeline, ascii, width));
    }
    lines.extend(in_words(timeline, labels, width));
    lines.join("\n")
}

/// A thread's name beside its lane, cut where it is long: the words below have it whole.
fn label(name: &str) -> String {
    const LONGEST: usize = 16;
    let cut = || name.chars().take(LONGEST - 1).chain(['…']).collect();
    if measure_text_width(name) <= LONGEST { name.to_string() } else { cut() }
}

/// An op's time in cells.
#[derive(Debug, Clone, Copy)]
struct Scale {
    room: usize,
    duration_ns: u64,
}

impl Scale {
    fn cell(self, at_ns: u64) -> usize {
        let share = at_ns.min(self.duration_ns) as f64 / self.duration_ns as f64;
        (share * self.room as f64).round() as usize
    }

    /// The cells of a run slice: one at least.
    fn cells(self, from_ns: u64, to_ns: u64) -> std::ops::Range<usize> {
        let from = self.cell(from_ns).min(self.room - 1);
        from..self.cell(to_ns).clamp(from + 1, self.room)
    }

    /// The op's begin and end over the lanes, and round times between them.
    fn ruler(self) -> String {
        /// A label every so many cells at most.
        const APART: usize = 10;
        let marks = (self.room / APART).max(1) as f64;
        let step = round_up(self.duration_ns as f64 / marks);
        let mut ruler = String::new();
        let mut at = 0.0;
        while at < self.duration_ns as f64 {
            let label = if at == 0.0 { "0".to_string() } else { short(at) };
            let cell = self.cell(at as u64);
            if cell + measure_text_width(&label) <= self.room {
                ruler.push_str(&" ".repeat(cell.saturating_sub(measure_text_width(&ruler))));
                ruler.push_str(&label);
            }
            at += step;
        }
        ruler
    }
}

/// The next of 1, 2, 5, 10, …
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|&round| round >= value).unwrap_or(10.0 * power)
}

/// A round time, without zeros after the point.
fn short(ns: f64) -> String {
    if ns >= 1000.0 { format!("{} µs", ns / 1000.0) } else { format!("{ns} ns") }
}

/// The cells of one lane: waits below, switches over them, run slices over all.
fn lane(timeline: &Timeline, name: &str, scale: Scale) -> Vec<Cell> {
    let mut cells = vec![Cell::Nothing; scale.room];
    let mut paint = |from: u64, to: u64, cell: Cell| cells[scale.cells(from, to)].fill(cell);
    for (from, to) in lanes::waits(timeline, name) {
        paint(from, to, Cell::Waits);
    }
    for (from, to) in lanes::switches_to(timeline, name) {
        paint(from, to, Cell::Switches);
    }
    let own = || timeline.run_slices.iter().enumerate().filter(|(_, run)| run.who == name);
    for (_, run) in own() {
        paint(run.from_ns, run.to_ns, Cell::Runs);
    }
    for (at, run) in own().filter(|(_, run)| run.participant) {
        let Some(number) = lanes::numbered(timeline).position(|other| other == at) else { continue };
        let digits: Vec<char> = (number + 1).to_string().chars().collect();
        let place = scale.cells(run.from_ns, run.to_ns);
        if digits.len() <= place.len() {
            let first = place.start + (place.len() - digits.len()) / 2;
            digits.iter().enumerate().for_each(|(digit, &drawn)| cells[first + digit] = Cell::Number(drawn));
        }
    }
    cells
}

fn legend(timeline: &Timeline, ascii: bool, width: usize) -> String {
    let sign = |cell: Cell| cell.drawn(ascii);
    let waits = lanes::any_waits(timeline).then(|| format!("{} could run, waits", sign(Cell::Waits)));
    let runs = format!("{} runs", sign(Cell::Runs));
    let switches = format!("{} is switched to", sign(Cell::Switches));
    let parts: Vec<String> = [Some(runs), waits, Some(switches)].into_iter().flatten().collect();
    textwrap::fill(&parts.join("   "), textwrap::Options::new(width).break_words(false))
}

/// A line for each run slice of a participant: its length, whom it woke, why it left, and what came before the next.
fn in_words(timeline: &Timeline, labels: usize, width: usize) -> Vec<String> {
    let several_cpus = timeline.run_slices.iter().any(|run| run.cpu != timeline.run_slices[0].cpu);
    let spans: Vec<String> =
        lanes::numbered(timeline).map(|at| lanes::span(&timeline.run_slices[at]).to_string()).collect();
    let widest = spans.iter().map(|span| measure_text_width(span)).max().unwrap_or_default();
    let line = |((number, at), span): ((usize, usize), &String)| {
        let run = &timeline.run_slices[at];
        let cpu = if several_cpus { format!("  CPU {}", run.cpu) } else { String::new() };
        let pad = |text: &str, to: usize| " ".repeat(to.saturating_sub(measure_text_width(text)));
        let head =
            format!("{:>2}  {}{}{cpu}  {}{span}  ", number + 1, run.who, pad(&run.who, labels), pad(span, widest));
        let text = format!("{head}{}", lanes::what_happened(timeline, run));
        let indent = " ".repeat(measure_text_width(&head).min(width / 2));
        textwrap::fill(&text, textwrap::Options::new(width).subsequent_indent(&indent).break_words(false))
    };
    lanes::numbered(timeline).enumerate().zip(&spans).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::timeline::{Left, RecordSource, Run, Wake};

    fn run(cpu: u32, who: &str, from_ns: u64, to_ns: u64, left: Left) -> Run {
        Run { cpu, who: who.to_string(), participant: ["leader", "follower"].contains(&who), from_ns, to_ns, left }
    }

    /// The leader wakes the follower, is preempted by it, and goes on when it sleeps.
    fn preempted() -> Timeline {
        Timeline {
            source: RecordSource::Cpu,
            ops: 1,
            alike: 1,
            by_switches: Vec::new(),
            duration_ns: 4000,
            switches: 2,
            run_slices: vec![
                run(0, "leader", 0, 1000, Left::Preempted),
                run(0, "follower", 1400, 2600, Left::Sleeps),
                run(0, "leader", 3000, 4000, Left::Stays),
            ],
            wake_ups: vec![Wake { at_ns: 600, by: "leader".to_string(), whom: "follower".to_string() }],
        }
    }

    #[test]
    fn a_preempted_round_trip_reads_from_left_to_right() {
        let expected = "          0         1 µs      2 µs      3 µs
leader    ████1█████░░░░░░░░░░░░░░░░▒▒▒▒████3█████
follower        ░░░░▒▒▒▒█████2██████
█ runs   ░ could run, waits   ▒ is switched to
 1  leader    1.00 µs  wakes follower, is
                       preempted
 2  follower  1.20 µs  goes to sleep
 3  leader    1.00 µs  goes on: the op ends";
        assert_eq!(draw(&preempted(), 50, false), expected);
    }

    #[test]
    fn a_page_too_narrow_for_lanes_has_the_words() {
        let text = draw(&preempted(), 30, false);
        assert!(!text.contains('█') && text.contains("1.00 µs"), "{text}");
        assert!(text.lines().all(|line| measure_text_width(line) <= 30), "{text}");
        assert!(draw(&preempted(), 1, false).contains("follower"));
    }

    #[test]
    fn without_block_characters_there_are_signs() {
        let text = draw(&preempted(), 50, true);
        assert!(text.contains("####1#####................====####3#####"), "{text}");
    }

    #[test]
    fn what_was_idle_and_who_else_ran_is_told_and_long_names_do_not_take_the_room() {
        let mut timeline = preempted();
        timeline.run_slices[1] = run(0, "idle", 1400, 2000, Left::Runnable);
        timeline.run_slices.insert(2, run(0, "a-very-long-name (4711)", 2100, 2600, Left::Sleeps));
        let text = draw(&timeline, 80, false);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("idle for 600 ns, a-very-long-name (4711)"), "{text}");
        assert!(text.contains("\na-very-long-nam…  ") && text.contains("\nidle "), "{text}");
    }

    #[test]
    fn a_damaged_document_is_drawn_somehow() {
        let mut timeline = preempted();
        timeline.run_slices[0] = run(7, "leader", u64::MAX, 5, Left::Unknown);
        timeline.duration_ns = 1;
        for width in [0, 1, 30, 80] {
            draw(&timeline, width, false);
        }
        timeline.duration_ns = u64::MAX;
        draw(&timeline, 80, false);
        (timeline.run_slices, timeline.duration_ns) = (Vec::new(), 0);
        assert_eq!(draw(&timeline, 80, true).lines().count(), 0);
    }
}
