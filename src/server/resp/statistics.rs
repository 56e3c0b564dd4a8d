//! Counters that `INFO` shows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sync::lock;
use super::tally::Tallies;

/// Counters since the start, or since `CONFIG RESETSTAT`.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Connections that were accepted.
    pub connections: Counter,
    /// Connections that were refused.
    pub rejected: Counter,
    /// Commands that were done.
    pub commands: Counter,
    /// Bytes that came.
    pub input_bytes: Counter,
    /// Bytes that went.
    pub output_bytes: Counter,
    /// Errors that were answered.
    pub errors: Counter,
    /// Keys that went with their deadlines.
    pub expired: Counter,
    /// Keys that went as there were too many.
    pub evicted: Counter,
    /// Groups of writes.
    pub groups: Counter,
    /// By command and by error.
    pub tallies: Mutex<Tallies>,
}

impl Statistics {
    /// Begins to count anew.
    pub fn reset(&self) {
        let Statistics {
            connections,
            rejected,
            commands,
            input_bytes,
            output_bytes,
            errors,
            expired,
            evicted,
            groups,
            tallies,
        } = self;
        for counter in [connections, rejected, commands, input_bytes, output_bytes, errors, expired, evicted, groups] {
            counter.0.store(0, Ordering::Relaxed);
        }
        *lock(tallies) = Tallies::default();
    }
}

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, more: usize) {
        // Memory that threads share is not touched for nothing.
        if more > 0 {
            // Nothing is added of what does not fit, which no memory holds.
            self.0.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
