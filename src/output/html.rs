//! A view as one page that needs nothing else: no script, no font, no network. It holds the document that it was drawn
//! from, which `report` and `diff` read again.

mod table;

use std::collections::BTreeSet;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::output::svg::{self, PALETTE, Paper};
use crate::output::view::{Picture, View};
use crate::output::{Report, lanes, safe};

/// The name under which a page holds the document that it was drawn from.
pub const PAGE_DOCUMENT: &str = "ctxprof-document";

/// Colours, and what is different on a telephone and on paper.
const STYLE: &str = include_str!("html/page.css");

/// Nothing is to be loaded or run, whatever names a measured program has.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// An empty picture, so that no browser asks for one.
const NO_ICON: &str = "data:,";

/// A table of more rows whose figures a picture shows is folded; what the first has is looked for most.
const MOST_ROWS: usize = 20;
const MOST_ROWS_FIRST: usize = 40;

/// # Errors
/// The document cannot be serialized, or a picture cannot be drawn.
pub(super) fn draw(report: &dyn Report, wide: bool) -> Result<String> {
    let view = safe::view(report.view(wide));
    let sections = sections(&view)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href=(NO_ICON);
                title { (view.claim().0) " – ctxprof" }
                style { (PreEscaped(STYLE)) (PreEscaped(series_colors())) }
            }
            body {
                main {
                    (head_of(&view))
                    @if sections.len() > 1 {
                        nav aria-label="Contents" { ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } } }
                    }
                    @for section in &sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                    footer { p { "This page holds its document: " code { "ctxprof report --format json PAGE" } " prints it." } }
                }
                script type="application/json" id=(PAGE_DOCUMENT) { (PreEscaped(embedded(&report.json()?))) }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

/// The claim, how far to trust it, when and where it was measured; what raises doubts, to be opened.
fn head_of(view: &View) -> Markup {
    let (claim, more) = view.claim();
    html! {
        header {
            h1 { (claim) }
            @if let Some(quality) = &view.quality { p.quality { "Quality: " (quality) } }
            p.measured { (view.measured()) }
            @for line in more.into_iter().chain(view.answer.iter().skip(1).map(String::as_str)) { p.answer { (prose(line)) } }
            @for line in view.heading.iter().skip(1) { p.how { (line) } }
            @if !view.warnings.is_empty() {
                details.doubts {
                    summary { (view.warnings.len()) @if view.warnings.len() == 1 { " warning" } @else { " warnings" } }
                    ul { @for warning in &view.warnings { li { (prose(warning)) } } }
                }
            }
        }
    }
}

/// Text in which what stands in backticks is code.
fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // One without its partner is a backtick.
    if parts.len() % 2 == 0 {
        return html! { (text) };
    }
    html! { @for (at, part) in parts.iter().enumerate() { @if at % 2 == 1 { code { (part) } } @else { (part) } } }
}

/// A part of the page with a heading and a place in the table of contents.
struct Section {
    id: String,
    title: String,
    body: Markup,
}

