//! Progress on standard error: only on a terminal, and only once work has taken a second.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exchange::{ImportProgress, RowProgress};

const QUIET_FOR: Duration = Duration::from_secs(1);
const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {elapsed}";
const ENTITIES: &str = "{msg} {human_pos} entities {elapsed}";
const ROWS: &str = "{msg} {human_pos} rows {elapsed}";

/// What an import does once all files are read.
const COMMIT: &str = "comparing and writing";

/// How often a bar moves when nothing is told.
const TICK: Duration = Duration::from_millis(100);

/// How far some work has come. Gone from the screen when dropped.
pub(super) struct Meter {
    bar: ProgressBar,
    watch: Option<Watch>,
}

/// Waits until the work has taken long enough to be shown, or is over.
struct Watch {
    over: Sender<()>,
    thread: JoinHandle<()>,
}

impl Meter {
    /// A meter of work that begins now.
    pub fn new(what: impl Into<String>) -> Meter {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(what.into());
        let watch = std::io::stderr().is_terminal().then(|| {
            let (over, wait) = channel();
            let late = bar.clone();
            let thread = std::thread::spawn(move || {
                if wait.recv_timeout(QUIET_FOR) == Err(RecvTimeoutError::Timeout) {
                    late.set_draw_target(ProgressDrawTarget::stderr());
                    late.enable_steady_tick(TICK);
                }
            });
            Watch { over, thread }
        });
        Meter { bar, watch }
    }

    /// For an import.
    pub fn of_import(&self) -> Arc<dyn Fn(&ImportProgress) + Send + Sync> {
        let show = self.show(BYTES);
        let (bar, reading) = (self.bar.clone(), self.bar.message());
        Arc::new(move |progress| {
            show(progress.bytes, Some(progress.bytes_total));
            // What was read is yet to be compared with what the store has.
            let is_read = progress.files == progress.files_total;
            bar.set_message(if is_read { format!("{reading}: {COMMIT}") } else { reading.clone() });
        })
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

    /// For entities that go into a Redis, or keys that come out of one.
    pub fn of_entities(&self) -> RowProgress {
        let show = self.show(ENTITIES);
        Arc::new(move |entities| show(entities, None))
    }

    fn show(&self, template: &str) -> impl Fn(u64, Option<u64>) + Send + Sync + use<> {
        self.bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
        let bar = self.bar.clone();
        move |position, length| {
            if let Some(length) = length {
                bar.set_length(length);
            }
            bar.set_position(position);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(Watch { over, thread }) = self.watch.take() {
            drop(over);
            // A panic there has been printed, and a meter is not worth a second one.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bar stood full for as long as the reading had taken.
    #[test]
    fn an_import_says_what_it_does_once_everything_is_read() {
        let meter = Meter::new("import");
        let tell = meter.of_import();
        let at = |files: usize| ImportProgress { files, files_total: 2, rows: 0, bytes: 8, bytes_total: 8 };
        for (files, message) in [(1, "import"), (2, "import: comparing and writing"), (0, "import")] {
            tell(&at(files));
            assert_eq!(meter.bar.message(), message);
        }
    }
}
