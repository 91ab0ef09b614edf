//! The system calls that are refused, and the commands under test.

pub struct Subject {
    pub name: &'static str,
    /// `FOLDER` stands for the cell's own folder.
    pub line: &'static str,
    /// The documents that it writes into that folder.
    pub files: &'static [&'static str],
    pub whose: Whose,
    /// Its exit codes on failure.
    pub failed: &'static [i32],
    /// Hides Go: its benchmarks take ten seconds, perf's one.
    pub hides_go: bool,
    /// One cell of so many is run in a usual test: half of the quick ones, fewer where a cell takes a second and more.
    pub usual_share: usize,
}

/// Whose calls are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of every thread and process, each counted by itself.
    Everyones,
    /// Those of the main thread: its children are external programs, or slow to trace.
    MainThreads,
}

/// Extent of a refusal: one call, or that one and all after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Once,
    FromThenOn,
}

/// A system call and the errors that it can really return.
pub struct Call {
    /// strace's name for it; several for one function on different architectures.
    pub name: &'static str,
    /// The most revealing first: that one is also tried with all later calls refused.
    pub errnos: &'static [&'static str],
    /// Words in strace's line of which one makes the errnos possible; none for any.
    pub only: &'static [&'static str],
    /// Words in strace's line that make them impossible.
    pub never: &'static [&'static str],
    /// True if only those of the main thread can be told apart: another thread's nth is another sort of call.
    pub main_threads: bool,
}

impl Call {
    /// Returns true if this call, in strace's line, can fail so.
    pub fn is_possible(&self, line: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|word| line.contains(word)))
            && !self.never.iter().any(|word| line.contains(word))
    }
}

