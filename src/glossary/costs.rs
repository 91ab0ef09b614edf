//! Columns of the tables that `run`, `sweep`, `memory`, `compare`, `diff` and `list` print.

use crate::glossary::{Row, row};

pub(super) const RUN: &[Row] = &[
    row(
        &["workload"],
        "The mechanism by which two participants hand control to each other; `ctxprof list` has them all, and `ctxprof explain thread-pipe` says what one does.",
    ),
    row(
        &["placement", "--place"],
        "Where the participants ran: on the same CPU, or on two that share a core (smt), a last-level cache (llc), a socket, or nothing (cross). Across CPUs a switch includes waking another CPU.",
    ),
    row(&["CPUs"], "The CPUs that the participants were pinned to, the leader's first."),
    row(
        &["ns/op"],
        "Median wall time of one operation, from undisturbed samples; ± is the 95 % interval in which another run of this session will lie. This is the time a caller waits: compare it with the time budget of a request.",
    ),
    row(
        &["switches/op", "switches"],
        "Context switches counted per operation: by the kernel for threads and processes, by polls or resumes for tasks and coroutines, by a probe on Go's runtime for goroutines. `~` marks an expected figure that could not be counted. If it is not what you assumed, dividing ns/op by the assumption is wrong.",
    ),
    row(
        &["kernel switches/op, v + i", "kernel switches per op", "v + i"],
        "Kernel switches per operation: voluntary (the thread had to wait) + involuntary (it was preempted or yielded). Tasks and goroutines that stay on one thread make none.",
    ),
    row(
        &["ns/switch", "ns per switch"],
        "ns/op ÷ switches/op, both from the same samples. It includes the system calls around the switch: net ns/switch does not.",
    ),
    row(
        &["no-switch ns/op", "no-switch", "no-switch cost", "--baseline cost"],
        "The same calls per operation without a switch, for example writing to a pipe and reading it back. It is what the calls alone cost; the rest of ns/op is due to switching.",
    ),
    row(
        &["net ns/switch", "net ns per switch", "net", "net_ns_per_switch"],
        "(ns/op − no-switch ns/op) ÷ switches/op: the switch with its wake-up, without the calls around it. Use it to compare mechanisms, or for an estimate of what fewer switches would save; use ns/op for what a caller waits.",
    ),
    row(
        &["relative"],
        "ns/switch ÷ the lowest of the table. Rows differ in what they wait for: compare like with like.",
    ),
    row(
        &["cycles/op", "cycles per op"],
        "CPU cycles per operation, user and kernel mode. Unlike ns, it does not depend on the clock frequency. Absent without a PMU, as in most virtual machines.",
    ),
    row(
        &["user cycles/op", "user cycles per op"],
        "CPU cycles per operation in user mode only: all that may be counted without permission for the kernel.",
    ),
    row(
        &["kernel cycles/op", "kernel cycles per op"],
        "CPU cycles per operation in kernel mode: system calls, the scheduler and interrupts.",
    ),
    row(
        &["TSC ticks/op", "TSC ticks per op"],
        "Ticks of the time-stamp counter per operation: wall time by a constant, not cycles. It says nothing that ns/op does not.",
    ),
    row(
        &["samples undisturbed", "samples undist.", "undist.", "undisturbed", "undisturbed_share"],
        "Share of samples in which nothing else took more than 2 % of the time (other threads, steal, throttling) and the core ran at full speed. Costs are medians of those. Below about 80 %, find out who else runs (`ctxprof doctor`) and measure again.",
    ),
    row(
        &["CPU ns/op", "cpu_ns_per_op"],
        "CPU time of all participants per operation, on all their CPUs. Across CPUs it differs from ns/op: while one waits for a wake-up, its CPU may be idle.",
    ),
    row(&["ops/s", "ops_per_second"], "Operations per second at the median: 1e9 ÷ ns/op."),
    row(
        &["mean of all ns/op", "mean_ns_per_op"],
        "Mean over all samples, disturbed ones too. If it is far above ns/op, the host was busy, and a program on it will feel that as well.",
    ),
    row(
        &["± this run", "run_half_width"],
        "Half-width of the cost's interval in this run alone, from its repetitions.",
    ),
    row(
        &["± this session", "session_half_width"],
        "Half-width for another run of this session (one boot, less than an hour apart), from this run and the history of earlier ones. This is the ± beside ns/op.",
    ),
    row(
        &["± any day", "any_day_half_width"],
        "Half-width for a run on another day on this host, from the history of earlier sessions. Use it for baselines that are days old.",
    ),
    row(
        &["±", "±95%", "half_width", "interval", "confidence interval"],
        "Half-width of the interval around a median, in which another run of this session will lie with 95 %; without knowledge of other runs, of this run's own interval, whose confidence is in the head (`±98%`). `*` marks an assumed width: no earlier run is known yet. `≤` marks an upper bound, from a core that never ran at full speed. Two figures whose intervals overlap may be the same.",
    ),
    row(
        &["fewest per op", "switches_per_op_lowest"],
        "The lowest switches/op of any repetition. If it differs from the highest, the scheduler decides, and the median is of several behaviours.",
    ),
    row(&["most per op", "switches_per_op_highest"], "The highest switches/op of any repetition."),
    row(
        &["wake-ups/op", "wake-ups per op", "wake_ups_per_op"],
        "Threads woken per operation, counted in a pass of its own. Fewer than switches/op where threads were preempted or yielded instead of waiting.",
    ),
    row(
        &["to idle/op", "to idle per op", "to_idle_per_op"],
        "Switches to the idle thread per operation, on two CPUs: how often a CPU found nothing to run and had to be woken again.",
    ),
    row(
        &["migrations/op", "migrations per op"],
        "Moves of a thread to another CPU, per operation. Pinned participants make none.",
    ),
    row(
        &["page faults/op", "page faults per op"],
        "Pages mapped on first touch, per operation. A steady loop has none.",
    ),
    row(
        &["instructions/op", "instructions per op"],
        "Instructions per operation, user and kernel mode. With cycles it says if time goes to work or to waiting for memory.",
    ),
    row(
        &["user instr./op", "user instr. per op", "user_instructions_per_op"],
        "Instructions per operation in user mode. It repeats to the instruction, so a change means different code.",
    ),
];

