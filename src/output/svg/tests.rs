use proptest::prelude::*;

use crate::estimate::Estimate;
use crate::output::metrics::Quantity;
use crate::output::svg::paper::text_width;
use crate::output::svg::*;
use crate::output::view::{Bar, Cell, ChangeBar, Changes, Curve, Level, LevelStyle, Levels, Mark, Plot, Stack, Stacks};
use crate::sched::timeline::{Left, RecordSource, Run, Timeline, Wake};

fn estimate(median: f64, low: f64, high: f64) -> Estimate {
    Estimate { median, low: Some(low), high: Some(high) }
}

fn level(label: &str, series: &str, median: f64) -> Level {
    let value = estimate(median, median * 0.9, median * 1.1);
    let figures = vec![Cell::Estimate { value, text: format!("{median} ±10%") }];
    Level { label: label.to_string(), series: series.to_string(), figures }
}

fn levels(levels: Vec<Level>) -> Picture {
    of_style(LevelStyle::Dots, levels)
}

fn of_style(style: LevelStyle, levels: Vec<Level>) -> Picture {
    let heads = vec!["ns/op"; levels.iter().map(|level| level.figures.len()).max().unwrap_or_default()];
    let title = "t".to_string();
    Picture::Levels(Levels { title, table: "T", quantity: Quantity::Nanoseconds, style, heads, levels })
}

fn stacks(values: Vec<Vec<f64>>) -> Picture {
    let stack = |values: Vec<f64>| Stack { label: "s".to_string(), text: format!("{}", values.len()), values };
    let parts = ["running", "waiting", "lost"].map(String::from).to_vec();
    let stacks = values.into_iter().map(stack).collect();
    Picture::Stacks(Stacks { title: "t".to_string(), table: "T", quantity: Quantity::Count, parts, stacks })
}

fn plot(values: Vec<Vec<Option<Estimate>>>, at: f64) -> Picture {
    let steps = (0..values.iter().map(Vec::len).max().unwrap_or(0)).map(|step| format!("{step}K")).collect();
    let curves = values.into_iter().map(|values| Curve { name: "c".to_string(), values }).collect();
    let places = vec![Mark { at, label: "L1d".to_string() }];
    Picture::Plot(Plot { title: "t".to_string(), steps, curves, places, places_are: "a cache".to_string() })
}

fn timeline(duration_ns: u64, from_ns: u64) -> Picture {
    let run =
        |who: &str, from_ns, to_ns, left| Run { cpu: 0, who: who.to_string(), participant: true, from_ns, to_ns, left };
    let op = Timeline {
        source: RecordSource::Cpu,
        ops: 1,
        alike: 1,
        by_switches: Vec::new(),
        duration_ns,
        switches: 2,
        run_slices: vec![run("leader", from_ns, 1000, Left::Preempted), run("follower", 1400, 2600, Left::Sleeps)],
        wake_ups: vec![Wake { at_ns: 600, by: "leader".to_string(), whom: "follower".to_string() }],
    };
    Picture::Timeline { title: "t".to_string(), op }
}

fn drawn(picture: &Picture, paper: Paper) -> anyhow::Result<String> {
    draw(picture, paper).map(|svg| svg.expect("a picture for pages"))
}

/// Draws it on both papers, and compares the texts of each.
#[track_caller]
fn check(picture: &Picture, texts: &[&str]) {
    for paper in Paper::ALL {
        let svg = drawn(picture, paper).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in texts {
            assert!(svg.contains(&format!(">\n{text}\n<")), "{text:?} is not in {svg}");
        }
    }
}

/// A text of a drawing, and where it lies.
struct Text<'s> {
    x: u32,
    /// True if `x` is the middle of the text, as of the labels of an axis.
    is_centred: bool,
    words: &'s str,
}

fn texts(svg: &str) -> Vec<Text<'_>> {
    let each = svg.split("<text ").skip(1).map(|element| {
        let x = element.split("x=\"").nth(1).and_then(|x| x.split('"').next()).unwrap().parse().unwrap();
        let is_centred = element.contains("text-anchor=\"middle\"");
        let words = element.split_once(">\n").and_then(|(_, rest)| rest.split_once('\n')).unwrap().0;
        Text { x, is_centred, words }
    });
    each.collect()
}

/// A tick at the very end of an axis has half of its label beyond it.
#[test]
fn the_last_label_of_an_axis_is_within_the_drawing() {
    for paper in Paper::ALL {
        let svg = drawn(&timeline(8000, 0), paper).unwrap();
        let ends = texts(&svg).into_iter().filter(|text| text.is_centred);
        let (end, words) = ends.map(|text| (text.x + text_width(text.words) / 2, text.words)).max().unwrap();
        assert!(words.ends_with("µs") && end <= paper.width(), "{words:?} ends at {end} of {}", paper.width());
    }
}

