//! Terms that several commands use.

use crate::glossary::{Row, row};

pub(super) const TERMS: &[Row] = &[
    row(
        &["op", "operation"],
        "The unit that a workload repeats: one round trip A → B → A, unless `ctxprof list` says otherwise (one message, one hop, one call).",
    ),
    row(
        &["context switch, voluntary", "voluntary switch"],
        "The thread has to wait and gives up the CPU. In `run`, the cost of one that another thread's wake-up ends is measured.",
    ),
    row(
        &["context switch, involuntary", "involuntary switch", "preemption"],
        "The scheduler takes the CPU from a thread that could go on. sched_yield counts as one.",
    ),
    row(
        &["sample"],
        "A batch of operations timed once, with the counters read around it: about a quarter of a millisecond.",
    ),
    row(
        &["repetition", "repetitions", "--repetitions", "runs of a workload"],
        "One set of threads, processes, tasks or goroutines from creation to end. Each repetition lands elsewhere in memory; the interval of a cost is over repetitions, not over samples, which resemble each other.",
    ),
    row(
        &["undisturbed sample"],
        "Nothing else took more than 2 % of its time, and the core ran at full speed. Costs are medians of undisturbed samples.",
    ),
    row(
        &["no-switch cost", "no-switch loop"],
        "The same calls without a switch. Subtracted from ns/op it gives the net cost.",
    ),
    row(&["median"], "Half of the values are below. It does not move by a few disturbed samples, as a mean does."),
    row(&["handoff", "hand-over"], "Control goes from one participant to the other: half a round trip."),
    row(&["participant"], "A thread, process, task, coroutine or goroutine of a workload."),
    row(
        &["reference loop", "reference_loop_ns"],
        "A fixed stretch of arithmetic, timed around every sample. It takes longer if the core is slowed by its other hardware thread, another guest, or a lower frequency; such samples are excluded.",
    ),
    row(
        &["full speed", "slowed core", "core speed"],
        "The reference loop's best, of this run or of earlier ones on such a processor. If a run stays slower, its costs are upper bounds (`≤`).",
    ),
    row(
        &["kernel accounting", "rusage", "taskstats"],
        "What the kernel keeps for every thread anyway: getrusage, wait4, /proc, taskstats. Reading it adds nothing to a switch.",
    ),
    row(
        &["exit records", "--no-exit-records"],
        "The kernel's taskstats record of every thread that ends, for root or CAP_NET_ADMIN. With them no short-lived thread is missed; they take 2 µs per exiting thread.",
    ),
    row(
        &["counting overhead"],
        "What it costs to count switches by perf events, 3–4 % of a pipe round trip. Switches are counted in separate samples, so it is in no cost.",
    ),
    row(
        &["counting mode", "--counters", "counting"],
        "cpu (perf events on a CPU), thread (on threads, slower), rusage (kernel accounting) or none. `auto` takes the best that the system allows.",
    ),
    row(
        &["session"],
        "One boot of the host, with less than an hour between runs. Runs of a session resemble each other more than runs of different days.",
    ),
    row(
        &["history", "--history"],
        "Medians of earlier runs, one line a row, by which ± says where another run will lie. It names no host.",
    ),
    row(&["margin", "--margin"], "Difference within which two costs count as the same: 3 % unless set."),
    row(&["baseline", "--baseline"], "A saved run that this one is compared with; with `--fail-above` a gate."),
    row(
        &["steal", "steal time"],
        "Time in which the hypervisor ran somebody else on this guest's CPU. Such samples are excluded.",
    ),
    row(
        &["quality"],
        "The lowest and the highest share of undisturbed samples of a row: good from 90 % of the lowest on, fair from 50 % on, else poor; and whether counting overhead was excluded. Where it is not good, treat small differences as undecided.",
    ),
    row(
        &["polls, resumes, uprobe", "polls", "resumes", "uprobe count"],
        "How switches without the kernel are counted: polls of a task's future, resumes of a coroutine, a probe on the function of Go's runtime that runs a goroutine.",
    ),
    row(&["caveat", "caveats"], "What limits a conclusion from a row, printed beside it."),
    row(
        &["saved run"],
        "Every `run` is saved: root's below /var/lib/ctxprof/runs, others' below ~/.local/state/ctxprof/runs. `ctxprof runs` lists them, `ctxprof report` shows the last.",
    ),
    row(&["–", "absent", "not measured"], "Not measured or not known; never 0."),
];