pub(super) const ALIKE: &[Row] = &[
    row(
        &["like with like, ns a hand-over", "like with like", "contract"],
        "One contract by several kinds of participants: waiting for each other (futex, channel), giving way (yield), waiting for the kernel (pipe). Only within a row does the kind alone differ; a thread's pipe against a goroutine's channel also compares two mechanisms.",
    ),
    row(&["thread", "thread_ns"], "Of like with like: ns for a thread to hand control to another."),
    row(&["goroutine", "goroutine_ns"], "Of like with like: ns for a goroutine to hand control to another."),
    row(&["task", "task_ns"], "Of like with like: ns for a tokio task to hand control to another."),
    row(
        &["times", "goroutine_ratio", "task_ratio"],
        "Of like with like: a thread's handoff of the same contract ÷ this one's, with its interval. Shown only where the interval spans less than 1.5x.",
    ),
];

pub(super) const LATENCY: &[Row] = &[
    row(
        &["latency, ns/op", "latency, ns per op", "latency"],
        "Every operation timed by itself (`--latency`), disturbed ones too: the tail is the point.",
    ),
    row(&["p50", "p50_ns"], "Half of the operations took no longer."),
    row(&["p90", "p90_ns"], "90 % of the operations took no longer."),
    row(
        &["p99"],
        "99 % of the operations took no longer. A percentile that fewer than ten operations exceed is not shown.",
    ),
    row(
        &["p99.9", "p99_9_ns"],
        "99.9 % of the operations took no longer. At this depth most are operations with a timer tick or an interrupt in them.",
    ),
    row(&["max", "max_ns"], "The slowest operation. It depends on how long you measure: compare p99.9 instead."),
    row(&["mean", "latency_mean_ns"], "Mean of all operations timed by themselves, the clock's cost included."),
    row(&["ops", "latency_ops"], "Number of operations timed by themselves."),
    row(
        &["ticks per 1000 ops", "timer_ticks_per_1000_ops"],
        "Timer interrupts that fell into 1,000 operations. 1.3 means that percentiles beyond p99.87 show the tick, not the switch.",
    ),
    row(&["clock", "clock_ns"], "Cost of reading the clock after every operation, ns. It is in each of them."),
    row(&["by plain", "latency_by_plain"], "An operation timed by itself ÷ one timed among others."),
    row(
        &["check", "latency_check"],
        "As `by plain`, without the clock's cost. Near 1, timing each operation did not change what it does; below 1, the processor overlaps the next operation with the clock.",
    ),
];

