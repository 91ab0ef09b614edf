//! A view as one page that needs nothing else: no script, no font, no network. It holds the document that it was drawn
//! from, which `report` and `diff` read again.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::output::svg::{self, PALETTE, Paper};
use crate::output::view::{Align, Column, Picture, Table, View};
use crate::output::{Report, lanes, safe};

/// The name under which a page holds the document that it was drawn from.
pub const PAGE_DOCUMENT: &str = "ctxprof-document";

/// Colours, and how a table becomes a list of cards where it has no room.
const STYLE: &str = include_str!("html/page.css");

/// Nothing is to be loaded or run, whatever names a measured program has.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// An empty picture, so that no browser asks for one.
const NO_ICON: &str = "data:,";

/// # Errors
/// The document cannot be serialized, or a picture cannot be drawn.
pub(super) fn draw(report: &dyn Report, wide: bool) -> Result<String> {
    let view = safe::view(report.view(wide));
    let pictures = view.pictures.iter().map(figure).collect::<Result<Vec<Markup>>>()?;
    let title = view.heading.first().map_or("ctxprof", String::as_str);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href=(NO_ICON);
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(series_colors())) }
            }
            body {
                main {
                    (head_of(&view))
                    (warnings(&view.warnings))
                    // The pictures stand first, to be read at a glance; the tables have the same figures.
                    (first_pictures(&view, &pictures))
                    @for table in view.tables.iter().filter(|table| !table.rows.is_empty()) { (table_of(table)) }
                    (other_pictures(&view, &pictures))
                    @if !view.notes.is_empty() || !view.answer.is_empty() {
                        section { h2 { "Notes" } @for note in view.answer.iter().chain(&view.notes) { p { (note) } } }
                    }
                    footer { p { "This page holds its document: " code { "ctxprof report --format json PAGE" } " prints it." } }
                }
                script type="application/json" id=(PAGE_DOCUMENT) { (PreEscaped(embedded(&report.json()?))) }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

fn head_of(view: &View) -> Markup {
    html! {
        header {
            h1 { "ctxprof" }
            @for line in &view.heading { p { (line) } }
            @if !view.conditions.is_empty() {
                details {
                    summary { "Conditions" }
                    dl { @for condition in &view.conditions { div { dt { (condition.name) } dd { (condition.value) } } } }
                }
            }
        }
    }
}

fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            section.warnings role="note" aria-label="Warnings" {
                h2 { "Warnings" }
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

/// Returns true if a picture sums up the whole report.
fn is_first(picture: &Picture) -> bool {
    matches!(picture, Picture::Levels(_) | Picture::Changes(_) | Picture::Plot(_))
}

fn first_pictures(view: &View, drawn: &[Markup]) -> Markup {
    html! { @for (_, figure) in view.pictures.iter().zip(drawn).filter(|(picture, _)| is_first(picture)) { (figure) } }
}

fn other_pictures(view: &View, drawn: &[Markup]) -> Markup {
    html! { @for (_, figure) in view.pictures.iter().zip(drawn).filter(|(picture, _)| !is_first(picture)) { (figure) } }
}

/// A picture twice, for wide pages and for narrow ones, of which the style shows one.
fn figure(picture: &Picture) -> Result<Markup> {
    let title = title_of(picture);
    let drawn = |paper: Paper| Ok((paper, svg::draw(picture, paper)?));
    let drawings = Paper::ALL.into_iter().map(drawn).collect::<Result<Vec<(Paper, String)>>>()?;
    let legend = svg::legend(picture);
    Ok(html! {
        figure {
            figcaption { (title) }
            @if !legend.is_empty() {
                ul.legend { @for (color, name) in legend { li { span class={ "swatch series-" (color % PALETTE.len()) } {} (name) } } }
            }
            @for (paper, svg) in drawings { div class=(paper.name()) role="img" aria-label=(title) { (PreEscaped(svg)) } }
            @if let Picture::Plot(plot) = picture { @if !plot.places.is_empty() { p.places { "Dashed: " (plot.places_are) } } }
            @if let Picture::Timeline { op, .. } = picture {
                ol { @for at in lanes::numbered(op) { @let run = &op.run_slices[at]; li { (run.who) ": " (lanes::span(run)) ", " (lanes::what_happened(op, run)) } } }
            }
        }
    })
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

/// A table that can be read as cards, each figure beside its heading: the roles keep it a table for screen readers.
fn table_of(table: &Table) -> Markup {
    let side = |align: Align| if align == Align::Left { "left" } else { "right" };
    let headings: Vec<String> = table.columns.iter().map(Column::name).collect();
    html! {
        div.table {
            table role="table" {
                caption { (table.title) }
                thead role="rowgroup" {
                    tr role="row" {
                        @for column in &table.columns {
                            th role="columnheader" scope="col" class=(side(column.align)) {
                                @for (at, line) in column.heading.iter().filter(|line| !line.is_empty()).enumerate() {
                                    @if at > 0 { br; }
                                    (line)
                                }
                            }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for row in &table.rows {
                        tr role="row" {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th role="rowheader" scope="row" { (cell.shown()) } }
                                @else { td role="cell" class=(side(table.columns[at].align)) data-heading=(headings[at]) { (cell.shown()) } }
                            }
                        }
                    }
                }
            }
        }
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