/// Pictures of their own, tables below the pictures that show their figures, typical ops, notes, and the facts.
fn sections(view: &View) -> Result<Vec<Section>> {
    let mut known = BTreeSet::new();
    let mut sections = Vec::new();
    let mut add = |title: &str, body: &dyn Fn(&str, &mut BTreeSet<String>) -> Markup| {
        let id = table::id(title, &mut known);
        let body = body(&id, &mut known);
        sections.push(Section { id, title: title.to_string(), body });
    };
    let tables = || view.tables.iter().filter(|table| !table.rows.is_empty());
    let drawn = |is_wanted: &dyn Fn(&Picture) -> bool| -> Result<Option<Markup>> {
        let pictures = view.pictures.iter().filter(|picture| is_wanted(picture)).map(figure);
        let pictures: Vec<Markup> = pictures.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok((!pictures.is_empty()).then(|| html! { @for picture in pictures { (picture) } }))
    };
    let is_timeline = |picture: &Picture| matches!(picture, Picture::Timeline { .. });
    let is_of_a_table = |picture: &Picture| tables().any(|table| picture.table() == Some(table.title));
    if let Some(curves) = drawn(&|picture| !is_timeline(picture) && !is_of_a_table(picture))? {
        add("Curves", &|_, _| curves.clone());
    }
    for (at, table) in tables().enumerate() {
        let pictures = drawn(&|picture| picture.table() == Some(table.title))?;
        let most = if at == 0 { MOST_ROWS_FIRST } else { MOST_ROWS };
        let is_folded = pictures.is_some() && table.rows.len() > most;
        add(table.title, &|id, known| {
            let table_drawn = table::draw(table, id, known);
            html! {
                @if let Some(pictures) = &pictures { (pictures) }
                @if is_folded { details { summary { "Table of " (table.rows.len()) " rows" } (table_drawn) } } @else { (table_drawn) }
            }
        });
    }
    if let Some(timelines) = drawn(&is_timeline)? {
        add("Typical ops", &|_, _| timelines.clone());
    }
    if !view.notes.is_empty() {
        add("Notes", &|_, _| html! { div.notes { @for note in &view.notes { p { (prose(note)) } } } });
    }
    if view.command.is_some() || !view.conditions.is_empty() {
        add("Host and settings", &|_, _| facts(view));
    }
    Ok(sections)
}

fn facts(view: &View) -> Markup {
    html! {
        @if let Some(command) = &view.command { p { "Reproduce: " code { (command) } } }
        @if !view.conditions.is_empty() {
            details {
                summary { (view.conditions.len()) " facts of the host and the moment" }
                dl { @for condition in &view.conditions { div { dt { (condition.name) } dd { (condition.value) } } } }
            }
        }
    }
}

/// A picture twice, for wide pages and for narrow ones, of which the style shows one; `None` for one in characters only.
fn figure(picture: &Picture) -> Result<Option<Markup>> {
    let title = title_of(picture);
    let mut drawings = Vec::new();
    for paper in Paper::ALL {
        let Some(svg) = svg::draw(picture, paper)? else { return Ok(None) };
        drawings.push((paper, svg));
    }
    let legend = svg::legend(picture);
    let text = match picture.table() {
        Some(table) => format!("{title}. The table \"{table}\" has the same figures."),
        None => title.to_string(),
    };
    Ok(Some(html! {
        figure {
            figcaption { (title) }
            @if !legend.is_empty() {
                ul.legend { @for (color, name) in legend { li { span class={ "swatch series-" (color % PALETTE.len()) } {} (name) } } }
            }
            @for (paper, svg) in drawings { div class=(paper.name()) role="img" aria-label=(text) { (PreEscaped(svg)) } }
            @if let Picture::Plot(plot) = picture { @if !plot.places.is_empty() { p.places { "Dashed: " (plot.places_are) } } }
            @if let Picture::Timeline { op, .. } = picture {
                ol { @for at in lanes::numbered(op) { @let run = &op.run_slices[at]; li { (run.who) ": " (lanes::span(run)) ", " (lanes::what_happened(op, run)) } } }
            }
        }
    }))
}

fn title_of(picture: &Picture) -> &str {
    match picture {
        Picture::Levels(levels) => &levels.title,
        Picture::Stacks(stacks) => &stacks.title,
        Picture::Changes(changes) => &changes.title,
        Picture::Plot(plot) => &plot.title,
        Picture::Histogram { title, .. } | Picture::Timeline { title, .. } => title,
    }
}

/// The document without its indentation, and without a `<`, which could end the script that holds it: there are none outside
/// of strings.
fn embedded(json: &str) -> String {
    json.lines().map(str::trim_start).collect::<String>().replace('<', "\\u003c")
}

/// The pictures' colours, for the legends.
fn series_colors() -> String {
    let rule = |(at, color)| format!(".series-{at} {{ background: {}; }}\n", svg::hex(color));
    PALETTE.into_iter().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests;
