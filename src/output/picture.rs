//! Pictures in characters, as wide as there is room for.

mod plot;
mod timeline;

use console::measure_text_width;

use crate::output::view::{Bar, Picture};

/// Wider bars show no more.
const WIDEST_BAR: usize = 40;
/// Narrower ones show nothing: the figures beside them stay.
const NARROWEST_BAR: usize = 4;
/// A filled cell, and cells filled by the first 1 to 7 eighths.
const FULL: char = '█';
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// The same where there are no block characters: halves of a cell and more are a whole one.
const FULL_ASCII: char = '#';

/// Draws a picture in lines of at most this width, as far as its labels let it; `None` for one of which a table in characters
/// says as much.
pub(super) fn draw(picture: &Picture, width: usize, ascii: bool) -> Option<String> {
    let titled = |title: &str, drawn: String| {
        let title = textwrap::fill(title, textwrap::Options::new(width).subsequent_indent("  ").break_words(false));
        format!("{title}\n{drawn}")
    };
    match picture {
        Picture::Histogram { title, bars } => Some(titled(title, histogram(bars, width, ascii))),
        Picture::Timeline { title, op } => Some(titled(title, timeline::draw(op, width, ascii))),
        // Its title states the scale.
        Picture::Plot(plot) => Some(plot::draw(plot, width, ascii)),
        Picture::Levels(_) | Picture::Stacks(_) | Picture::Changes(_) => None,
    }
}

/// ```text
///    2–5 µs  ████████████████████  99.1 %
///   5–10 µs  ██████████▌           0.80 %
/// ```
fn histogram(bars: &[Bar], width: usize, ascii: bool) -> String {
    const GAPS: usize = 4;
    let widest =
        |text: fn(&Bar) -> &str| bars.iter().map(|bar| measure_text_width(text(bar))).max().unwrap_or_default();
    let (labels, texts) = (widest(|bar| &bar.label), widest(|bar| &bar.text));
    let room = width.saturating_sub(labels + texts + GAPS).min(WIDEST_BAR);
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let pad = |text: &str, to: usize| " ".repeat(to - measure_text_width(text));
    let line = |bar: &Bar| {
        let drawn = if room < NARROWEST_BAR {
            String::new()
        } else {
            let drawn = bar_of(log_share(bar.value, most), room, ascii);
            format!("  {drawn}{}", pad(&drawn, room))
        };
        format!("{}{}{drawn}  {}{}", pad(&bar.label, labels), bar.label, pad(&bar.text, texts), bar.text)
    };
    bars.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the length of a number's bar as a share of the longest: by the logarithm, so that one in a million still shows.
fn log_share(value: f64, most: f64) -> f64 {
    if most > 0.0 { value.max(0.0).ln_1p() / most.ln_1p() } else { 0.0 }
}

/// A bar of this share of `room` cells; anything above nothing shows.
fn bar_of(share: f64, room: usize, ascii: bool) -> String {
    let cells = share.clamp(0.0, 1.0) * room as f64;
    if ascii {
        let whole = if share > 0.0 { (cells.round() as usize).max(1) } else { 0 };
        return FULL_ASCII.to_string().repeat(whole);
    }
    let eighths = if share > 0.0 { ((cells * 8.0).round() as usize).max(1) } else { 0 };
    let mut bar = FULL.to_string().repeat(eighths / 8);
    bar.extend((eighths % 8).checked_sub(1).map(|at| EIGHTHS[at]));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(picture: &Picture, width: usize, ascii: bool) -> String {
        super::draw(picture, width, ascii).unwrap()
    }

    fn picture() -> Picture {
        let bar = |label: &str, value: f64| Bar { label: label.to_string(), value, text: format!("{value}") };
        let bars = vec![bar("1–2 µs", 999.0), bar("2–5 µs", 0.0), bar("5–10 µs", 1.0), bar("10–20 µs", 30.0)];
        Picture::Histogram { title: "ops by their time".to_string(), bars }
    }

    #[test]
    fn bars_are_as_long_as_the_logarithm_of_what_they_stand_for() {
        let expected = "ops by their time
  1–2 µs  ████████████████████  999
  2–5 µs                          0
 5–10 µs  ██                      1
10–20 µs  ██████████             30";
        assert_eq!(draw(&picture(), 35, false), expected);
    }

    #[test]
    fn a_picture_is_as_wide_as_there_is_room_and_loses_its_bars_last() {
        let longest = |width| draw(&picture(), width, false).lines().map(measure_text_width).max().unwrap();
        assert_eq!((longest(20), longest(40), longest(1000)), (20, 40, 55));
        let narrow = draw(&picture(), 12, false);
        assert!(!narrow.contains(FULL) && narrow.contains("10–20 µs   30"), "{narrow}");
        assert!(draw(&picture(), 1, false).contains("999"));
    }

    #[test]
    fn without_block_characters_there_are_number_signs() {
        let text = draw(&picture(), 35, true);
        assert!(text.contains(&"#".repeat(20)) && text.contains("##  ") && !text.contains(FULL), "{text}");
    }

    #[test]
    fn nothing_at_all_is_a_picture_without_bars() {
        let bars = vec![Bar { label: "1–2 ns".to_string(), value: 0.0, text: "0".to_string() }];
        assert!(!draw(&Picture::Histogram { title: String::new(), bars }, 40, false).contains(FULL));
        assert_eq!(draw(&Picture::Histogram { title: "t".to_string(), bars: Vec::new() }, 40, false), "t\n");
    }
}
