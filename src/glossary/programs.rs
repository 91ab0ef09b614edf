//! Columns and verdicts of `stat`, `trace` and `doctor`, and the reasons of `trace`.

use crate::glossary::{Row, row};

pub(super) const STAT: &[Row] = &[
    row(
        &["thread", "command"],
        "A thread by its name; threads of one name are one row unless `--per-thread`. A child process shows as process/thread.",
    ),
    row(&["threads", "TIDs"], "Number of threads in the row."),
    row(
        &["voluntary switches", "voluntary", "vol"],
        "Switches at which the thread had to wait: for a lock, data, a timer. Many of them: fewer, larger handoffs would save their cost.",
    ),
    row(
        &["involuntary switches", "involuntary", "invol"],
        "Switches at which the thread could have gone on: preempted, or it yielded. Many of them: more runnable threads than CPUs, or a CPU quota.",
    ),
    row(&["switches/s", "per second", "switches_per_second"], "Switches per second of elapsed time."),
    row(&["on CPU", "CPU", "CPU time", "on_cpu_ns"], "CPU time, user and system. With its CPUs: by the elapsed time."),
    row(
        &["user", "user_ns"],
        "CPU time in the program's own code. Most kernels part user and system time by sampling at ticks: of less than some 100 ms only the sum is exact.",
    ),
    row(&["sys", "sys_ns"], "CPU time in the kernel: system calls, page faults, and switching."),
    row(
        &["run-queue wait", "runq wait", "run_queue_wait_ns"],
        "Time in which threads were runnable without a CPU. More than the CPU time: too few CPUs, too many threads, or a quota; switching less will not help much.",
    ),
    row(
        &["average wait", "avg wait", "run_queue_wait_ns_per_switch"],
        "Run-queue wait per switch-in: how long a thread that could run waited for a CPU each time.",
    ),
    row(
        &["blocked", "off_cpu_ns"],
        "Time in which threads neither ran nor were runnable: they waited for an event. `ctxprof trace` says for which.",
    ),
    row(
        &["migrations", "migr", "migra- tions"],
        "Moves to another CPU. Each leaves its caches behind. `≥` where it is known for some of the threads only.",
    ),
    row(
        &["page faults", "minor faults", "faults"],
        "Pages mapped, without reading from disk. The total includes major faults.",
    ),
    row(&["major faults"], "Page faults that read from disk; each blocks the thread."),
    row(
        &["ended threads", "(unattributed)", "unattributed"],
        "What the kernel has in total beyond the threads that were seen: threads that came and went between two polls, and what threads do at their very end.",
    ),
    row(
        &["exit switches"],
        "A thread's last switch comes after its accounting is closed, so about one per ended thread is not counted; the bound is printed.",
    ),
    row(
        &["estimated switch cost: processes", "estimated switch cost", "switches_of"],
        "Switches × the net cost in CPU time of a switch on this host, as a range: from preempted ones at the cost of a yield to all at the cost of a pipe. It is what fewer switches could save at most, without refilled caches.",
    ),
    row(
        &["CPU ns each, same CPU", "CPU ns each same CPU", "cpu_ns_same"],
        "CPU time of one switch between participants on one CPU.",
    ),
    row(
        &["across CPUs", "cpu_ns_across"],
        "CPU time of one switch between participants on two CPUs, waking the other included.",
    ),
    row(
        &["nobody woken", "cpu_ns_yield"],
        "CPU time of a switch without a wake-up before it, as at a timer tick (thread-yield).",
    ),
    row(&["switching CPU time", "cpu_time_ns"], "The row's estimated CPU time for switching."),
    row(
        &["share of its CPU time", "share_of_cpu"],
        "Estimated switch cost ÷ CPU time. Below some 2 % switching is not the problem; from 10 % on it is worth working on.",
    ),
    row(
        &["latency ns, same CPU", "latency ns same CPU", "wall_ns_same"],
        "A switch by the clock, on one CPU: what a request waits.",
    ),
    row(&["latency ns, across CPUs", "wall_ns_across"], "A switch by the clock, across CPUs: what a request waits."),
];