#[test]
fn a_lane_of_a_long_name_has_as_much_of_it_as_there_is_room_for() {
    let Picture::Timeline { title, op } = timeline(4000, 0) else { unreachable!() };
    for (name, narrow) in [("ctxprof (3798)", "ctxprof (3798)"), ("kworker/u8:2-ev (1234567)", "kworker/u8:2-ev (12…")]
    {
        let unknown_process = Run { who: name.to_string(), participant: false, ..op.run_slices[0].clone() };
        let run_slices = op.run_slices.iter().cloned().chain([unknown_process]).collect();
        let picture = Picture::Timeline { title: title.clone(), op: Timeline { run_slices, ..op.clone() } };
        for (paper, shown) in [(Paper::Wide, name), (Paper::Narrow, narrow)] {
            let svg = drawn(&picture, paper).unwrap();
            let label = texts(&svg).into_iter().find(|text| text.words == shown);
            let x = label.unwrap_or_else(|| panic!("{shown:?} is not in {svg}")).x;
            assert!(text_width(shown) <= x, "{shown:?} of {} px ends at {x}", text_width(shown));
        }
    }
}

#[test]
fn an_interval_down_to_next_to_nothing_leaves_the_figures_their_room() {
    let mut wide = level("goroutine-pipe", "goroutine", 1800.0);
    wide.figures = vec![Cell::Estimate { value: estimate(1800.0, 1e-7, 3.2e10), text: "1800".to_string() }];
    for paper in Paper::ALL {
        let svg = drawn(&levels(vec![wide.clone(), level("call", "reference", 1.5)]), paper).unwrap();
        assert!(!svg.contains("0.000 ns"), "{svg}");
        for Text { x, words, .. } in texts(&svg).into_iter().filter(|text| text.is_centred) {
            assert!(text_width(words) / 2 <= x, "{words:?} at {x}");
        }
    }
}

#[test]
fn every_figure_is_there_as_text_beside_its_name() {
    check(
        &levels(vec![level("thread-pipe", "thread", 2500.0), level("coroutine", "coroutine", 2.0)]),
        &["thread-pipe", "2500 ±10%", "coroutine", "2 ±10%", "100 ns"],
    );
    check(&stacks(vec![vec![1.0, 2.0, 0.0], vec![0.0; 3]]), &["s", "3"]);
    check(
        &plot(vec![vec![Some(estimate(1.0, 0.5, 2.0)), Some(estimate(900.0, 800.0, 1000.0))]], 0.5),
        &["L1d", "0K", "1K"],
    );
    check(&timeline(4000, 0), &["leader", "follower"]);
    let bars = vec![Bar { label: "1–2 µs".to_string(), value: 1.0, text: "1".to_string() }];
    assert!(draw(&Picture::Histogram { title: "t".to_string(), bars }, Paper::Wide).unwrap().is_none());
}

/// Returns the x of every dot, from the top.
fn dots(svg: &str) -> Vec<f64> {
    let x = |circle: &str| circle.split("cx=\"").nth(1)?.split('"').next()?.parse().ok();
    svg.lines().filter(|line| line.starts_with("<circle")).filter_map(x).collect()
}

#[test]
fn dots_lie_by_the_logarithm_of_their_figures_and_the_least_is_on_top() {
    let levels = levels(vec![level("c", "s", 1e5), level("a", "s", 1e3), level("b", "s", 1e4)]);
    for paper in Paper::ALL {
        let svg = drawn(&levels, paper).unwrap();
        let [a, b, c] = dots(&svg)[..] else { panic!("{svg}") };
        assert!(((c - b) - (b - a)).abs() <= 2.0 && b > a + 20.0, "{a} {b} {c}");
    }
    check(&levels, &["relative", "1.0x", "10x", "100x"]);
}

#[test]
fn how_many_times_the_least_is_left_open_where_the_intervals_do_and_of_what_lacks_a_figure() {
    let figure = |median: f64, half: f64| Cell::Estimate {
        value: estimate(median, median * (1.0 - half), median * (1.0 + half)),
        text: format!("{median}"),
    };
    let row = |label: &str, figures: Vec<Cell>| Level { label: label.to_string(), series: "s".to_string(), figures };
    let picture = levels(vec![
        row("call", vec![figure(1.0, 0.0), Cell::Absent]),
        row("task", vec![figure(100.0, 0.01), figure(50.0, 0.01)]),
        row("thread", vec![figure(1000.0, 0.01), figure(500.0, 0.01)]),
        row("unsure", vec![figure(2000.0, 0.4), figure(1000.0, 0.4)]),
    ]);
    let svg = drawn(&picture, Paper::Wide).unwrap();
    let ratios: Vec<&str> = texts(&svg).iter().map(|text| text.words).filter(|words| words.ends_with('x')).collect();
    assert_eq!(ratios, ["1.0x", "10x"], "{svg}");
}

