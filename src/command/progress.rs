//! A progress bar on stderr, drawn by the main thread between repetitions: a thread of its own would switch.

use std::io;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bench::engine::Progress;

pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar that is drawn only if wanted and if stderr is a terminal.
    pub(super) fn new(wanted: bool) -> Bar {
        let target = if wanted && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} repetitions, {eta} left: {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Bar(bar)
    }

    pub(super) fn show(&mut self, progress: Progress) {
        if self.0.length() != Some(progress.of.into()) {
            self.0.set_length(progress.of.into());
        }
        self.0.set_message(progress.workload);
        self.0.set_position(progress.done.into());
    }

    /// Shows the number of samples taken.
    pub(super) fn show_samples(&mut self, what: &'static str, done: u32, of: u32) {
        self.show(Progress { workload: what, done, of });
    }

    pub(super) fn finish(self) {
        self.0.finish_and_clear();
    }
}