pub(super) const TRACE: &[Row] = &[
    row(
        &["reason"],
        "Why a thread left the CPU, by its state, its system call and the kind of file: `ctxprof explain futex` and so on.",
    ),
    row(&["switches"], "Context switches: how often threads of the row left a CPU. Per operation in `run`."),
    row(&["share"], "Share of all switches of the program."),
    row(&["voluntary"], "Switches that the kernel counts as voluntary. It has yields as involuntary."),
    row(
        &["blocked", "blocked_ns", "off CPU"],
        "Time from leaving the CPU until on a run queue again, summed over threads. Idle workers that wait for work have much of it, which is no problem by itself.",
    ),
    row(
        &["wake-up p50", "wakeup_p50_ns"],
        "From the waking until on a run queue, of threads woken onto an idle CPU: rousing the CPU. Long ones come from deep idle states or the hypervisor, not from too few CPUs.",
    ),
    row(
        &["runq p50", "run queue p50", "run_queue_p50_ns"],
        "Median time on a run queue until running; of preempted threads, the whole absence.",
    ),
    row(
        &["runq p99", "run queue p99", "run_queue_p99_ns"],
        "99 % waited no longer on a run queue. Far above p50: bursts of runnable threads, or a quota.",
    ),
    row(&["run queue", "runq wait", "run_queue_ns"], "Time on a run queue, runnable without a CPU, summed."),
    row(
        &["top waker"],
        "The thread or interrupt that ended most of the absences. Find there why it takes so long, or why it wakes so often.",
    ),
    row(&["top reason"], "The thread's most frequent reason."),
    row(&["tracing cost"], "What tracing costs each switch, measured on this host after the program has ended."),
    row(
        &["lost records"],
        "Records that did not fit into the buffers. The number of switches stays right, since it is counted apart; reasons and times are of the rest.",
    ),
];

pub(super) const REASONS: &[Row] = &[
    row(
        &["futex"],
        "Waits in user-space locking: a contended mutex, a condition variable, a thread pool's idle worker, join. Voluntary. Many short ones: contention; shorten or split the critical section.",
    ),
    row(&["sleep"], "nanosleep or clock_nanosleep. Many short ones: polling; wait for an event instead."),
    row(
        &["epoll"],
        "epoll_wait: an event loop with nothing to do, usual for a server. Many short ones: little work per wake-up; batch it.",
    ),
    row(&["poll"], "poll(2) or ppoll(2): waits for files to become ready."),
    row(&["select"], "select(2) or pselect(2): waits for files to become ready."),
    row(
        &[
            "read pipe",
            "read",
            "read socket",
            "read eventfd",
            "read timerfd",
            "read signalfd",
            "read inotify",
            "read file",
            "read directory",
            "read device",
            "read terminal",
            "read other file",
        ],
        "Waits to read from a file of this kind. From a pipe or socket: the other side has not written yet. From a file: the disk.",
    ),
    row(
        &[
            "write pipe",
            "write",
            "write socket",
            "write eventfd",
            "write timerfd",
            "write signalfd",
            "write inotify",
            "write file",
            "write directory",
            "write device",
            "write terminal",
            "write other file",
        ],
        "Waits to write to a file of this kind. To a pipe or socket: the buffer is full, the reader is slower; a larger buffer makes fewer switches.",
    ),
    row(
        &["yield"],
        "sched_yield: it gave way to others that are runnable. Spinning with yields costs a switch each time.",
    ),
    row(
        &["preempted by a woken thread", "preempted"],
        "A thread woken on its CPU took over at once. Typical of a waker and its consumer on one CPU: fewer where work is handed over in batches.",
    ),
    row(
        &["woken before it slept", "woken before"],
        "It was to wait in a call and was woken on the way there; others had its CPU before it went on. Involuntary by the kernel's count.",
    ),
    row(
        &["preempted, slice used up", "slice used up"],
        "It ran until its time slice was used up, or another thread was moved to its CPU: more runnable threads than CPUs.",
    ),
    row(
        &["throttled (CPU quota)", "throttled"],
        "Its cgroup had used up its CPU quota for this period. Raise the quota, or run fewer threads at once.",
    ),
    row(&["vfork child"], "Waits for a child that uses its memory, until that calls exec or ends."),
    row(&["system call"], "Waits in another system call, which is named. wait4: for a child to end."),
    row(&["32-bit system call"], "Waits in a system call of a 32-bit program, by the number that this has there."),
    row(&["page fault, disk", "page fault"], "Waits for a page to be read from disk: a mapped file, or swap."),
    row(&["page fault, userfaultfd", "userfaultfd"], "Waits for a page that another thread provides."),
    row(&["disk"], "Waits for a disk, in the call that is named, as fsync."),
    row(&["memory shortage"], "Waits for memory to become free: reclaim, or its cgroup's limit."),
    row(
        &["kernel wait"],
        "Waits inside the kernel where no signal ends it: a kernel lock, a queue. `kernel wait, FUNCTION in CALL` names the kernel's function and the system call.",
    ),
    row(&["idle I/O worker"], "A worker of io_uring or vhost with nothing to do."),
    row(&["frozen"], "Its cgroup is frozen, or the system suspends."),
    row(&["stopped"], "Stopped by a signal (SIGSTOP, Ctrl-Z)."),
    row(&["traced"], "Stopped for a debugger or strace."),
    row(
        &["exit"],
        "The thread ended. Each thread makes one such switch: many of them mean that threads are started for little work; use a pool.",
    ),
    row(&["unknown reason", "unknown"], "It left in a state that this version does not know."),
];

