//! Pages (`--format html`) as a real browser shows them, and as `report` reads them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::needs;
use crate::support::run;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// Widths of a phone and of a desktop, px.
const WIDTHS: [u32; 2] = [390, 1280];

/// Height of a desktop's screen, px.
const SCREEN: f64 = 800.0;

/// Collects from the page: its extent, where the claim is, the contrast of its text, and every figure shown in a picture, with the
/// picture's title and the figure's position.
const LOOK: &str = r#"
function look(page, width) {
  const frame = document.getElementById(`at${width}`), inside = frame.contentDocument, style = e => inside.defaultView.getComputedStyle(e);
  const shown = element => element.getClientRects().length > 0;
  const texts = [...inside.querySelectorAll('figure svg text')].filter(shown).map(text => {
    const box = text.getBoundingClientRect(), drawing = text.ownerSVGElement.getBoundingClientRect();
    return {
      figure: text.closest('figure').querySelector('figcaption').textContent, text: text.textContent.trim(),
      left: box.left - drawing.left, over: box.right - drawing.right, middle: (box.top + box.bottom) / 2, color: style(text).fill,
    };
  });
  const rgb = color => color.match(/[\d.]+/g).map(Number);
  const light = color => rgb(color).slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = e => { const own = style(e).backgroundColor; return !e.parentElement || rgb(own)[3] !== 0 ? own : behind(e.parentElement); };
  const contrast = e => {
    const [more, less] = [light(e.ownerSVGElement ? style(e).fill : style(e).color), light(behind(e))].sort((a, b) => b - a);
    return (more + 0.05) / (less + 0.05);
  };
  const has_text = e => [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const bottom = selector => Math.max(...[...inside.querySelectorAll(selector)].map(e => e.getBoundingClientRect().bottom));
  const root = inside.documentElement;
  return {
    width, overflow: root.scrollWidth - root.clientWidth, texts, height: inside.querySelector('main').getBoundingClientRect().bottom,
    head: Object.fromEntries(['h1', '.quality', '.measured'].map(part => [part, bottom(`header > ${part}`)])),
    claim: inside.querySelector('h1').textContent,
    faint: [...inside.querySelectorAll('body *')].filter(e => shown(e) && has_text(e) && contrast(e) < 4.5).map(e => `${e.tagName} ${e.textContent}`),
    // Tables scroll by themselves. Letters of pictures are no boxes: they are held to their drawing.
    scrollers: [...inside.querySelectorAll(':not(.table, svg *)')].filter(e => shown(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1).map(e => e.tagName),
    // How far a table's first cell moves when the table is scrolled to its end.
    moves: [...inside.querySelectorAll('.table')].filter(shown).map(e => {
      const name = e.querySelector('tbody th'), before = name.getBoundingClientRect().left;
      e.scrollLeft = 10000;
      return { by: name.getBoundingClientRect().left - before, scrolled: e.scrollLeft, rest: e.clientWidth - name.getBoundingClientRect().width };
    }),
    rows: inside.querySelectorAll('tbody tr').length, page: style(inside.body).backgroundColor,
    cells: [...inside.querySelectorAll('tbody th, tbody td')].filter(shown).map(cell => cell.textContent),
    document: JSON.parse(inside.getElementById('ctxprof-document').textContent),
  };
}
onload = () => { document.getElementById('seen').textContent = encodeURIComponent(JSON.stringify(WIDTHS.map(width => look(document, width)))); };
"#;

/// A page as Chromium shows it.
struct Seen {
    /// One for each of the widths.
    polls: Vec<Value>,
    /// Messages on the console.
    console: Vec<String>,
}

/// Opens a page offline, in dark mode or not.
fn open(page: &Path, dark: bool) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let frames: String = WIDTHS
        .iter()
        .map(|width| {
            format!(
                "<iframe id=at{width} style='width:{width}px;height:900px;border:0' src='file://{}'></iframe>",
                page.display()
            )
        })
        .collect();
    let around = folder.path().join("around.html");
    let script = LOOK.replace("WIDTHS.map", &format!("{WIDTHS:?}.map"));
    fs::write(&around, format!("<!doctype html><body>{frames}<pre id=seen></pre><script>{script}</script>")).unwrap();
    let output = Command::new("timeout")
        .args(["300", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--window-size=1700,1000", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", around.display()))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (_, seen) = dom.split_once("<pre id=\"seen\">").unwrap_or_else(|| panic!("no page was drawn: {log}"));
    let seen = percent_decoded(seen.split_once('<').unwrap().0);
    let polls = serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{error} in {seen:?}: {log}"));
    Seen { polls, console: log.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect() }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Returns the first figure in the line of each name in a picture.
fn figures(look: &Value, title: &str) -> BTreeMap<String, String> {
    let texts = look["texts"].as_array().unwrap();
    let of_figure = || texts.iter().filter(|text| text["figure"].as_str().unwrap().starts_with(title));
    let place = |text: &Value| (text["left"].as_f64().unwrap(), text["middle"].as_f64().unwrap());
    let words = |text: &Value| text["text"].as_str().unwrap().to_string();
    let mut found = BTreeMap::new();
    for name in of_figure() {
        let (left, middle) = place(name);
        let is_right_of = |other: &&Value| place(other).0 > left && (place(other).1 - middle).abs() < 4.0;
        let figure = of_figure().filter(is_right_of).min_by(|one, other| place(one).0.total_cmp(&place(other).0));
        found.extend(figure.map(|figure| (words(name), words(figure))));
    }
    found
}

/// Parses `2,684 ±0.8%`, `≤ 98.4`, `36.5 KiB` and `4.75 µs` as numbers, of bytes and ns.
fn number(text: &str) -> f64 {
    let mut words = text.trim_start_matches("≤ ").split_whitespace();
    let value: f64 = words.next().unwrap().replace(',', "").parse().unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let unit = match words.next() {
        Some("KiB") => 1024.0,
        Some("MiB") => 1024.0 * 1024.0,
        Some("µs") => 1e3,
        Some("ms") => 1e6,
        Some("s") => 1e9,
        _ => 1.0,
    };
    value * unit
}

/// Asserts that the claim ends within 300 px, and what stands below it, as far as it is there, within `most`: of a run beside load
/// there is more to say.
#[track_caller]
fn check_head(look: &Value, most: f64) {
    for (part, end) in look["head"].as_object().unwrap() {
        let most = if part == "h1" { 300.0 } else { most };
        let end = end.as_f64();
        assert!(end.is_none_or(|end| end > 0.0 && end <= most), "{} at {} px", look["head"], look["width"]);
    }
}

/// Asserts the invariants of every page: small, silent, without sideways scrolling but of tables, whose rows keep their names, its claim
/// on top, its text inside its pictures and readable, the same in dark mode but for the colours, and with its document. Returns the observations at each width, and the document.
#[track_caller]
fn check(page: &Path) -> (Vec<Value>, Value) {
    let size = fs::metadata(page).unwrap().len();
    assert!(size < 1_000_000, "{} has {size} bytes", page.display());
    let [light, dark] = [false, true].map(|dark| open(page, dark));
    let json = run(&format!("ctxprof report --format json {}", page.display())).expect(0, &[]).json();
    for (look, in_the_dark) in light.polls.iter().zip(&dark.polls) {
        let width = &look["width"];
        assert_eq!((&look["overflow"], &look["scrollers"]), (&0.into(), &serde_json::json!([])), "{width} px");
        assert!(is_same(&look["document"], &json), "the document in the page is another");
        check_head(look, 400.0);
        for faint in [&look["faint"], &in_the_dark["faint"]] {
            assert_eq!(faint, &serde_json::json!([]), "{width} px");
        }
        for table in array(&look["moves"]) {
            let of = |what: &str| table[what].as_f64().unwrap();
            assert!(of("by").abs() <= 1.0 && of("rest") > 100.0, "{width} px: {table}");
        }
        assert_ne!(look["page"], in_the_dark["page"]);
        for (text, other) in array(&look["texts"]).iter().zip(array(&in_the_dark["texts"])) {
            let inside = text["left"].as_f64().unwrap() >= -1.0 && text["over"].as_f64().unwrap() <= 1.0;
            assert!(inside, "text is cut off at {width} px: {text}");
            assert_ne!(text["color"], other["color"], "{text}");
        }
    }
    assert_eq!([light.console, dark.console].concat(), [""; 0]);
    (light.polls, json)
}

/// Asserts that a picture's bars have these names and figures, at every width, and that the tables have the same.
#[track_caller]
fn check_bars(polls: &[Value], title: &str, expected: &[(String, f64)]) {
    for figure in check_labels(polls, title, expected) {
        let short = figure.split(" ±").next().unwrap();
        let is_in = |cell: &Value| cell.as_str().is_some_and(|cell| cell.starts_with(short));
        assert!(polls.iter().all(|look| array(&look["cells"]).iter().any(is_in)), "{figure} is in no table");
    }
}

/// Asserts that a picture's bars have these names and figures, at every width; returns their labels.
#[track_caller]
fn check_labels(polls: &[Value], title: &str, expected: &[(String, f64)]) -> Vec<String> {
    assert!(!expected.is_empty());
    let mut written = Vec::new();
    for look in polls {
        let figures = figures(look, title);
        for (name, value) in expected {
            let figure = figures.get(name).unwrap_or_else(|| panic!("{name:?} is not in {figures:?}"));
            // Three digits are shown, and of bytes whole ones.
            let whole = if figure.split_whitespace().nth(1) == Some("B") { 0.5 } else { 0.0 };
            let off = (number(figure) - value).abs();
            assert!(off < 0.006 * value.abs() + whole, "{name}: {figure} is not {value}");
            written.push(figure.clone());
        }
    }
    written
}

/// Returns true if two documents are equal; JavaScript has one kind of numbers.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// Writes the page of a command with these arguments.
#[track_caller]
fn page_of(command: &str, arguments: &str, folder: &Path) -> PathBuf {
    let page = folder.join("page.html");
    run(&format!("ctxprof {command} -q -o {} {arguments}", page.display())).expect(0, &[]);
    page
}

/// Returns the medians of a figure of each row that has it.
fn medians(rows: &Value, name: &str, figure: &str) -> Vec<(String, f64)> {
    let row = |row: &Value| Some((row[name].as_str()?.to_string(), row[figure]["median"].as_f64()?));
    array(rows).iter().filter_map(row).collect()
}

#[test]
fn a_page_of_every_workload_shows_the_costs_of_its_document() {
    needs!(Chromium, Perf);
    let folder = tempfile::tempdir().unwrap();
    let all = "all --latency --breakdown --time 0.1 --repetitions 7 --no-save";
    let (polls, json) = check(&page_of("run", all, folder.path()));
    check_bars(&polls, "ns/op", &medians(&json["results"], "workload", "ns_per_op"));
    let height = polls[1]["height"].as_f64().unwrap();
    assert!(height <= 6.0 * SCREEN, "{} screens of {SCREEN} px", height / SCREEN);
    assert!(
        array(&polls[0]["moves"]).iter().any(|table| table["scrolled"] != 0),
        "no table is too wide for a telephone"
    );
    let p50 = |result: &Value| Some((result["workload"].as_str()?.to_string(), result["latency"]["p50_ns"].as_f64()?));
    check_labels(&polls, "Ops timed", &array(&json["results"]).iter().filter_map(p50).collect::<Vec<_>>());
    let breakdown = array(&json["results"]).iter().filter_map(|result| {
        let breakdown = result["breakdown"]["parts"].as_array()?;
        let whole = breakdown.iter().find(|part| part["kind"] == "whole")?;
        Some((result["workload"].as_str()?.to_string(), whole["ns_per_op"].as_f64()?))
    });
    check_labels(&polls, "What a recorded op is made of", &breakdown.collect::<Vec<_>>());
}

#[test]
fn a_page_of_typical_ops_draws_each() {
    needs!(Chromium, Perf);
    let folder = tempfile::tempdir().unwrap();
    let (polls, json) =
        check(&page_of("run", "thread-pipe --timeline --time 0.1 --repetitions 7 --no-save", folder.path()));
    let timelines = array(&json["results"][0]["timelines"]).len();
    let titles = |look: &Value| {
        let texts = array(&look["texts"]).iter().filter_map(|text| text["figure"].as_str());
        texts.filter(|title| title.contains("typical op")).map(String::from).collect::<BTreeSet<_>>().len()
    };
    assert!(timelines > 0 && polls.iter().all(|look| titles(look) == timelines), "{timelines} typical ops");
}

#[test]
fn a_page_of_a_sweep_names_every_step_or_as_many_as_have_room() {
    needs!(Chromium, Perf);
    let folder = tempfile::tempdir().unwrap();
    let (polls, json) = check(&page_of("sweep", "ring 2..16 --time 0.05 --repetitions 6", folder.path()));
    let steps: Vec<String> = array(&json["settings"]["steps"]).iter().map(Value::to_string).collect();
    for look in &polls {
        let shown: Vec<&str> = array(&look["texts"]).iter().filter_map(|text| text["text"].as_str()).collect();
        assert!(steps.iter().all(|step| shown.contains(&step.as_str())), "{steps:?} are not in {shown:?}");
        assert_eq!(look["rows"].as_u64().unwrap() as usize, array(&json["results"]).len());
    }
}

#[test]
fn pages_of_memory_and_of_a_program_show_the_figures_of_their_documents() {
    needs!(Chromium);
    let folder = tempfile::tempdir().unwrap();
    let (polls, json) = check(&page_of("memory", "thread task --max 800 --repetitions 6", folder.path()));
    check_bars(&polls, "Memory", &medians(&json["rows"], "kind", "resident_bytes"));
    let (polls, json) = check(&page_of("stat", "-- switcher pipe 3000", folder.path()));
    let threads = array(&json["threads"]).iter().filter(|row| row["of_program"] == true).map(|row| {
        let switches = row["voluntary_switches"].as_f64().unwrap() + row["involuntary_switches"].as_f64().unwrap();
        (row["thread"].as_str().unwrap().to_string(), switches)
    });
    // Their sum; the table has both kinds separately.
    check_labels(&polls, "Switches by thread", &threads.filter(|(_, switches)| *switches > 0.0).collect::<Vec<_>>());
}

#[test]
fn a_page_of_a_comparison_shows_what_each_says() {
    needs!(Chromium, Perf);
    let folder = tempfile::tempdir().unwrap();
    let (polls, json) = check(&page_of("compare", "--rounds 1", folder.path()));
    let says = |row: &Value| Some((row["tool"].as_str()?.to_string(), row["reported_ns_per_op"].as_f64()?));
    check_bars(&polls, "ns/op", &array(&json["rows"]).iter().filter_map(says).collect::<Vec<_>>());
}

#[test]
fn the_page_of_every_document_begins_with_its_claim() {
    needs!(Chromium);
    let folder = tempfile::tempdir().unwrap();
    for document in ["list-2", "diff-2", "doctor-1", "trace-1", "sweep-2", "memory-2", "stat-2", "compare-2", "run-2"] {
        let page = folder.path().join("page.html");
        run(&format!("ctxprof report --wide {GOLDEN}/{document}.json -o {}", page.display())).expect(0, &[]);
        let (polls, json) = check(&page);
        polls.iter().for_each(|look| check_head(look, 300.0));
        let markup = fs::read_to_string(page).unwrap();
        assert!(markup.contains(&format!("<p class=\"measured\">{}", json["started_at"].as_str().unwrap())));
        let claim = polls[0]["claim"].as_str().unwrap();
        let text = run(&format!("ctxprof report {GOLDEN}/{document}.json --format markdown")).expect(0, &[]).stdout;
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(&words(claim)) && claim.len() > 10, "{claim:?} is not in {text}");
    }
}

#[test]
fn a_card_has_the_claim_of_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card.svg");
    run(&format!("ctxprof report {GOLDEN}/run-2.json -o {}", card.display())).expect(0, &[]);
    let card = fs::read_to_string(card).unwrap();
    assert!(card.starts_with("<svg ") && card.contains("width=\"1200\" height=\"630\""), "{card}");
    let title = card.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    assert!(title.starts_with("A thread switch") && title.contains('['), "{title}");
    let lines: Vec<&str> = card.split("</text>").filter_map(|text| text.rsplit('>').next()).collect();
    assert!(lines.join(" ").contains(title), "{title:?} is not in {lines:?}");
}

/// The checks of pages must be able to fail.
#[test]
fn a_page_with_a_mistake_in_it_is_found_out() {
    needs!(Chromium);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    run(&format!("ctxprof report {GOLDEN}/run-2.json -o {}", page.display())).expect(0, &[]);
    let good = fs::read_to_string(&page).unwrap();
    let mistaken = [
        ("<main>", "<main><img src=\"http://127.0.0.1:9/x.png\">"),
        ("<main>", "<main><div style=\"width:2000px\">x</div>"),
        ("<main>", "<main><script>throw 1</script>"),
        ("<main>", "<main><p style=\"color:#999\">x</p>"),
    ];
    for (place, mistake) in mistaken {
        fs::write(&page, good.replacen(place, mistake, 1)).unwrap();
        let seen = open(&page, false);
        let overflows = seen.polls.iter().any(|look| look["overflow"] != 0);
        let faint = seen.polls.iter().any(|look| look["faint"] != serde_json::json!([]));
        assert!(overflows || faint || !seen.console.is_empty(), "{mistake} was not noticed");
    }
}
