//! The history of saved runs, and the ± that rests on it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{Done, command, result, run, wait_until};

/// Options of a run short enough for a test.
const BRIEF: &str = "task-channel --samples 9 --repetitions 6 --quiet";

/// Runs with this history, which it extends, and saves into the folder.
fn run_with(history: &Path, folder: &Path, options: &str) -> Done {
    at_full_speed(|| kept_below(folder, &format!("ctxprof run {BRIEF} --history {} {options}", history.display())))
}

/// Removes the core's speed from the runs of a history: one on a slow core does not count beside a fast one.
fn forget_core_speed(history: &Path) {
    let without = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.iter_mut().skip(8).take(1).for_each(|core| *core = "-");
        words.join(" ") + "\n"
    };
    let text: String = fs::read_to_string(history).unwrap().lines().map(without).collect();
    fs::write(history, text).unwrap();
}

/// Repeats a run until its core was not slower than in earlier runs: a slow one gives only upper bounds, and adds nothing.
#[track_caller]
fn at_full_speed(run: impl Fn() -> Done) -> Done {
    let is_known = |done: &Done| match done.stdout.as_bytes().first() {
        Some(b'{') => done.stdout.contains("\"reproducibility\""),
        Some(b'w') => done.stdout.contains("session_half_width"),
        _ => !done.stdout.contains('≤'),
    };
    let tried = (0..30).map(|_| run()).find(is_known);
    tried.expect("the core was slow in thirty runs")
}

/// Runs with this folder for saved runs; root's are always in the system's folder, which a mount namespace covers with this one.
fn kept_below(folder: &Path, line: &str) -> Done {
    if !nix::unistd::geteuid().is_root() {
        return command(line).env("XDG_STATE_HOME", folder).output().unwrap().into();
    }
    let over = "mkdir -p /var/lib/ctxprof && mount --bind \"$0\" /var/lib/ctxprof && exec \"$@\"";
    let mut words = command(line);
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let mut inside = command("unshare --mount sh -ec");
    inside.arg(over).arg(folder).arg(words.get_program()).args(words.get_args());
    words = inside;
    words.output().unwrap().into()
}