pub(super) const VERDICTS: &[Row] = &[
    row(
        &["same"],
        "diff: surely within the margin (3 % unless `--margin`). Absence of a change is shown, not only unproven.",
    ),
    row(&["faster"], "diff: lower by more than both sides' spread explains."),
    row(
        &["slower"],
        "diff: higher by more than both sides' spread explains. SLOWER in capitals: beyond `--fail-above`, too.",
    ),
    row(&["undecided"], "diff: the interval allows both. More runs a side decide it; `runs a side` says how many."),
    row(
        &["regression"],
        "diff and `run --baseline`: slower than `--fail-above` allows, by the interval and not by the median alone. Exit code 3.",
    ),
    row(&["passed"], "gate: surely not slower than `--fail-above` allows."),
    row(&["failed"], "gate: surely slower than `--fail-above` allows."),
    row(
        &["verdict: run queue"],
        "stat: threads waited longer for a CPU than any part of their CPU time took. Fewer threads, more CPUs or a larger quota help; fewer switches do not.",
    ),
    row(
        &["verdict: switching"],
        "stat: the largest part of the time is the estimated cost of switches. Fewer and larger handoffs help; `ctxprof trace` shows where.",
    ),
    row(
        &["verdict: kernel time"],
        "stat: the largest part of the time is spent in the kernel, switching excluded. `perf trace -s` or `strace -c` shows in which.",
    ),
    row(
        &["verdict: blocked"],
        "stat: for the largest part of the elapsed time, at least, none of the threads ran or could: all waited for events. `ctxprof trace` says for which.",
    ),
    row(
        &["verdict: user code"],
        "stat: the largest part of the time is the program's own code. `perf record` shows where; switches are not the problem.",
    ),
];

pub(super) const DOCTOR: &[Row] = &[
    row(&["check"], "What was looked at; `ctxprof explain steal` and so on says why it matters."),
    row(&["state", "severity"], "ok, info, unknown, warning or serious."),
    row(&["found", "what was found"], "The finding on this host."),
    row(&["what changes it", "fix"], "A command that changes it; it is for you to run."),
    row(&["where it was read", "source"], "The file or call that the finding comes from."),
    row(&["ok"], "doctor: nothing wrong."),
    row(&["info"], "doctor: to be known when figures are compared with another host's."),
    row(&["unknown state", "unknown"], "doctor: it could not be read, often for want of permission."),
    row(&["warning"], "doctor: figures are worse than they could be, or some are absent."),
    row(&["serious"], "doctor: figures mislead, or the kernel counts nothing for this user."),
];