const fn call(name: &'static str, errnos: &'static [&'static str]) -> Call {
    Call { name, errnos, only: &[], never: &[], main_threads: false }
}

/// Transient errors: on a retry the kernel does not return them again.
pub const PASSING: &[&str] = &["EINTR", "ENOBUFS"];

pub const CALLS: &[Call] = &[
    call("perf_event_open", &["EACCES", "EMFILE", "ENOENT", "EBUSY", "EINVAL", "ENODEV", "ESRCH"]),
    call("bpf", &["EPERM", "ENOMEM", "EINVAL", "EMFILE", "E2BIG"]),
    call("ioctl", &["EINVAL", "ENOMEM", "EIO"]),
    call("read", &["EIO", "EINTR", "ENOMEM"]),
    call("pread64", &["EIO"]),
    // An eventfd has room for a 1 unless it was written 2⁶⁴ times.
    Call { never: &["eventfd"], ..call("write", &["ENOSPC", "EPIPE", "EINTR", "EIO"]) },
    call("pipe2", &["EMFILE", "ENFILE"]),
    call("eventfd2", &["EMFILE", "ENOMEM"]),
    call("socketpair", &["EMFILE", "ENOMEM"]),
    call("socket", &["EPERM", "EAFNOSUPPORT"]),
    call("sendto", &["ENOBUFS", "EPERM"]),
    call("recvmsg", &["ENOBUFS", "ENOMEM"]),
    call("clone3", &["EAGAIN", "ENOMEM"]),
    call("clone", &["EAGAIN", "ENOMEM"]),
    call("vfork", &["EAGAIN", "ENOMEM"]),
    call("sched_getaffinity", &["EINVAL"]),
    call("sched_setaffinity", &["EINVAL", "EPERM"]),
    call("sched_setscheduler", &["EPERM", "EINVAL"]),
    call("setpriority", &["EACCES", "EPERM"]),
    call("prlimit64", &["EPERM", "EINVAL"]),
    call("openat", &["EMFILE", "EACCES", "ENFILE", "ENOENT", "EIO"]),
    call("getdents64", &["EIO", "ENOENT"]),
    call("statx", &["EACCES", "EIO"]),
    call("mkdir", &["ENOSPC", "EROFS"]),
    call("fsync", &["EIO", "ENOSPC"]),
    call("rename", &["EXDEV", "EACCES", "ENOSPC"]),
    call("renameat", &["EXDEV", "EACCES", "ENOSPC"]),
    call("renameat2", &["EXDEV", "EACCES", "ENOSPC"]),
    call("unlink", &["EACCES"]),
    call("wait4", &["EINTR", "ECHILD"]),
    call("waitid", &["EINTR"]),
    call("pidfd_open", &["EMFILE", "ENOSYS", "ESRCH"]),
    call("epoll_create1", &["EMFILE", "ENOMEM"]),
    call("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    call("epoll_wait", &["EINTR"]),
    call("poll", &["EINTR", "ENOMEM"]),
    call("prctl", &["EPERM"]),
    call("fcntl", &["EMFILE"]),
    call("memfd_create", &["EMFILE", "ENOMEM"]),
    call("sched_yield", &["ENOSYS"]),
    call("rt_sigaction", &["EINVAL"]),
    // Any program dies of the allocator's own: only ring buffers, memory shared between processes, and threads' stacks.
    Call { only: &["MAP_SHARED", "MAP_STACK"], ..call("mmap", &["EPERM", "ENOMEM", "EAGAIN"]) },
    // A wake is never interrupted.
    Call { only: &["FUTEX_WAIT"], main_threads: true, ..call("futex", &["EINTR", "EAGAIN"]) },
    call("execve", &["EACCES", "ENOMEM", "ENOENT"]),
];

const DOCUMENTS: &[&str] = &["a.json", "a.html", "a.prom"];
const FAILED: &[i32] = &[1];

const fn subject(name: &'static str, line: &'static str, whose: Whose) -> Subject {
    Subject { name, line, files: DOCUMENTS, whose, failed: FAILED, hides_go: false, usual_share: 2 }
}

pub const SUBJECTS: &[Subject] = &[
    subject(
        "run threads",
        "run thread-pipe thread-eventfd thread-socketpair thread-futex thread-condvar thread-channel thread-yield --time 0.01 --repetitions 1 --samples 1 --no-save",
        Whose::Everyones,
    ),
    subject(
        "run processes",
        "run process-pipe process-futex process-yield syscall --time 0.01 --repetitions 1 --samples 1 --no-save",
        Whose::Everyones,
    ),
    subject(
        "run tasks",
        "run task coroutine --time 0.01 --repetitions 1 --samples 1 --no-save --wide",
        Whose::Everyones,
    ),
    Subject {
        usual_share: 4,
        ..subject(
            "run goroutines",
            "run goroutine-channel --time 0.01 --repetitions 1 --samples 1 --no-save",
            Whose::MainThreads,
        )
    },
    subject(
        "run records",
        "run thread-pipe --breakdown --timeline --latency --time 0.01 --repetitions 1 --samples 1 --no-save",
        Whose::MainThreads,
    ),
    Subject {
        usual_share: 4,
        ..subject(
            "run policy",
            "run thread-pipe process-pipe --policy fifo:1 --place all --counters thread --time 0.01 --repetitions 1 --samples 1 --no-save",
            Whose::MainThreads,
        )
    },
    subject(
        "run kept",
        "run task-channel --time 0.01 --repetitions 1 --samples 1 --samples-out FOLDER/samples.json",
        Whose::MainThreads,
    ),
    Subject {
        usual_share: 4,
        ..subject(
            "sweep",
            "sweep ring 2..4 thread-pipe process-pipe task-channel --time 0.01 --repetitions 1",
            Whose::Everyones,
        )
    },
    subject("memory", "memory thread process task coroutine --max 8 --repetitions 1", Whose::Everyones),
    subject("memory goroutines", "memory goroutine --max 8 --repetitions 1", Whose::MainThreads),
    Subject {
        failed: &[125, 126, 127],
        ..subject("stat", "stat --cost none --per-thread -- sh -c true;true", Whose::MainThreads)
    },
    Subject {
        failed: &[125, 126, 127],
        ..subject(
            "stat counters",
            "stat --cost none --counters thread --interval 0.1 -- sleep 0.15",
            Whose::MainThreads,
        )
    },
    Subject { failed: &[125, 126, 127], ..subject("stat pid", "stat --cost none --for 0.1 -p 1", Whose::MainThreads) },
    Subject {
        failed: &[125, 126, 127],
        ..subject("stat cgroup", "stat --cost none --duration 100ms --cgroup /", Whose::MainThreads)
    },
    Subject { failed: &[125, 126, 127], ..subject("trace", "trace --no-cost -- sh -c true;true", Whose::MainThreads) },
    Subject { hides_go: true, usual_share: 8, ..subject("compare", "compare --rounds 1", Whose::MainThreads) },
    subject("list", "list", Whose::Everyones),
    subject("runs", "runs", Whose::Everyones),
    subject("explain", "explain net", Whose::Everyones),
    // Without perf's and Go's own calls.
    subject("doctor", "doctor", Whose::MainThreads),
    subject("report", "report tests/golden/run-2.json", Whose::Everyones),
    subject("diff", "diff tests/golden/run-2.json tests/golden/run-2.json", Whose::Everyones),
];