/// The words of a report, without its line breaks.
fn words(shown: &str) -> String {
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(history: &Path) -> Vec<String> {
    fs::read_to_string(history).unwrap().lines().skip(1).map(String::from).collect()
}

fn told(document: &Value) -> &Value {
    &result(document, "task-channel")["reproducibility"]
}

mod measuring {
    use super::*;

    #[test]
    fn the_first_run_assumes_and_later_ones_know_by_those_that_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        let first = words(&run_with(&history, folder.path(), "").expect(0, &[]).stdout);
        assert!(first.contains("%*") && first.contains("* assumed: no earlier run of this host is saved"), "{first}");
        assert!(first.contains("±: another run in this session, 95 %."), "{first}");
        assert_eq!(lines(&history).len(), 1);
        let document = run_with(&history, folder.path(), "--format json").expect(0, &[]).json();
        assert_eq!((&told(&document)["runs"], &told(&document)["sessions"]), (&1.into(), &1.into()));
        assert_eq!(told(&document)["assumed"], false);
        // An unsaved run uses the others, and leaves the history as it was.
        let wide = run_with(&history, folder.path(), "--no-save --wide --format csv").expect(0, &[]).stdout;
        let (heading, row) = wide.split_once('\n').unwrap();
        let cells: Vec<(&str, &str)> = heading.split(',').zip(row.trim().split(',')).collect();
        let of = |key: &str| cells.iter().find(|(name, _)| *name == key).unwrap().1.parse::<f64>().unwrap();
        let (own, session, any_day) = (of("run_half_width"), of("session_half_width"), of("any_day_half_width"));
        assert!(session > 0.0 && own < 10.0 * session && session < any_day, "{wide}");
        let (median, high) = (of("ns_per_op"), of("ns_per_op_high"));
        assert!((high / median - 1.0 - session).abs() < 1e-6, "the bounds are those of this session: {wide}");
        assert_eq!(lines(&history).len(), 2);
        let known = words(&run_with(&history, folder.path(), "--no-save").expect(0, &[]).stdout);
        assert!(known.contains("95 %, from 2 saved runs.") && !known.contains('*'), "{known}");
    }

    #[test]
    fn without_a_file_the_history_lies_beside_the_kept_runs() {
        let folder = tempfile::tempdir().unwrap();
        for runs in 1..3 {
            at_full_speed(|| kept_below(folder.path(), &format!("ctxprof run {BRIEF}"))).expect(0, &[]);
            let under = if nix::unistd::geteuid().is_root() { "runs/history" } else { "ctxprof/runs/history" };
            assert_eq!(lines(&folder.path().join(under)).len(), runs);
            assert_eq!(fs::metadata(folder.path().join(under)).unwrap().permissions().mode() & 0o777, 0o644);
        }
        let last = kept_below(folder.path(), "ctxprof report --format json").expect(0, &[]).json();
        assert_eq!(told(&last)["runs"], 1, "the history is none of the runs");
    }

    #[test]
    fn what_machines_collect_has_the_bounds_of_any_day() {
        let folder = tempfile::tempdir().unwrap();
        let (document, metrics) = (folder.path().join("a.json"), folder.path().join("a.prom"));
        let history = folder.path().join("history");
        let files = format!("--no-save -o {} -o {}", document.display(), metrics.display());
        run_with(&history, folder.path(), &files).expect(0, &[]);
        assert!(!history.exists(), "nothing is written");
        let document: Value = serde_json::from_str(&fs::read_to_string(document).unwrap()).unwrap();
        let text = fs::read_to_string(metrics).unwrap();
        let sample = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        let any_day = told(&document)["any_day"].as_f64().unwrap();
        let cost = result(&document, "task-channel")["ns_per_op"]["median"].as_f64().unwrap();
        assert!((sample("ctxprof_op_high_seconds") * 1e9 / cost / any_day.exp() - 1.0).abs() < 1e-6, "{text}");
        assert!((sample("ctxprof_op_low_seconds") * 1e9 / cost * any_day.exp() - 1.0).abs() < 1e-6, "{text}");
    }

    #[test]
    fn two_runs_that_end_at_once_are_both_in_the_history() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| run_with(&history, folder.path(), "").expect(0, &[]));
            }
        });
        assert_eq!(lines(&history).len(), 4);
    }

    #[test]
    fn a_file_that_is_no_history_is_left_alone_with_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("precious.md");
        fs::write(&file, "# Notes\n").unwrap();
        let done = run_with(&file, folder.path(), "").expect(0, &["was not added to the history", "it is no history"]);
        assert!(
            words(&done.stdout).contains("the history of earlier runs is not used")
                && words(&done.stdout).contains("%*"),
            "{done:?}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "# Notes\n");
        let done = run_with(folder.path(), folder.path(), "").expect(0, &["was not added to the history"]);
        assert!(words(&done.stdout).contains("is not used"), "{done:?}");
    }

    #[test]
    fn a_line_that_was_cut_off_is_passed_over_with_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        run_with(&history, folder.path(), "").expect(0, &[]);
        run_with(&history, folder.path(), "").expect(0, &[]);
        forget_core_speed(&history);
        let text = fs::read_to_string(&history).unwrap();
        fs::write(&history, &text[..text.len() - 30]).unwrap();
        let shown = words(&run_with(&history, folder.path(), "").expect(0, &[]).stdout);
        assert!(shown.contains("a line of the history") && shown.contains("from 1 saved run."), "{shown}");
        assert_eq!(lines(&history).len(), 2);
    }

    #[test]
    fn a_history_that_may_not_be_written_is_read_and_said_to_be_so() {
        needs!(Root);
        let nobody = Nobody::new();
        let history = nobody.folder.path().join("history");
        let history_of = format!("run {BRIEF} --history {}", history.display());
        at_full_speed(|| nobody.run(&history_of)).expect(0, &[]);
        forget_core_speed(&history);
        fs::set_permissions(&history, fs::Permissions::from_mode(0o444)).unwrap();
        let before = fs::read_to_string(&history).unwrap();
        let run = || at_full_speed(|| nobody.run(&history_of));
        let done = run().expect(0, &["was not added to the history", "Permission denied"]);
        assert!(words(&done.stdout).contains("from 1 saved run."), "{done:?}");
        assert_eq!(fs::read_to_string(&history).unwrap(), before);
        fs::set_permissions(&history, fs::Permissions::from_mode(0o000)).unwrap();
        let done = run().expect(0, &["was not added to the history"]);
        assert!(
            words(&done.stdout).contains("is not used") && words(&done.stdout).contains("Permission denied"),
            "{done:?}"
        );
    }

    #[test]
    fn on_a_full_disk_the_history_stays_as_it_was() {
        needs!(Root);
        let folder = tempfile::tempdir().unwrap();
        let kept = tempfile::tempdir().unwrap();
        let history = kept.path().join("history");
        run_with(&history, kept.path(), "").expect(0, &[]);
        forget_core_speed(&history);
        // A disk of two pages: the history takes one and another file the other.
        let script = "mount -t tmpfs -o size=8k none \"$0\"; cp \"$1\" \"$0/history\"; printf x > \"$0/other\"
            shift; \"$@\" --history \"$0/history\"; code=$?; cat \"$0/history\" >&2; ls \"$0\" >&2; exit $code";
        let run = command(&format!("ctxprof run {BRIEF}"));
        let inside = || {
            let mut inside = command("unshare --mount sh -c");
            inside.arg(script).arg(folder.path()).arg(&history);
            inside.arg(run.get_program()).args(run.get_args()).output().unwrap().into()
        };
        let done = at_full_speed(inside).expect(0, &["was not added to the history", "No space left"]);
        assert!(words(&done.stdout).contains("from 1 saved run."), "{done:?}");
        assert!(done.stderr.contains(&fs::read_to_string(&history).unwrap()), "{done:?}");
        assert!(done.stderr.ends_with("history\nother\n"), "nothing else is left behind: {done:?}");
    }

    #[test]
    fn a_history_that_another_process_holds_is_waited_for_a_while_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        run_with(&history, folder.path(), "").expect(0, &[]);
        forget_core_speed(&history);
        // cat ends when its input is closed.
        let mut holder = command(&format!("flock {} cat", history.display())).stdin(Stdio::piped()).spawn().unwrap();
        let is_held = || run(&format!("flock --nonblock {} true", history.display())).code == Some(1);
        wait_until("the history is held", is_held);
        let done = run_with(&history, folder.path(), "").expect(0, &["held by another process", "nothing was added"]);
        assert!(words(&done.stdout).contains("from 1 saved run."), "{done:?}");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert_eq!(lines(&history).len(), 1);
    }
}