pub(super) const BREAKDOWN: &[Row] = &[
    row(
        &["part"],
        "A part of one operation by the kernel's records of every switch (`--breakdown`); the parts add up to the total. Recording makes operations slower: take shares from here and costs from the first table.",
    ),
    row(&["ns/op of the part", "part_ns_per_op"], "Time of this part in one operation."),
    row(&["of the whole", "part_share"], "This part's share of an operation. Work on the largest."),
    row(&["times per op", "part_events_per_op"], "How often the part occurs in an operation."),
    row(&["each: p50 ns", "part_p50_ns"], "Median length of one occurrence."),
    row(&["p99 ns", "part_p99_ns"], "99 % of the occurrences were no longer."),
    row(&["running"], "A participant runs, in its code or in system calls, and no woken one waits for a CPU."),
    row(
        &["scheduling delay"],
        "A participant has been woken, and its CPU is not yet being switched to it: run-queue wait, and waking an idle CPU.",
    ),
    row(
        &["context switch"],
        "A CPU goes from one thread to the next: the scheduler's choice, address space and registers. Refilling caches afterwards is in `running`.",
    ),
    row(&["idle"], "No participant runs or waits for a CPU: all wait for an event."),
    row(&["other threads"], "Another thread is in the way. Find it with `ctxprof doctor`."),
    row(
        &["unknown part", "unknown"],
        "The records do not say: some were lost, or the thread left in a state without a name.",
    ),
    row(&["= total", "total op"], "The operation from end to end, by its leader's clock."),
    row(
        &["no-switch: calls alone"],
        "The same calls where nothing switches, recorded alike: how much of `running` is calls.",
    ),
];

pub(super) const SWEEP: &[Row] = &[
    row(
        &["ring", "participants", "--ring"],
        "Number of participants that pass a token in a circle; an operation is one hop. Costs rise where run queues and caches fill.",
    ),
    row(
        &["working set", "working_set_bytes", "--working-set"],
        "Memory that each participant walks on its turn. A switch becomes expensive where all working sets together outgrow a cache: the next participant finds its data gone.",
    ),
    row(
        &["knee"],
        "A step at which the cost per switch rises beyond the spread. It is attributed to a cache only where all working sets together pass that cache's size. Keep below it, or do more work per switch beyond it.",
    ),
];

pub(super) const COMPARE: &[Row] = &[
    row(&["tool"], "The external benchmark that was run in turn with ctxprof's own workload."),
    row(&["reported ns/op"], "The tool's own ns/op, median of the rounds."),
    row(
        &["assumed switches", "assumed_switches_per_op"],
        "Switches per operation that users of the tool usually divide by.",
    ),
    row(
        &["counted switches", "counted_switches_per_op"],
        "Switches per operation that were counted: by the kernel (wait4) or a probe on Go's runtime. If it differs from the assumed number, the usual figure per switch is wrong by that factor.",
    ),
    row(&["counted ns/switch", "counted_ns_per_switch"], "Reported ns/op ÷ counted switches."),
    row(&["ours", "own_workload"], "ctxprof's workload that does the same."),
    row(&["ours ns/op", "own_ns_per_op"], "ns/op of that workload, measured in the same rounds."),
    row(
        &["÷ ours", "ratio"],
        "Reported ns/op ÷ ours, paired in each round, with its interval. If that contains 1, the two agree.",
    ),
    row(&["from a file", "file"], "A saved output of a tool, given with `--with`. Its switches were not counted here."),
    row(&["what"], "The benchmark of which the file has a result."),
];

