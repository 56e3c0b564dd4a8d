//! How much memory the process takes, as the system counts it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::sync::lock;

/// The system is asked so often at most.
const ASKED_EVERY: Duration = Duration::from_millis(10);

/// The last answer of the system, and when it was given.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Option<(Instant, usize)>>);

impl Memory {
    /// Bytes that the process has in memory, a little while ago at most; 0 where the system does not say.
    pub fn resident_bytes(&self) -> usize {
        let mut last = lock(&self.0);
        if let Some((_, bytes)) = (*last).filter(|(asked, _)| asked.elapsed() < ASKED_EVERY) {
            return bytes;
        }
        let pages = std::fs::read_to_string("/proc/self/statm").ok();
        let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
        let bytes = pages.unwrap_or(0) * rustix::param::page_size();
        *last = Some((Instant::now(), bytes));
        bytes
    }
}
