//! Progress of long work: a bar on a terminal, a line for every tenth elsewhere.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::note;

const BAR: &str = "{prefix} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}";

/// How far some work is.
pub(crate) struct Progress {
    label: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    tenths_said: u64,
}

impl Progress {
    /// Work of `total` units; nothing is shown if it is `quiet`.
    pub(crate) fn new(label: &'static str, total: u64, quiet: bool) -> Progress {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("=> ")).with_prefix(label)
        });
        Progress { label, total, bar, tenths_said: if quiet { u64::MAX } else { 0 } }
    }

    /// Now `done` units are done.
    pub(crate) fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let tenths = done.saturating_mul(10).checked_div(self.total).unwrap_or(0);
        if tenths > self.tenths_said {
            self.tenths_said = tenths;
            note(&format!("{}: {done} of {}", self.label, self.total));
        }
    }

    /// The work became more, or less.
    pub(crate) fn of(&mut self, total: u64) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