pub(super) const MEMORY: &[Row] = &[
    row(&["kind"], "Kind of participant: thread, process, task (tokio), coroutine or goroutine."),
    row(
        &["up to", "counts"],
        "The largest number that was parked. Bytes are slopes over four counts, so fixed costs drop out.",
    ),
    row(
        &["user resident", "user_bytes"],
        "Touched memory of the program per participant: stack and heap (Pss of smaps_rollup).",
    ),
    row(
        &["kernel", "kernel_bytes"],
        "Kernel memory per participant: kernel stack, task and mapping structures, page tables, by the memory cgroup's charge. It counts against a container's limit, and no heap profiler shows it.",
    ),
    row(&["total", "resident_bytes"], "User and kernel memory per participant. Divide the memory you have by this."),
    row(&["virtual", "virtual_bytes"], "Address space per participant (VmSize). It costs nothing until it is touched."),
    row(&["spawn ns"], "Time per participant until the calls that create had returned, in batches."),
    row(&["first run ns"], "Time per participant until the bodies had run, too."),
    row(&["join ns"], "Time per participant until all had ended, after they were told to."),
    row(
        &["kernel by", "kernel_source"],
        "Source of the kernel's bytes: the memory cgroup, or /proc/meminfo without one.",
    ),
    row(
        &["kernel by meminfo", "machine_kernel_bytes"],
        "Kernel memory by /proc/meminfo and VmPTE, for comparison: other programs are in it.",
    ),
    row(&["kernel stacks", "kernel_stack_bytes"], "Kernel stack per participant: 16 KiB for a thread on x86-64."),
    row(&["slab", "slab_bytes"], "The kernel's structures per participant (SUnreclaim)."),
    row(&["page tables", "page_table_bytes"], "Page tables per participant (VmPTE)."),
    row(&["by its own runtime", "own_bytes"], "Bytes by the runtime's own accounting (Go's runtime.MemStats)."),
    row(
        &["in huge pages", "huge_bytes"],
        "Part of the user's memory that huge pages back. If it is not 0, touched memory is larger than what was asked for.",
    ),
    row(&["repetitions"], "Processes of which the row is the median; each parked all counts."),
    row(&["disturbed"], "Repetitions left out because other programs moved kernel memory meanwhile."),
];

pub(super) const DIFF: &[Row] = &[
    row(&["old ns/op"], "ns/op on the old side; the median if it has several runs."),
    row(&["new ns/op"], "ns/op on the new side; the median if it has several runs."),
    row(&["change"], "New ns/op ÷ old − 1, with an interval wide enough for all rows at once. Positive is slower."),
    row(
        &["needed", "threshold"],
        "The smallest change that the spread of both sides does not explain. Smaller changes are not detectable with these runs: take more runs a side.",
    ),
    row(&["verdict"], "same, faster, slower or undecided, by the change's interval and the margin."),
    row(&["gate"], "passed, failed or undecided, against `--fail-above`."),
    row(&["runs a side", "runs_needed"], "Runs per side that would decide an undecided row."),
];

pub(super) const LIST: &[Row] = &[
    row(
        &["expected switches/op", "expected_switches_per_op"],
        "Switches per operation that the workload is written to make. `run` counts them and divides by the count.",
    ),
    row(&["here", "available"], "`yes`, or how it is counted, if it can be measured on this host."),
    row(&["what it is, or why not", "description"], "What the workload does, or why it cannot be measured here."),
    row(&["counter", "event"], "An event that ctxprof can count, as perf names it."),
    row(&["what it counts, or why not"], "What the counter counts, or why it is not available here."),
];

pub(super) const RUNS: &[Row] = &[
    row(&["started", "started_at"], "When the run began, in UTC."),
    row(
        &["run state", "state"],
        "saved: a readable run. old-version: written by a ctxprof whose documents are no longer read. damaged: named like a run, and not readable. foreign: no run. `--keep` removes readable runs only.",
    ),
    row(&["workloads", "rows"], "What was measured, or why the file is no readable run."),
    row(&["kernel", "run_kernel"], "The kernel on which it was measured."),
    row(
        &["processor", "run_cpu"],
        "The processor on which it was measured. Compare runs of the same kernel and processor.",
    ),
    row(&["size", "size_bytes"], "Size of the file."),
    row(
        &["file", "saved_file"],
        "The file, in the first folder of the heading unless a path is shown; `ctxprof report FILE` shows it.",
    ),
];
