//! Progress on standard error: only on a terminal, and only once work has taken a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exchange::Progress;

const QUIET_FOR: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";

/// How far the reading of some files has come. Gone from the screen when dropped.
pub(super) struct Meter {
    bar: ProgressBar,
    started: Instant,
}

impl Meter {
    /// A meter of this many bytes to read.
    pub fn new(what: impl Into<String>, bytes: u64) -> Meter {
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is sound");
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
        let bar = bar.with_style(style).with_message(what.into());
        Meter { bar, started: Instant::now() }
    }

    /// What a source tells how far it has come.
    pub fn progress(&self) -> Progress {
        let (bar, started) = (self.bar.clone(), self.started);
        Arc::new(move |_rows, bytes| {
            // indicatif draws nothing where standard error is no terminal.
            if bar.is_hidden() && started.elapsed() >= QUIET_FOR {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position(bytes);
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
