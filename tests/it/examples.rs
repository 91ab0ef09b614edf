//! The examples that users read first, and the manual's and documentation's claims about them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::isolation::without_go;
use crate::machine::{Ability, can, needs};
use crate::support::{Done, example, run};

/// Returns an example's stdout, after it has succeeded.
#[track_caller]
fn said_by(name: &str) -> String {
    run(example(name).to_str().unwrap()).expect(0, &[]).stdout
}

/// Returns the lines below a heading, without their numbers, which go on from one heading to the next.
fn part<'s>(said: &'s str, heading: &str) -> Vec<&'s str> {
    let lines = said.lines().skip_while(|line| *line != heading).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
    assert!(!lines.is_empty(), "{heading:?} has no lines: {said}");
    lines.iter().map(|line| line.trim_start().split_once("  ").unwrap().1).collect()
}

#[test]
fn hello_numbers_its_lines_as_they_come() {
    let said = said_by("hello");
    let numbers: Vec<usize> =
        said.lines().filter_map(|line| line.strip_prefix(' ')?.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>(), "{said}");
}

#[test]
fn hello_keeps_the_order_that_cannot_vary() {
    let said = said_by("hello");
    assert_eq!(
        part(&said, "1. Tasks on one thread"),
        [
            "main task, before the wait: both are spawned, neither has run, for I have the thread",
            "first task: hello",
            "second task: hello",
            "main task, after the wait: both have run",
        ]
    );
    assert_eq!(
        part(&said, "3. A task that nobody waits for"),
        ["main task: I have spawned a task, and end without waiting"]
    );
    assert_eq!(
        part(&said, "5. Threads whose closures own"),
        [
            "thread: hello is mine, and my number is 2",
            "main thread, after the wait: hello has come back, and my number is 11",
        ]
    );
}

#[test]
fn hello_says_the_rest_in_any_order_and_the_line_after_the_wait_last() {
    for _ in 0..20 {
        let said = said_by("hello");
        for (heading, before, last) in [
            (
                "2. Tasks on two threads",
                ["first task: hello", "main task, before the wait: who has run by now?", "second task: hello"],
                "main task, after the wait: both have run",
            ),
            (
                "4. Threads whose closures borrow",
                ["first thread: hello", "main thread, before the wait: hello", "second thread: hello"],
                "main thread, after the wait: hello is still mine, and letters is 5",
            ),
        ] {
            let lines = part(&said, heading);
            let (found_last, found_before) = lines.split_last().unwrap();
            assert_eq!(*found_last, last);
            assert_eq!(found_before.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from(before), "{said}");
        }
    }
}

/// Returns the times that the busy one was off, and the other one's turns, from the row that begins so.
#[track_caller]
fn preemption_row(said: &str, busy: &str) -> (String, Option<u64>) {
    let row = said.lines().find_map(|line| line.strip_prefix(busy)).unwrap_or_else(|| panic!("no {busy:?} in {said}"));
    let (left, turns) = row.trim().rsplit_once("  ").unwrap();
    assert_eq!(said.lines().filter(|line| line.starts_with(&format!("{busy}: "))).count(), 1, "no sentence: {said}");
    (left.trim().to_string(), turns.trim().parse().ok())
}

fn leading_number(text: &str) -> u64 {
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn preemption_counts_who_gives_way_and_who_is_made_to() {
    let said = said_by("preemption");
    let (left, turns) = preemption_row(&said, "task, waits 100 times");
    assert_eq!(left, "100 waits");
    // One per wait; the scheduler may run the same task twice in a row.
    assert!((90..=110).contains(&turns.unwrap()), "{said}");
    assert_eq!(preemption_row(&said, "task, only computes"), ("0 waits".to_string(), Some(0)));
    let (left, turns) = preemption_row(&said, "OS thread, only computes");
    assert!(left.ends_with(" preemptions") && leading_number(&left) > 0 && turns.unwrap() > 0, "{said}");
    if can(Ability::Go) {
        assert!(preemption_row(&said, "goroutine, only computes").1.unwrap() > 0, "{said}");
        assert_eq!(preemption_row(&said, "the same, asyncpreemptoff=1").1, Some(0), "{said}");
    }
}

#[test]
fn preemption_says_so_where_there_is_no_go() {
    needs!(Root);
    let output = without_go(&example("preemption")).output();
    let said = Done::from(output.unwrap()).expect(0, &[]).stdout;
    assert_eq!(preemption_row(&said, "goroutine, only computes"), ("–".to_string(), None));
    assert!(said.contains("goroutine, only computes: no Go here: "), "{said}");
    assert!(preemption_row(&said, "OS thread, only computes").1.unwrap() > 0, "{said}");
}

#[test]
fn count_switches_counts_each_piece_of_itself() {
    let said = said_by("count_switches");
    let switches = |piece: &str| -> (u64, u64) {
        let row =
            said.lines().find_map(|line| line.strip_prefix(piece)).unwrap_or_else(|| panic!("no {piece}: {said}"));
        let [voluntary, involuntary] = row.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{row}") };
        (voluntary.parse().unwrap(), involuntary.parse().unwrap())
    };
    assert!(switches("this thread computes for 20 ms").0 < 10, "{said}");
    assert!(switches("this thread sleeps 10 times").0 >= 10, "{said}");
    // Each side waits for the other, unless the answer is there already.
    assert!(switches("two threads, 100 questions and answers").0 > 0, "{said}");
    assert!(switches("a child: sleep 0.01").0 >= 1, "{said}");
    assert!(switches("two tasks, each gives way 100 times").0 < 10, "{said}");
    assert!(said.contains("one of these tasks was polled 101 times"), "{said}");
    if can(Ability::Perf) {
        assert!(said.lines().any(|line| line.starts_with("context-switches")), "{said}");
    }
}

#[test]
fn the_manuals_program_is_the_one_that_the_documentation_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let chapter = read("docs/library.md");
    let program = chapter.split("```rust\n").nth(1).expect("a program in Rust").split("```").next().unwrap();
    let documentation: String = read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    assert!(documentation.contains(program), "the program of docs/library.md is not in lib.rs:\n{program}");
}

#[test]
fn every_example_that_the_manual_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("docs/README.md")).unwrap();
    let named: BTreeSet<&str> = manual
        .split("--example ")
        .skip(1)
        .map(|rest| rest.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).next().unwrap())
        .collect();
    assert_eq!(named, BTreeSet::from(["count_switches", "hello", "preemption"]));
    for name in named {
        assert!(root.join("examples").join(format!("{name}.rs")).exists(), "{name}");
    }
}
