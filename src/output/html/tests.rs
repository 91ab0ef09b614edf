use crate::bench::document::run::RunDocument;
use crate::command::documents::{Saved, parse};
use crate::output::html::*;
use crate::output::svg::theme;

const RUN: &str = include_str!("../../../tests/golden/run-2.json");

fn run() -> RunDocument {
    serde_json::from_str(RUN).unwrap()
}

#[test]
fn a_page_has_every_figure_of_the_tables_and_its_own_document() {
    let document = run();
    let page = draw(&document, true).unwrap();
    for cell in document.view(true).tables.iter().flat_map(|table| table.rows.iter().flatten()) {
        let ends = ["</td>", "</a></th>"].map(|end| format!(">{}{end}", cell.shown()));
        assert!(ends.iter().any(|cell| page.contains(cell)), "{:?} is not in the page", cell.shown());
    }
    let Saved::Run(read) = parse(&page).unwrap() else { panic!("another document") };
    assert_eq!(*read, document);
}

#[test]
fn nothing_of_a_document_becomes_part_of_the_page() {
    let mut document = run();
    let hostile = "</script><script>alert(1)</script><!-- \"'&";
    document.host.cpu_model = Some(hostile.to_string());
    document.body.results[0].workload = hostile.to_string();
    let page = draw(&document, false).unwrap();
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<!--"));
    let Saved::Run(read) = parse(&page).unwrap() else { panic!("another document") };
    assert_eq!(read.host.cpu_model.as_deref(), Some(hostile));
}

#[test]
fn a_page_loads_nothing() {
    let page = draw(&run(), false).unwrap();
    let (markup, _) = page.split_once("<script").unwrap();
    for word in ["src=", "url(", "@import", "http-equiv=\"refresh"] {
        assert!(!markup.contains(word), "{word}");
    }
    let addresses: Vec<&str> = markup.split('"').filter(|part| part.contains("://")).collect();
    assert!(addresses.iter().all(|&address| address == "http://www.w3.org/2000/svg"), "{addresses:?}");
}

#[test]
fn in_the_dark_every_colour_of_text_and_lines_is_another() {
    for color in theme() {
        assert!(STYLE.contains(&format!("=\"{color}\"]")), "{color} is not in the style");
    }
}

#[test]
fn every_row_and_section_has_a_place_to_link_to_and_no_two_the_same() {
    let page = draw(&run(), true).unwrap();
    let attributes = |name: &str| -> Vec<String> {
        let start = format!(" {name}=\"");
        page.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap().to_string()).collect()
    };
    let ids = attributes("id");
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "{ids:?}");
    assert!(ids.contains(&"costs-thread-pipe".to_string()), "{ids:?}");
    let links: Vec<String> =
        attributes("href").into_iter().filter_map(|link| Some(link.strip_prefix('#')?.to_string())).collect();
    assert!(links.len() >= 5 && links.iter().all(|link| ids.contains(link)), "{links:?} of {ids:?}");
    let headings: Vec<char> = page.match_indices("<h").filter_map(|(at, _)| page[at + 2..].chars().next()).collect();
    let levels: String = headings.into_iter().filter(char::is_ascii_digit).collect();
    assert!(levels.starts_with("122") && levels[1..].chars().all(|level| level == '2'), "{levels}");
    assert_eq!(page.matches("<th ").count(), page.matches(" scope=").count());
}

#[test]
fn what_stands_in_backticks_is_code_and_nothing_is_markup() {
    assert_eq!(prose("try `a <b>` & `c`").into_string(), "try <code>a &lt;b&gt;</code> &amp; <code>c</code>");
    assert_eq!(prose("a ` alone").into_string(), "a ` alone");
}

/// Contrast of two colours (`#RRGGBB`), as WCAG 2.2 defines it.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |color: &str| {
        let part = |at: usize| f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_colour_of_a_picture_can_be_seen_on_a_light_page_and_on_a_dark_one() {
    assert!((contrast("#FFFFFF", "#000000") - 21.0).abs() < 1e-9);
    assert!((contrast("#777777", "#FFFFFF") - 4.48).abs() < 0.01);
    let pages: Vec<&str> = STYLE.split("--page: ").skip(1).map(|rest| &rest[..7]).collect();
    assert_eq!(pages.len(), 2);
    for color in PALETTE.map(svg::hex) {
        for page in &pages {
            assert!(contrast(&color, page) >= 3.0, "{color} on {page}");
        }
    }
}
