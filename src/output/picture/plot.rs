//! Curves in characters.
//!
//! ```text
//! net ns per switch, logarithmic
//! 16000 |                    :                 ··*
//!       |                    :            ·····
//!       |                    :      ···*··
//!       |                    : ·····
//!  1000 |*·········*·········*·
//!       +-----------------------------------------
//!        4K        8K        16K       32K     64K
//!                            L1d
//! * thread-pipe
//! ```

use console::measure_text_width;
use textwrap::Options;

use crate::output::view::{Mark, Plot};
use crate::unit::Nanoseconds;

/// Marks of the values, by curve; curves beyond these start over.
const MARKS: [char; 8] = ['*', 'o', '+', 'x', '#', '@', '%', '$'];
/// Mark of a cell in which values of several curves meet.
const SEVERAL: char = '&';
/// Dots from one value to the next, and their ASCII form.
const BETWEEN: char = '·';
const BETWEEN_ASCII: char = '.';
/// Vertical line at a place along the steps.
const PLACE: char = ':';

/// More columns or lines show no more.
const WIDEST: usize = 72;
const HIGHEST: usize = 15;
const LOWEST: usize = 8;
/// Fewer columns show nothing.
const NARROWEST: usize = 16;

/// Draws it, as far as there is room and something to be drawn.
pub(super) fn draw(plot: &Plot, width: usize, ascii: bool) -> String {
    let wrapped = |text: &str| textwrap::fill(text, Options::new(width).subsequent_indent("  ").break_words(false));
    let Some(scale) = Scale::of(plot) else { return wrapped(&format!("{}: nothing to be drawn", plot.title)) };
    let label_width = |height: usize| scale.labels(height).iter().flatten().map(String::len).max();
    let label_width = (LOWEST..=HIGHEST).filter_map(label_width).max().unwrap_or_default();
    let columns = width.saturating_sub(label_width + 2).min(WIDEST);
    if columns < NARROWEST {
        return wrapped(&format!("{}: no room for a picture here", plot.title));
    }
    let canvas = Canvas { plot, scale, columns, height: (columns / 5).clamp(LOWEST, HIGHEST) };
    let logarithmic = if scale.logarithmic { ", logarithmic" } else { "" };
    let mut lines = vec![wrapped(&format!("{}{logarithmic}", plot.title))];
    for (label, cells) in scale.labels(canvas.height).iter().zip(canvas.cells(ascii)) {
        let cells: String = cells.into_iter().collect();
        let label = label.as_deref().unwrap_or_default();
        lines.push(format!("{label:>label_width$} |{cells}").trim_end().to_string());
    }
    let margin = " ".repeat(label_width + 2);
    lines.push(format!("{}+{}", " ".repeat(label_width + 1), "-".repeat(columns)));
    lines.extend(canvas.step_labels().map(|labels| format!("{margin}{labels}")));
    lines.extend(canvas.place_labels().into_iter().map(|labels| format!("{margin}{labels}")));
    lines.extend(legend(plot, canvas.has_shared_cells(), width));
    lines.join("\n")
}

/// Returns the legend of the marks, in as many lines as it takes.
fn legend(plot: &Plot, several: bool, width: usize) -> Vec<String> {
    const GAP: usize = 3;
    let names = plot.curves.iter().enumerate().map(|(at, curve)| format!("{} {}", mark(at), curve.name));
    let places = (!plot.places.is_empty()).then(|| format!("{PLACE} {}", plot.places_are));
    let several = several.then(|| format!("{SEVERAL} several of them"));
    let mut lines: Vec<String> = Vec::new();
    for entry in names.chain(several).chain(places) {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + GAP + measure_text_width(&entry) <= width => {
                *line += &format!("{}{entry}", " ".repeat(GAP));
            }
            _ => lines.push(entry),
        }
    }
    lines
}

fn mark(curve: usize) -> char {
    MARKS[curve % MARKS.len()]
}

