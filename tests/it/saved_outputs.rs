//! Saved output of external benchmarks, compared with ctxprof's.

use std::fs;

use serde_json::Value;

use crate::isolation::without_go;
use crate::machine::needs;
use crate::support::{CTXPROF, Done, run};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// Runs a comparison without tools, so that it has only these files of `tests/cases`.
fn saved(files: &[&str], format: &str) -> Done {
    let mut compare = without_go(CTXPROF.path());
    compare.args(["compare", "--rounds", "1", "--quiet", "--format", format]);
    for file in files {
        compare.arg("--with").arg(format!("{CASES}/{file}"));
    }
    Done::from(compare.output().unwrap()).expect(0, &[])
}

fn words(document: &Value, list: &str, key: &str) -> Vec<String> {
    document[list].as_array().into_iter().flatten().map(|row| row[key].as_str().unwrap_or("").to_string()).collect()
}

#[test]
fn saved_output_is_read_as_the_tools_print_it_whatever_is_around_it() {
    needs!(Root);
    type Rows<'a> = &'a [(&'a str, f64)];
    const PIPE: &str = "perf bench sched pipe, 1000000 ops between two";
    let pipe = |participants: &str| format!("{PIPE} {participants}");
    let (threads, processes) = (pipe("threads"), pipe("processes"));
    let first_and_second: Rows<'_> = &[("BenchmarkFirst-2", 111.0), ("BenchmarkSecond-2", 222.0)];
    let cases: [(&str, Rows<'_>, &[&str]); 14] = [
        ("go-bom.txt", first_and_second, &[]),
        ("go-ansi.txt", first_and_second, &[]),
        ("go-cpu-list.txt", &[("BenchmarkPing", 200.0), ("BenchmarkPing-2", 400.0), ("BenchmarkPing-4", 900.0)], &[]),
        (
            "go-sub-one-proc.txt",
            &[("BenchmarkPing/size-16", 200.0), ("BenchmarkPing/size-64", 400.0), ("BenchmarkPing/size-256", 900.0)],
            &[],
        ),
        (
            "go-two-packages.txt",
            &[("BenchmarkPing-2 (pkg: example.test/fast)", 100.0), ("BenchmarkPing-2 (pkg: example.test/slow)", 900.0)],
            &[],
        ),
        ("go-verbose.txt", &[("BenchmarkPing-2", 201.5), ("BenchmarkPong-2", 252.0)], &[]),
        ("go-lowercase.txt", &[("BenchmarkPing-2", 201.5)], &["Benchmarking with 4 workers on the loopback"]),
        ("go-filtered-no-pass.txt", &[("BenchmarkPing-2", 201.5), ("BenchmarkPing-2", 203.0)], &[]),
        ("go-skip.txt", &[("BenchmarkPing-2", 201.5)], &["--- SKIP: BenchmarkHugePages"]),
        ("go-no-nsop.txt", &[("BenchmarkPing-2", 201.5)], &["BenchmarkSwitches-2   5000  41250 switches/s"]),
        ("perf-threads.txt", &[(&threads, 5760.123)], &[]),
        ("perf-processes.txt", &[(&processes, 6760.123)], &[]),
        ("perf-sched-all.txt", &[(&processes, 6760.123)], &["# Running sched/messaging benchmark..."]),
        (
            "perf-with-perf-stat.txt",
            &[(&threads, 5760.123)],
            &[
                "Performance counter stats for 'perf bench sched pipe -T':",
                "2,000,123      context-switches          #  170.1 K/sec",
            ],
        ),
    ];
    for (file, rows, passed_over) in cases {
        let document = saved(&[file], "json").json();
        let found = document["saved"].as_array().unwrap();
        let found: Vec<(&str, f64)> = found
            .iter()
            .map(|row| (row["what"].as_str().unwrap(), row["reported_ns_per_op"].as_f64().unwrap()))
            .collect();
        assert_eq!(found.len(), rows.len(), "{file}: {found:?}");
        for ((what, ns), (expected, expected_ns)) in found.iter().zip(rows) {
            assert!(what == expected && (ns - expected_ns).abs() < 1e-6, "{file}: {found:?}");
        }
        assert_eq!(words(&document, "passed_over", "text"), passed_over, "{file}");
        let cut_off = words(&document, "warnings", "code").contains(&"saved-output-cut-off".to_string());
        // True only of Go's results, and of a file without Go's PASS.
        assert_eq!(cut_off, file == "go-filtered-no-pass.txt", "{file}: {document}");
    }
}

#[test]
fn what_is_passed_over_in_a_saved_output_is_named_in_the_report() {
    needs!(Root);
    let text = saved(&["go-skip.txt", "go-lowercase.txt"], "csv").stdout
        + &saved(&["go-skip.txt", "go-lowercase.txt"], "table").stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "go-skip.txt: passed over lines 2–3, \"--- SKIP: BenchmarkHugePages\" (skipped)",
        "go-lowercase.txt: passed over line 3, \"Benchmarking with 4 workers on the loopback\"",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn each_benchmark_of_a_saved_output_is_a_sample_of_its_own() {
    needs!(Root);
    let files =
        ["go-cpu-list.txt", "go-sub-one-proc.txt", "go-two-packages.txt", "perf-threads.txt", "perf-processes.txt"];
    let text = saved(&files, "openmetrics").stdout;
    let samples = text.lines().filter(|line| line.starts_with("ctxprof_compare_saved_op_seconds{"));
    let mut found: Vec<&str> = samples.map(|line| line.rsplit(' ').next().unwrap()).collect();
    found.sort_by(|one, other| one.parse::<f64>().unwrap().total_cmp(&other.parse().unwrap()));
    let expected =
        ["1.0e-7", "2.0e-7", "2.0e-7", "4.0e-7", "4.0e-7", "9.0e-7", "9.0e-7", "9.0e-7", "5.760123e-6", "6.760123e-6"];
    let nearly =
        |(one, other): (&&str, &&str)| (one.parse::<f64>().unwrap() - other.parse::<f64>().unwrap()).abs() < 1e-12;
    assert!(found.len() == expected.len() && found.iter().zip(&expected).all(nearly), "{text}");
    // Repetitions of one benchmark are one sample, their median.
    let text = saved(&["go-filtered-no-pass.txt"], "openmetrics").stdout;
    assert_eq!(text.matches("\nctxprof_compare_saved_op_seconds{").count(), 1, "{text}");
}

#[test]
fn a_saved_output_that_cannot_be_read_is_named_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.txt");
    let utf16: Vec<u8> =
        "\u{feff}BenchmarkA-2 1 2 ns/op\r\nPASS\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let json = "{\"Time\":\"2026-11-28T02:56:19Z\",\"Action\":\"output\",\"Output\":\"BenchmarkPing-2 \\t 10\\t 8.000 ns/op\\n\"}\n";
    for (bytes, words) in [
        (utf16.as_slice(), ["UTF-16", "iconv"]),
        (json.as_bytes(), ["this is `go test -json` output", "line 1"]),
        (b"\x1f\x8b\x08\0\0", ["gzip", "x.txt"]),
        (b"\n0.019\n", ["--format simple", "line 2"]),
        (b"hello\n", ["hello", "line 1"]),
        (b"", ["empty", "x.txt"]),
    ] {
        fs::write(&path, bytes).unwrap();
        run(&format!("ctxprof compare --with {}", path.display())).expect(1, &words);
    }
}