#[test]
fn percentiles_lie_on_one_line_from_the_first_to_the_last() {
    let figures = [1e3, 2e3, 4e3, 1e6].map(|ns| Cell::Number { value: ns, text: format!("{ns}") }).to_vec();
    let short = vec![Cell::Number { value: 5e3, text: "5000".to_string() }, Cell::Absent, Cell::Absent, Cell::Absent];
    let row = |figures| Level { label: "l".to_string(), series: "s".to_string(), figures };
    let svg = drawn(&of_style(LevelStyle::Spans, vec![row(figures), row(short)]), Paper::Wide).unwrap();
    let [last, first, alone, same] = dots(&svg)[..] else { panic!("{svg}") };
    assert!(last > first + 100.0 && alone == same, "{last} {first} {alone} {same}");
    assert_eq!(svg.matches(">\n–\n<").count(), 3, "{svg}");
}

/// A telephone has no room for all: the first and the last figure stay.
#[test]
fn columns_go_where_there_is_no_room() {
    let figures = ["12345 ±10.0%", "23456 ±10.0%", "34567 ±10.0%"];
    let figures = figures.map(|text| Cell::Estimate { value: estimate(1e3, 9e2, 1.1e3), text: text.to_string() });
    let row = Level { label: "a-name".to_string(), series: "s".to_string(), figures: figures.to_vec() };
    for (paper, kept) in [
        (Paper::Wide, vec!["12345 ±10.0%", "23456 ±10.0%", "34567 ±10.0%", "1.0x"]),
        (Paper::Narrow, vec!["12345 ±10.0%", "1.0x"]),
    ] {
        let svg = drawn(&levels(vec![row.clone()]), paper).unwrap();
        let shown: Vec<&str> =
            texts(&svg).iter().map(|text| text.words).filter(|words| words.contains(['±', 'x'])).collect();
        assert_eq!(shown, kept, "{paper:?}");
    }
}

#[test]
fn names_are_escaped() {
    check(&levels(vec![level("<b>&\"x", "s", 1.0)]), &["&lt;b&gt;&amp;&quot;x"]);
}

#[test]
fn colours_are_explained_where_there_are_several() {
    let names = |picture: &Picture| legend(picture).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names(&levels(vec![level("a", "thread", 1.0), level("b", "thread", 1.0)])), [""; 0]);
    assert_eq!(names(&levels(vec![level("a", "thread", 1.0), level("b", "task", 1.0)])), ["thread", "task"]);
    // A part that no whole has takes no place.
    assert_eq!(names(&stacks(vec![vec![1.0, 0.0, 2.0]])), ["running", "lost"]);
}

#[test]
fn where_there_is_nothing_it_says_so() {
    check(&levels(Vec::new()), &["nothing to be drawn"]);
    check(&levels(vec![level("a", "s", 0.0), level("b", "s", f64::NAN)]), &["nothing to be drawn"]);
    check(&stacks(vec![vec![0.0, -1.0, f64::NAN]]), &["nothing to be drawn"]);
    check(&plot(Vec::new(), 0.0), &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_figure_makes_it_panic_or_draw_without_end(
        figures in prop::collection::vec([any::<f64>(), any::<f64>(), any::<f64>()], 0..6),
        at in any::<f64>(),
        duration_ns in any::<u64>(),
        from_ns in any::<u64>(),
    ) {
        let estimates: Vec<Estimate> = figures.iter().map(|&[median, low, high]| estimate(median, low, high)).collect();
        let level = |&value: &Estimate| Level {
            label: "l".to_string(),
            series: "s".to_string(),
            figures: vec![Cell::Estimate { value, text: "x".to_string() }; 2],
        };
        let change = |&value: &Estimate| ChangeBar {
            label: "l".to_string(),
            series: "s".to_string(),
            value,
            threshold: value.median,
            text: "x".to_string(),
        };
        let pictures = [
            levels(estimates.iter().map(level).collect()),
            Picture::Changes(Changes { title: "t".to_string(), table: "T", changes: estimates.iter().map(change).collect() }),
            stacks(figures.iter().map(|figures| figures.to_vec()).collect()),
            plot(vec![estimates.iter().map(|&value| Some(value)).collect(), vec![None, estimates.first().copied()]], at),
            of_style(LevelStyle::Spans, estimates.iter().map(level).collect()),
            timeline(duration_ns, from_ns),
        ];
        for picture in &pictures {
            for paper in Paper::ALL {
                prop_assert!(drawn(picture, paper).unwrap().len() < 200_000);
            }
        }
    }
}