/// Mapping of values to lines.
#[derive(Debug, Clone, Copy)]
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    /// From the least value to the most, by their logarithms, if they are far from each other; else from 0.
    fn of(plot: &Plot) -> Option<Scale> {
        let most = plot.medians().reduce(f64::max)?;
        Some(match plot.logarithmic_from() {
            Some(least) => Scale { least, most, logarithmic: true },
            None => Scale { least: plot.medians().fold(0.0, f64::min), most: most.max(0.0), logarithmic: false },
        })
    }

    /// Returns the position of a value between the bottom, 0, and the top, 1; `None` for one that has no logarithm.
    fn share(&self, value: f64) -> Option<f64> {
        let share = match self.logarithmic {
            true if value > 0.0 => (value / self.least).ln() / (self.most / self.least).ln(),
            true => return None,
            false if self.most > self.least => (value - self.least) / (self.most - self.least),
            false => 0.0,
        };
        share.is_finite().then_some(share.clamp(0.0, 1.0))
    }

    fn value(&self, share: f64) -> f64 {
        if self.logarithmic {
            self.least * (self.most / self.least).powf(share)
        } else {
            self.least + (self.most - self.least) * share
        }
    }

    /// Returns the label of each line from the top: highest and lowest have their values, and so has every third between.
    fn labels(&self, height: usize) -> Vec<Option<String>> {
        const EVERY: usize = 3;
        let label = |line: usize| {
            let up = height - 1 - line;
            let is_labelled = line == 0 || (up % EVERY == 0 && line != 1);
            is_labelled.then(|| Nanoseconds(self.value(up as f64 / (height - 1) as f64)).to_string())
        };
        (0..height).map(label).collect()
    }
}

struct Canvas<'p> {
    plot: &'p Plot,
    scale: Scale,
    columns: usize,
    height: usize,
}

