//! Texts of `--help` besides the options.

/// Commands by task, in the order of `--help`.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("Measure this machine", &["run", "sweep", "compare", "memory"]),
    ("Measure a program", &["stat", "trace"]),
    ("Results", &["report", "diff", "runs", "explain"]),
    ("Host and tool", &["doctor", "list", "completions", "man"]),
];

pub(super) const EXAMPLES: &str = "Examples:
  sudo ctxprof run                      what a switch costs on this host
  sudo ctxprof run all --sort cost      all workloads, the least expensive first
  sudo ctxprof run thread-pipe --cpu 1  one workload, on CPU 1
  sudo ctxprof run -o costs.json        the table, and a file for later
  sudo ctxprof sweep ring 2..4096       the cost by the size of a ring, with its knees
  sudo ctxprof compare                  beside perf bench and go test, their switches counted
  sudo ctxprof stat -- make -j4         what a program's switches cost it
  sudo ctxprof trace -- ./server        why its threads leave the CPU, and what wakes them
  ctxprof memory                        what one more thread, task or goroutine takes in memory
  ctxprof report costs.json --wide      show it again, with more columns
  ctxprof diff costs.json later.json    what has changed since
  ctxprof explain net                   what a column, reason or term means
  sudo ctxprof doctor                   what makes the numbers worse on this host, and what to do about it
  ctxprof list                          what can be measured on this host, and why the rest cannot

Without sudo ctxprof counts what the system allows, and says so.
Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 a regression was found, 130 interrupted (143 by SIGTERM) after printing what there is.";

pub(super) const RUN_EXAMPLES: &str = "Examples:
  sudo ctxprof run                               the default workloads, 10 repetitions each
  sudo ctxprof run all --sort cost               every way to switch, the least expensive first
  sudo ctxprof run thread 'task-*'               a kind, and a glob
  sudo ctxprof run thread-pipe --place all       the cost by distance
  sudo ctxprof run thread-pipe --policy fifo:50  under another scheduling policy
  sudo ctxprof run thread-channel --timeline     why it switches so often: one round trip, drawn
  sudo ctxprof run thread process --breakdown    what of a round trip is calls, wake-ups and switches
  sudo ctxprof run task-channel --time 5         one workload, for 5 s
  sudo ctxprof run thread-pipe --latency         p50 to p99.9 of its ops, and the longest
  taskset -c 3 ctxprof run                       on a CPU that the mask allows
  sudo ctxprof run --format json --quiet         JSON on stdout and nothing else
  sudo ctxprof run -o run.json -o run.md         two files, and the table on stdout
  sudo ctxprof run all --latency -o run.html     a page with pictures, in one file
  sudo ctxprof run -o ctxprof.prom               for Prometheus, also through node_exporter
  sudo ctxprof run --samples-out raw.json        raw samples too, for `ctxprof report raw.json`

One op is one round trip, unless `ctxprof list` says otherwise. Every run is saved (`ctxprof report` shows the last one) unless --no-save.";

pub(super) const SWEEP_EXAMPLES: &str = "Examples:
  sudo ctxprof sweep ring 2..4096                    rings of 2, 4, 8 … 4096
  sudo ctxprof sweep working-set 0..8M               two, each walking 0, 4 KiB … 8 MiB
  sudo ctxprof sweep working-set 0..8M --ring 8      the caches are full at a quarter of that
  sudo ctxprof sweep ring 2..1024 --working-set 16K  both
  sudo ctxprof sweep ring 2..4096 task thread-pipe   kinds and names, as for `run`
  sudo ctxprof sweep ring 2..64 -o sweep.html        a page with the curves, which `ctxprof report` reads too

One op is one hop of the token. A step that limits do not allow is left out, with the limit and how to raise it. Interrupted, it shows the rows so far. Nothing is saved without -o.";

pub(super) const COMPARE_EXAMPLES: &str = "Examples:
  sudo ctxprof compare                 the tools that are here, ten rounds
  sudo ctxprof compare --rounds 3 --cpu 1
  sudo ctxprof compare --with mac.txt  beside a saved output of go test -bench or perf bench sched pipe
  sudo ctxprof compare --format markdown -o compare.json

To compare two saved runs of ctxprof: ctxprof diff OLD.json NEW.json";

pub(super) const STAT_EXAMPLES: &str = "Examples:
  ctxprof stat -- make -j4                      a program, its threads and its children
  sudo ctxprof stat --user -- ./server          run as the one who called sudo
  ctxprof stat --ops 2000000 -- ./bench         per op: check another benchmark's claim
  sudo ctxprof stat -p 4711 --duration 10s      a process that runs, for 10 s
  sudo ctxprof stat -p 4711 -I 1s               the same, with counts every second
  sudo ctxprof stat -p $(pgrep -d, nginx)       all processes of a name
  sudo ctxprof stat --cgroup system.slice/nginx.service --duration 1m
  ctxprof stat -o stat.json -- ./app            the report into a file, not onto stderr
  sudo ctxprof stat --counters thread -- ./app  perf's counters on its threads, too

