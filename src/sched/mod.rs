//! Assembled scheduler events: run slices, absences and wake-ups of any number of threads on any number of CPUs.
//!
//! ```text
//! thread  ██run slice██ left ················ woken ░░░░░░░░░ entered ██run slice██ left … ended
//!                       └──────────── absence ───────────────┘
//!                                             └ run queue ────┘
//! ```
//!
//! Events come as a stream, each thread's in order. The state is one value per living thread, so that memory does not grow with time,
//! and time grows with events. The source defines why a thread left and who woke it: this module does not interpret them.

pub mod cpus;
pub mod tally;
pub mod timeline;
pub mod tracks;
