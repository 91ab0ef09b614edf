//! The claim of a report as one picture, for a chat, a slide or a preview of a link.

use maud::html;

use crate::output::svg::{self, shortened, text_width};
use crate::output::view::View;

/// The size that previews of links are shown in, px.
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 630;
const MARGIN: u32 = 72;
const ROOM: u32 = WIDTH - 2 * MARGIN;

/// Heights of the claim's letters, of which the first is taken in which it has room, px.
const SIZES: [u32; 4] = [60, 50, 40, 32];
/// Room for the claim from top to bottom, px.
const CLAIM: u32 = 300;
/// Height of the other letters, px.
const SMALL: u32 = 26;

/// Returns a picture of the view's claim, how far to trust it, and when and where it was measured.
pub(super) fn draw(view: &View) -> String {
    let claim = clean(view.claim().0);
    let (size, lines) = fitted(&claim);
    let [ink, faint, _] = svg::theme();
    let accent = svg::hex(svg::PALETTE[0]);
    let quality = view.quality.as_ref().map(|quality| clean(&format!("Quality: {quality}")));
    let measured = clean(&view.measured());
    let below = quality.into_iter().chain(measured.splitn(2, " · ").map(String::from));
    let below: Vec<String> = below.map(|line| shortened(&line, room(SMALL))).collect();
    let first_below = HEIGHT - MARGIN - (below.len() as u32).saturating_sub(1) * (SMALL + 14);
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(claim) font-family="system-ui, sans-serif" {
            title { (claim) }
            rect width=(WIDTH) height=(HEIGHT) fill="#FFFFFF" {}
            rect width="16" height=(HEIGHT) fill=(accent) {}
            text x=(MARGIN) y=(MARGIN + SMALL) font-size=(SMALL) font-weight="600" fill=(accent) { "ctxprof" }
            @for (at, line) in (0..).zip(&lines) {
                text x=(MARGIN) y=(MARGIN + 2 * SMALL + size + at * leading(size)) font-size=(size) font-weight="600" fill=(ink) { (line) }
            }
            @for (at, line) in (0..).zip(&below) {
                text x=(MARGIN) y=(first_below + at * (SMALL + 14)) font-size=(SMALL) fill=(faint) { (line) }
            }
        }
    };
    picture.into_string() + "\n"
}

fn leading(size: u32) -> u32 {
    size * 5 / 4
}

/// Returns how wide a line of these letters may be by the measure of [`text_width`], which is of smaller ones. Bold letters are wider.
fn room(size: u32) -> u32 {
    ROOM * svg::TEXT / size
}

/// Returns the height of the letters and the claim in lines; the last one is cut where there is no room for more.
fn fitted(claim: &str) -> (u32, Vec<String>) {
    let most = |size: u32| (CLAIM / leading(size)) as usize;
    let bold = |size: u32| room(size) * 9 / 10;
    let fits = SIZES.into_iter().map(|size| (size, wrapped(claim, bold(size))));
    let fits = fits.into_iter().find(|(size, lines)| lines.len() <= most(*size));
    fits.unwrap_or_else(|| {
        let size = SIZES[SIZES.len() - 1];
        let mut lines = wrapped(claim, bold(size));
        let rest = lines.split_off(most(size) - 1).join(" ");
        lines.push(shortened(&rest, bold(size)));
        (size, lines)
    })
}

/// Returns the text in lines of at most this width; a longer word is cut.
fn wrapped(text: &str, width: u32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}")) <= width => *line += &format!(" {word}"),
            _ => lines.push(shortened(word, width)),
        }
    }
    lines
}

/// Returns the text without the characters that XML has no place for.
fn clean(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "?").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(claim: &str) -> String {
        draw(&View { answer: vec![claim.to_string()], quality: Some("good".to_string()), ..View::default() })
    }

    #[test]
    fn a_card_has_the_claim_in_lines_that_fit_it_and_its_quality() {
        for words in [1, 12, 40, 400] {
            let claim = vec!["37x"; words].join(" ");
            let (size, lines) = fitted(&claim);
            assert!(lines.iter().all(|line| text_width(line) <= room(size)), "{lines:?}");
            assert!(lines.len() as u32 * leading(size) <= CLAIM, "{size}: {lines:?}");
            let is_whole = lines.join(" ") == claim;
            assert!(is_whole == (words < 100) && (is_whole || lines.last().unwrap().ends_with('…')), "{lines:?}");
        }
        assert!(card("A claim.").contains(">A claim.</text>") && card("A claim.").contains(">Quality: good</text>"));
    }

    #[test]
    fn nothing_of_a_document_becomes_part_of_the_picture() {
        let picture = card("</text><script>alert(1)</script>&\"'\u{ffff}");
        assert!(!picture.contains("<script") && !picture.contains('\u{ffff}'), "{picture}");
        assert!(picture.contains("&lt;script&gt;"), "{picture}");
    }
}
