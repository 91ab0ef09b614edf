//! Scheduler events put together: run slices, absences and wake-ups of any number of threads on any number of CPUs.
//!
//! ```text
//! thread  ██run slice██ left ················ woken ░░░░░░░░░ entered ██run slice██ left … ended
//!                       └──────────── absence ───────────────┘
//!                                             └ run queue ────┘
//! ```
//!
//! Events come as a stream, each thread's in their order. What is kept is one state a thread that is alive, so that memory does not
//! grow with time and time grows with events. Why a thread left and who woke it are the source's words: nothing here looks into them.

pub mod tally;
pub mod timeline;
pub mod tracks;
