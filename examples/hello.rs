//! Hello from tasks and threads: who speaks when, and what their closures capture.
//!
//! ```sh
//! cargo run --example hello
//! ```
//!
//! Every line is numbered as it is printed. Run it several times: parts 2 and 4 may come out in another order, the others
//! never. Where two threads run at once, the order is up to the scheduler: the kernel's, and above it tokio's.

use std::sync::Mutex;
use std::thread;

use tokio::runtime::Builder;

fn main() {
    println!("1. Tasks on one thread");
    tasks_on_one_thread();
    println!("2. Tasks on two threads");
    tasks_on_two_threads();
    println!("3. A task that nobody waits for");
    a_task_that_nobody_waits_for();
    println!("4. Threads whose closures borrow");
    closures_that_borrow();
    println!("5. Threads whose closures own");
    closures_that_own();
}

/// Prints a line with its number. The lock is held until it is printed, so that the numbers show the order.
fn say(line: &str) {
    static LINES: Mutex<u32> = Mutex::new(0);
    let mut number = LINES.lock().expect("nobody panics while printing");
    *number += 1;
    println!("{:>4}  {line}", *number);
}

/// One thread runs one task at a time, and a task runs until it waits. So the order is always the same: the new tasks queue
/// up behind the main one, and run in turn as soon as that waits.
fn tasks_on_one_thread() {
    let runtime = Builder::new_current_thread().build().expect("a runtime starts");
    // The main task: block_on's future runs on this thread, and so do all tasks that it spawns.
    runtime.block_on(async {
        let first = tokio::spawn(async { say("first task: hello") });
        let second = tokio::spawn(async { say("second task: hello") });
        say("main task, before the wait: both are spawned, neither has run, for I have the thread");
        second.await.expect("the task does not panic");
        first.await.expect("the task does not panic");
        // The first ran first all the same: waiting decides which is known to be over, not which runs next.
        say("main task, after the wait: both have run");
    });
}

/// With threads of its own, the runtime may run a task as soon as it is spawned, beside the main one. Only waiting creates an
/// order: the line after the wait is the last, and the other three come in any order.
fn tasks_on_two_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime starts");
    runtime.block_on(async {
        let first = tokio::spawn(async { say("first task: hello") });
        let second = tokio::spawn(async { say("second task: hello") });
        say("main task, before the wait: who has run by now?");
        first.await.expect("the task does not panic");
        second.await.expect("the task does not panic");
        say("main task, after the wait: both have run");
    });
}

/// The end of the main task is the end of all others, as the end of `main` is in Go. This one has never had the thread.
fn a_task_that_nobody_waits_for() {
    let runtime = Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        tokio::spawn(async { say("forgotten task: this is never printed") });
        say("main task: I have spawned a task, and end without waiting");
    });
}

/// A closure captures by reference what it only uses. A thread may hold references into this function if it is sure to end
/// before them: `thread::scope` waits for its threads at its end, so the wait cannot be forgotten.
fn closures_that_borrow() {
    let greeting = String::from("hello");
    let mut letters = 0;
    thread::scope(|scope| {
        // Captures `&greeting`: many may read at once.
        scope.spawn(|| say(&format!("first thread: {greeting}")));
        // Captures `&greeting` and `&mut letters`: one may write, and no other thread uses it meanwhile.
        scope.spawn(|| {
            say(&format!("second thread: {greeting}"));
            letters += greeting.len();
        });
        say(&format!("main thread, before the wait: {greeting}"));
    });
    say(&format!("main thread, after the wait: {greeting} is still mine, and letters is {letters}"));
}

/// `thread::spawn` and `tokio::spawn` promise no such end, so their closures must own what they use: `move` captures by value.
/// In Go every closure captures by reference, and whether two goroutines write the same variable at once is up to you.
fn closures_that_own() {
    let greeting = String::from("hello");
    let mut number = 1;
    let thread = thread::spawn(move || {
        // `greeting` has moved into the closure: using it in main is an error (E0382). `number` is Copy: this one is the
        // thread's own, and main has another.
        number += 1;
        say(&format!("thread: {greeting} is mine, and my number is {number}"));
        greeting
    });
    let greeting = thread.join().expect("the thread does not panic");
    number += 10;
    say(&format!("main thread, after the wait: {greeting} has come back, and my number is {number}"));
}
