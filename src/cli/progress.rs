//! Progress on standard error: only on a terminal, and only once work has taken a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exchange::{ImportProgress, Progress, RowProgress};

const QUIET_FOR: Duration = Duration::from_secs(1);
const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
const ROWS: &str = "{msg} {human_pos} rows {elapsed}";

/// How far some work has come. Gone from the screen when dropped.
pub(super) struct Meter {
    bar: ProgressBar,
    started: Instant,
}

impl Meter {
    /// A meter of work that begins now.
    pub fn new(what: impl Into<String>) -> Meter {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(what.into());
        Meter { bar, started: Instant::now() }
    }

    /// For a source of this many bytes.
    pub fn of_source(&self, bytes: u64) -> Progress {
        let show = self.show(BYTES);
        self.bar.set_length(bytes);
        Arc::new(move |_rows, bytes| show(bytes, None))
    }

    /// For an import.
    pub fn of_import(&self) -> Arc<dyn Fn(&ImportProgress) + Send + Sync> {
        let show = self.show(BYTES);
        Arc::new(move |progress| show(progress.bytes, Some(progress.bytes_total)))
    }

    /// For work that says how many bytes of how many are done.
    pub fn of_bytes(&self) -> impl Fn(u64, u64) + use<> {
        let show = self.show(BYTES);
        move |bytes, bytes_total| show(bytes, Some(bytes_total))
    }

    /// For an export, whose end nobody knows.
    pub fn of_rows(&self) -> RowProgress {
        let show = self.show(ROWS);
        Arc::new(move |rows| show(rows, None))
    }

    fn show(&self, template: &str) -> impl Fn(u64, Option<u64>) + Send + Sync + use<> {
        self.bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
        let (bar, started) = (self.bar.clone(), self.started);
        move |position, length| {
            // indicatif draws nothing where standard error is no terminal.
            if bar.is_hidden() && started.elapsed() >= QUIET_FOR {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            if let Some(length) = length {
                bar.set_length(length);
            }
            bar.set_position(position);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
