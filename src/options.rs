//! Settings a caller chooses: durability, limits, sizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::time::{MICROS_PER_SECOND, format_duration_us, parse_duration_us};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After `fdatasync`: survives a power failure.
    #[default]
    Fsync,
    /// After the write; synced at least this often. A power failure can lose what came since.
    Interval(Duration),
    /// After the write; the operating system decides when to sync. Survives a killed process.
    Os,
}

impl Durability {
    /// Whether a write waits for the disk.
    pub fn syncs_before_answering(self) -> bool {
        self == Durability::Fsync
    }
}

impl FromStr for Durability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "fsync" => Ok(Durability::Fsync),
            "os" => Ok(Durability::Os),
            _ => {
                match text.strip_prefix("interval:").map(parse_duration_us) {
                    Some(Ok(us)) if us > 0 => Ok(Durability::Interval(Duration::from_micros(us.unsigned_abs()))),
                    _ => Err(Error::invalid(format!("'{text}' is no durability"))
                        .remedy("write fsync, os, or interval:100ms")),
                }
            }
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Fsync => f.write_str("fsync"),
            Durability::Os => f.write_str("os"),
            Durability::Interval(every) => {
                write!(f, "interval:{}", format_duration_us(i64::try_from(every.as_micros()).unwrap_or(i64::MAX)))
            }
        }
    }
}

/// Sizes that trade memory against work. The defaults suit a machine with a few gigabytes; tests
/// make them small to reach every path.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// A log segment.
    pub segment_bytes: u64,
    /// Bytes of memory that the log's unsealed rows and their index take, about; commits wait for sealing beyond it.
    pub tail_bytes_max: usize,
    /// A run file; a sealed, merged or imported run is split by hash range into files of about this.
    pub run_file_bytes: u64,
    /// How many runs of like size are merged into one.
    pub merge_fanout: usize,
    /// Bytes of changes of the keyspace that an opening may have to read beyond those half of a checkpoint takes, before another checkpoint is
    /// written.
    pub checkpoint_bytes_min: u64,
    /// Address space reserved for each latest table, in bytes; 1 GiB where the system has not as much to give. A table that outgrows it
    /// is built anew.
    pub table_reserve_bytes: u64,
    /// How many bytes of rows the imports of a store hold in memory, all that are under way together, before rows go to disk
    /// as a sorted piece; the pieces are merged in the end, so that every row is then written twice. With several imports the
    /// one that takes rows in writes out what it holds, if that is more than an eighth: some eight imports at once are
    /// bounded so, and beyond those each may hold an eighth. `None` is a quarter of the memory available when the first of
    /// them begins (of the machine, or of the process's control group if that has less left), but at least 512 MiB and at
    /// most 4 GiB. While pieces are sorted and written, with keys and places once more, rows go on coming in: up to three
    /// times as much may be held for that while.
    pub import_bytes_max: Option<usize>,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            segment_bytes: 64 << 20,
            tail_bytes_max: 128 << 20,
            run_file_bytes: 128 << 20,
            merge_fanout: 4,
            checkpoint_bytes_min: 1 << 20,
            table_reserve_bytes: 64 << 30,
            import_bytes_max: None,
        }
    }
}

/// How far ahead of the clock an event timestamp may lie unless the caller allows more.
pub const MAX_FUTURE_SKEW_US_DEFAULT: i64 = 5 * 60 * MICROS_PER_SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_reads_and_prints() {
        for text in ["fsync", "os", "interval:100ms"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for bad in ["", "always", "interval:0", "interval:-1s"] {
            assert!(bad.parse::<Durability>().is_err(), "{bad}");
        }
    }
}
