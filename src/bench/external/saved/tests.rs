use crate::bench::external::saved::*;

/// Returns the rows of an output, and the first lines of what was skipped.
fn read(bytes: &[u8]) -> (Vec<(String, f64)>, Vec<usize>) {
    let output = parse(bytes).unwrap();
    let rows = output.claims.into_iter().map(|claim| (claim.what, claim.ns_per_op)).collect();
    (rows, output.passed_over.iter().map(|passed| passed.lines.0).collect())
}

fn check(bytes: &[u8], rows: &[(&str, f64)], passed_over: &[usize]) {
    let (found, passed) = read(bytes);
    // Microseconds were multiplied.
    let found: Vec<(&str, f64)> = found.iter().map(|(what, ns)| (what.as_str(), (ns * 1e6).round() / 1e6)).collect();
    assert_eq!((found.as_slice(), passed.as_slice()), (rows, passed_over), "{}", String::from_utf8_lossy(bytes));
}

fn check_refused(text: &str, words: &[&str]) {
    let error = format!("{:#}", parse(text.as_bytes()).unwrap_err());
    assert!(words.iter().all(|word| error.contains(word)), "{words:?} are not in {error:?}");
}

const PIPE: &str = "# Running 'sched/pipe' benchmark:\n# Executed 1000000 pipe operations between two threads\n\n     Total time: 5.760 [sec]\n\n       5.760123 usecs/op\n         173607 ops/sec\n";
const PIPE_ROW: (&str, f64) = ("perf bench sched pipe, 1000000 ops between two threads", 5760.123);

#[test]
fn either_tools_output_is_read_and_both_in_one_file() {
    let go =
        "goos: darwin\ngoarch: arm64\nBenchmarkContextSwitch-8 \t 6843128\t       175.3 ns/op\nPASS\nok  \tx\t1.5s\n";
    let go_row = ("BenchmarkContextSwitch-8", 175.3);
    check(PIPE.as_bytes(), &[PIPE_ROW], &[]);
    check(go.as_bytes(), &[go_row], &[]);
    check(format!("{go}{PIPE}").as_bytes(), &[go_row, PIPE_ROW], &[]);
    check(format!("{PIPE}{go}").as_bytes(), &[PIPE_ROW, go_row], &[]);
}

#[test]
fn marks_escapes_and_times_before_lines_are_no_part_of_it() {
    let rows = [("BenchmarkA-2", 111.0), ("BenchmarkB-2", 222.0)];
    let plain = "BenchmarkA-2   \t 5000000\t       111.0 ns/op\nBenchmarkB-2   \t 5000000\t       222.0 ns/op\nPASS\n";
    check(plain.as_bytes(), &rows, &[]);
    check(format!("\u{feff}{}", plain.replace('\n', "\r\n")).as_bytes(), &rows, &[]);
    // Two files with marks, put together.
    check(plain.replace("BenchmarkB", "\u{feff}BenchmarkB").as_bytes(), &rows, &[]);
    let colored = plain.replace("Benchmark", "\u{1b}[1;36mBenchmark").replace(" ns/op", "\u{1b}[0m ns/op\u{1b}[K");
    check(colored.as_bytes(), &rows, &[]);
    let linked = plain.replace("BenchmarkA-2", "\u{1b}]8;;http://x\u{1b}\\BenchmarkA-2\u{1b}]8;;\u{1b}\\");
    check(linked.as_bytes(), &rows, &[]);
    let logged: String = plain.lines().map(|line| format!("2026-11-28T02:56:17.5061Z {line}\n")).collect();
    check(logged.as_bytes(), &rows, &[]);
    // A log line in Latin-1 between.
    let mut bytes = b"10 \xb5s passed\n".to_vec();
    bytes.extend(plain.bytes());
    check(&bytes, &rows, &[1]);
}

#[test]
fn rows_are_told_apart_by_what_differs_above_them() {
    let with = |first: &str, second: &str| {
        read(
            format!("{first}\nBenchmarkPing-2 1 100 ns/op\nPASS\n{second}\nBenchmarkPing-2 1 900 ns/op\nPASS\n")
                .as_bytes(),
        )
        .0
    };
    let named = |rows: &[(String, f64)]| rows.iter().map(|(what, _)| what.clone()).collect::<Vec<_>>();
    let found = with("goos: linux\npkg: a/fast", "goos: linux\npkg: a/slow");
    assert_eq!(named(&found), ["BenchmarkPing-2 (pkg: a/fast)", "BenchmarkPing-2 (pkg: a/slow)"]);
    let found = with("pkg: a\ncpu: One", "pkg: a\ncpu: Other");
    assert_eq!(named(&found), ["BenchmarkPing-2 (cpu: One)", "BenchmarkPing-2 (cpu: Other)"]);
    let found = with("pkg: a", "pkg: a");
    assert_eq!(named(&found), ["BenchmarkPing-2", "BenchmarkPing-2"]);
    let found = with("", "pkg: a");
    assert_eq!(named(&found), ["BenchmarkPing-2", "BenchmarkPing-2 (pkg: a)"]);
}

#[test]
fn lines_passed_over_for_one_reason_are_one() {
    let text =
        "BenchmarkA 1 2 ns/op\none\n\ntwo\nPASS\nthree\n--- SKIP: BenchmarkC\n    c_test.go:9: needs huge pages\n";
    let passed = parse(text.as_bytes()).unwrap().passed_over;
    let found: Vec<_> = passed.iter().map(|each| (each.lines, each.text.as_str(), each.why.as_deref())).collect();
    let expected = [((2, 4), "one", None), ((6, 6), "three", None), ((7, 8), "--- SKIP: BenchmarkC", Some("skipped"))];
    assert_eq!(found, expected);
}

#[test]
fn what_is_neither_is_shown_with_what_it_looks_like() {
    check_refused("hello\nworld\n", &["go test -bench", "perf bench sched pipe", "line 1, \"hello\""]);
    check_refused("", &["it is empty"]);
    check_refused("\n \n", &["it is empty"]);
    check_refused("BenchmarkContextSwitch 12 fast\n", &["line 1", "\"BenchmarkContextSwitch 12 fast\"", "has no unit"]);
    let json = "go: downloading x v1\n{\"Time\":\"2026-11-28T02:56:19Z\",\"Action\":\"output\",\"Package\":\"x\",\"Output\":\"BenchmarkPing-2 \\t 10\\t 8.000 ns/op\\n\"}\n";
    check_refused(json, &["this is `go test -json` output", "line 2", "\"Action\""]);
    check_refused("{\n \"schema\": \"ctxprof.run/2\"\n}\n", &["ctxprof report", "line 2"]);
    check_refused("<!DOCTYPE html>\n", &["web page"]);
    check_refused("0.019\n", &["--format simple", "line 1, \"0.019\""]);
    check_refused(
        "# Running 'sched/messaging' benchmark:\n     Total time: 0.105 [sec]\n",
        &["sched messaging", "line 1"],
    );
    check_refused(" Performance counter stats for 'x':\n", &["perf stat"]);
    check_refused("--- FAIL: BenchmarkX\n    x_test.go:1: why\nFAIL\n", &["failed", "--- FAIL: BenchmarkX"]);
    check_refused("goos: linux\nPASS\n", &["line 1, \"goos: linux\""]);
    let utf16: Vec<u8> = "\u{feff}BenchmarkA 1 2 ns/op\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(parse(&utf16).unwrap_err().to_string().contains("UTF-16"));
}