The program has stdin and stdout, and the report goes to stderr. It is waited for with all that it starts, daemons too (--leave-running). The first Ctrl-C is the program's, wherever it is; a second ends the watching with a report, and the program goes on. If ctxprof is killed, the program goes on.
Exit codes: the program's own, its signal too; 125 ctxprof failed, 126 CMD cannot be executed, 127 CMD is not there; with --pid or --cgroup, 0; 130 (SIGTERM: 143) where a second signal ended the watching.";

pub(super) const TRACE_EXAMPLES: &str = "Examples:
  sudo ctxprof trace -- ./server --bench     every switch of a program by its reason
  sudo ctxprof trace --wide -- make -j4      and by thread
  sudo ctxprof trace --user -- ./server      run as the one who called sudo
  sudo ctxprof trace -o trace.json -- ./app  the report into a file, not onto stderr
  sudo ctxprof trace --format json -q -- ./app 2> trace.json

The program has stdin and stdout, and the report goes to stderr. It is traced with all that it starts, and waited for, daemons too (--leave-running). The first Ctrl-C is the program's; a second ends the tracing with a report, and the program goes on. If ctxprof is killed, the program goes on, and nothing of the tracer stays.
Takes Linux 5.15 or later with BTF, and CAP_BPF and CAP_PERFMON, as root has (`ctxprof doctor`).
Exit codes: the program's own, its signal too; 125 ctxprof failed or was refused, 126 CMD cannot be executed, 127 CMD is not there; 130 (SIGTERM: 143) where a second signal ended the tracing.";

pub(super) const MEMORY_EXAMPLES: &str = "Examples:
  ctxprof memory                                every kind that is available here
  ctxprof memory task --max 1000000             a million tasks
  ctxprof memory thread --stack-use 16KiB       threads that touched their stacks
  ctxprof memory task --future-size 4KiB        tasks that hold state
  ctxprof memory --wide                         kernel stacks, slab and page tables apart
  ctxprof memory -o memory.json -o memory.prom  files, and the table on stdout

Participants are held by a process of their own, which is told to end afterwards. A fifth of the free memory stays free. What stops it at fewer than --max is named, with its value and how to raise it. No root is needed.
Exit codes: 0 done, also where a limit stopped it at fewer; 1 failed, or nothing could be parked; 2 wrong usage; 130 interrupted.";

pub(super) const DOCTOR_EXAMPLES: &str = "Examples:
  sudo ctxprof doctor                               problems, each with its fix
  sudo ctxprof doctor --all                         every check
  ctxprof doctor                                    as this user: what only root can read is unknown
  sudo ctxprof doctor --cpu 3                       if CPU 3 is the one to be measured on
  sudo ctxprof doctor --wide --format csv           each with its command, and where it was read
  sudo ctxprof doctor --strict && sudo ctxprof run  not on a host on which the figures would mislead
  sudo ctxprof doctor -o doctor.json                a file, for `ctxprof report`

Nothing is changed: the commands are for you to run. It watches the CPU for half a second; beside other work, that is what it finds.
States: ok; info, to know when figures are compared with another host's; unknown, not readable; warning, figures are worse than they could be, or some absent; serious, figures mislead, or the kernel counts nothing for this user.
Exit codes: 0 done, whatever was found; 1 failed, or with --strict something serious was found; 2 wrong usage.";

pub(super) const RUNS_EXAMPLES: &str = "Examples:
  ctxprof runs                       every saved run, the newest last
  sudo ctxprof runs --keep 100       remove root's oldest runs beyond 100
  ctxprof runs --keep 10 --dry-run   what that would remove
  ctxprof runs --format json

Runs are saved in /var/lib/ctxprof/runs by root, in ~/.local/state/ctxprof/runs by other users, who see both. --keep removes readable runs of this user only: damaged files, those of other versions and foreign ones are listed and left alone, and so is the history.";

pub(super) const EXPLAIN_EXAMPLES: &str = "Examples:
  ctxprof explain                     all words, by subject
  ctxprof explain net                 a column
  ctxprof explain run-queue wait      a heading of several words; hyphens and slashes do not matter
  ctxprof explain futex               a reason of `trace`
  ctxprof explain steal               a check of `doctor`
  ctxprof explain stat                all columns of `stat`
  ctxprof explain --wide              everything
  ctxprof explain net --format json

The same as a page: docs/reading.md.";

pub(super) const DIFF_EXAMPLES: &str = "Examples:
  ctxprof diff                                                         the last two comparable saved runs
  ctxprof diff monday.json today.json
  ctxprof diff before.json after.json --fail-above 5                   exit code 3 if a row is slower by more than 5 %, at 95 % confidence
  ctxprof diff before.json after.json --fail-above 1 --fail-undecided  also if that cannot be told
  ctxprof diff --old a*.json --new b*.json                             several runs a side: their own spread counts
  ctxprof diff host1.json host2.json --require-same kernel,policy
  ssh host sudo ctxprof run --format json -q | ctxprof diff today.json -   a run on another host, read from stdin

Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 a row is slower than --fail-above allows.";