impl Canvas<'_> {
    /// The column of a place along the steps.
    fn column(&self, at: f64) -> usize {
        let last = self.plot.steps.len().saturating_sub(1).max(1) as f64;
        ((at / last).clamp(0.0, 1.0) * (self.columns - 1) as f64).round() as usize
    }

    fn line(&self, share: f64) -> usize {
        ((1.0 - share) * (self.height - 1) as f64).round() as usize
    }

    /// The values of a curve that can be drawn: step and share of the height.
    fn points(&self, curve: usize) -> Vec<(usize, f64)> {
        let values = self.plot.curves[curve].values.iter().enumerate();
        values.filter_map(|(step, value)| Some((step, self.scale.share((*value)?.median)?))).collect()
    }

    /// The cell of every value.
    fn marks(&self) -> Vec<(usize, usize, usize)> {
        let of_curve = |curve: usize| {
            let cell = move |(step, share): (usize, f64)| (self.line(share), self.column(step as f64), curve);
            self.points(curve).into_iter().map(cell)
        };
        (0..self.plot.curves.len()).flat_map(of_curve).collect()
    }

    fn has_shared_cells(&self) -> bool {
        let marks = self.marks();
        marks.iter().any(|one| marks.iter().any(|other| (one.0, one.1) == (other.0, other.1) && one.2 != other.2))
    }

    /// Returns the lines from the top, of so many characters each: places, then the dots between values, then the values.
    fn cells(&self, ascii: bool) -> Vec<Vec<char>> {
        let mut cells = vec![vec![' '; self.columns]; self.height];
        for place in &self.plot.places {
            let column = self.column(place.at);
            cells.iter_mut().for_each(|line| line[column] = PLACE);
        }
        let between = if ascii { BETWEEN_ASCII } else { BETWEEN };
        for curve in 0..self.plot.curves.len() {
            let points = self.points(curve);
            for pair in points.windows(2) {
                // No dots lead over a missing step.
                let [(from_step, from), (to_step, to)] = [pair[0], pair[1]];
                if to_step == from_step + 1 {
                    let (left, right) = (self.column(from_step as f64), self.column(to_step as f64));
                    (left + 1..right).for_each(|column| {
                        let way = (column - left) as f64 / (right - left) as f64;
                        cells[self.line(from + (to - from) * way)][column] = between;
                    });
                }
            }
        }
        let mut owners = vec![vec![None; self.columns]; self.height];
        for (line, column, curve) in self.marks() {
            let is_taken = owners[line][column].replace(curve).is_some_and(|owner| owner != curve);
            cells[line][column] = if is_taken { SEVERAL } else { mark(curve) };
        }
        cells
    }

    /// The names of the steps below their columns, of as many as have room.
    fn step_labels(&self) -> Option<String> {
        let widest = self.plot.steps.iter().map(|step| measure_text_width(step)).max()?;
        let room = (self.columns - 1) / self.plot.steps.len().saturating_sub(1).max(1);
        let every = (widest + 1).div_ceil(room.max(1));
        let labels = self.plot.steps.iter().enumerate().step_by(every);
        let labels: Vec<Mark> = labels.map(|(at, step)| Mark { at: at as f64, label: step.clone() }).collect();
        self.rows_of(&labels).into_iter().next()
    }

    /// The names of the places below theirs, in as many lines as keep them apart.
    fn place_labels(&self) -> Vec<String> {
        self.rows_of(&self.plot.places)
    }

    /// Labels that begin at their columns, or as far left of it as the right edge asks for; what would touch the one before
    /// it goes to the next line.
    fn rows_of(&self, labels: &[Mark]) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        for label in labels {
            let begin = self.column(label.at).min(self.columns.saturating_sub(measure_text_width(&label.label)));
            let has_room = |row: &String| row.is_empty() || measure_text_width(row) < begin;
            let at = rows.iter().position(has_room).unwrap_or_else(|| {
                rows.push(String::new());
                rows.len() - 1
            });
            let padding = begin - measure_text_width(&rows[at]).min(begin);
            rows[at] += &format!("{}{}", " ".repeat(padding), label.label);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Estimate;
    use crate::output::view::Curve;
    use proptest::prelude::*;

    fn known(median: f64) -> Estimate {
        Estimate { median, low: None, high: None }
    }

    fn plot() -> Plot {
        let curve = |name: &str, values: &[f64]| Curve {
            name: name.to_string(),
            values: values.iter().map(|&value| (value > 0.0).then_some(known(value))).collect(),
        };
        Plot {
            title: "net ns per switch".to_string(),
            steps: ["4K", "8K", "16K", "32K", "64K"].map(String::from).to_vec(),
            curves: vec![
                curve("thread-pipe", &[1000.0, 1000.0, 1000.0, 4000.0, 16_000.0]),
                curve("task-notify", &[100.0, 100.0, 0.0, 4000.0, 8000.0]),
            ],
            places: vec![Mark { at: 2.0, label: "L1d".to_string() }],
            places_are: "a cache".to_string(),
        }
    }

    #[test]
    fn curves_go_from_step_to_step_with_places_behind_them() {
        let expected = "\
net ns per switch, logarithmic
16,000 |                    :                ··*
       |                    :           ·······o
       |                    :      ··&····
       |                    : ·····
   880 |*·········*·········*·
       |                    :
       |                    :
   100 |o·········o         :
       +----------------------------------------
        4K        8K        16K      32K     64K
                            L1d
* thread-pipe   o task-notify
& several of them   : a cache";
        assert_eq!(draw(&plot(), 48, false), expected);
    }

    #[test]
    fn values_near_each_other_start_from_0() {
        let mut plot = plot();
        plot.curves.pop();
        plot.curves[0].values = [1000.0, 1100.0, 900.0, 1000.0, 1000.0].map(|value| Some(known(value))).to_vec();
        let text = draw(&plot, 60, false);
        assert!(!text.contains("logarithmic") && text.contains("\n    0 |"), "{text}");
    }

    #[test]
    fn it_is_as_wide_as_there_is_room_and_gives_up_where_there_is_none() {
        let widest = |width| draw(&plot(), width, false).lines().map(measure_text_width).max().unwrap();
        for width in [30, 60, 78] {
            assert!(widest(width) <= width && widest(width) > width - 8, "{width}: {}", draw(&plot(), width, false));
        }
        assert!(widest(1000) < 100);
        assert!(draw(&plot(), 20, false).contains("no room"));
    }

    #[test]
    fn ascii_has_nothing_else() {
        let text = draw(&plot(), 60, true);
        assert!(text.is_ascii() && text.contains("*....."), "{text}");
    }

    #[test]
    fn many_steps_are_named_as_far_as_there_is_room() {
        let mut plot = plot();
        plot.steps = (0..40).map(|step| format!("{}K", 1_u64 << step.min(20))).collect();
        plot.curves = vec![Curve { name: "one".to_string(), values: vec![Some(known(1.0)); 40] }];
        let text = draw(&plot, 60, false);
        assert!(text.lines().all(|line| measure_text_width(line) <= 60), "{text}");
    }

    #[test]
    fn nothing_measured_is_said() {
        let nothing =
            Plot { title: "t".to_string(), steps: vec![], curves: vec![], places: vec![], places_are: String::new() };
        assert_eq!(draw(&nothing, 60, false), "t: nothing to be drawn");
        let one = Plot {
            title: "t".to_string(),
            steps: vec!["4K".to_string()],
            curves: vec![Curve { name: "one".to_string(), values: vec![Some(known(-3.0))] }],
            places: vec![],
            places_are: String::new(),
        };
        assert!(draw(&one, 60, false).contains("* one"));
    }

    proptest! {
        #[test]
        fn no_plot_makes_it_panic(
            values in prop::collection::vec(prop::collection::vec(prop::option::of(any::<f64>()), 0..9), 0..9),
            at in any::<f64>(),
            width in 0..200_usize,
        ) {
            let steps = (0..values.iter().map(Vec::len).max().unwrap_or(0)).map(|step| step.to_string()).collect();
            let curve = |values: Vec<Option<f64>>| Curve {
                name: "c".to_string(),
                values: values.into_iter().map(|value| value.map(known)).collect(),
            };
            let curves = values.into_iter().map(curve).collect();
            let places = vec![Mark { at, label: "p".to_string() }];
            draw(&Plot { title: "t".to_string(), steps, curves, places, places_are: String::new() }, width, false);
        }
    }
}
