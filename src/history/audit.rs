//! A run file against itself: every byte against its checksum, the index against the rows, the rows
//! against their order.

use std::cmp::Ordering;

use crate::error::Result;
use crate::history::order::compare_rows;
use crate::history::reader::RunFile;
use crate::key::key_hash;

/// What a run file holds, counted row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAudit {
    /// How many rows.
    pub rows: u64,
    /// How many keys.
    pub keys: u64,
    /// Least and greatest event time.
    pub event_ts: (i64, i64),
    /// Least and greatest sequence number, relative to the run's base.
    pub seq: (u64, u64),
    /// Least and greatest key hash that the file is in charge of.
    pub hash: (u64, u64),
}

impl RunFile {
    /// Reads everything and compares it: blocks with their checksums, each key of the index with the rows it names,
    /// rows with their order, counts and ranges with the head.
    ///
    /// # Errors
    /// Damaged: the first place that is not as it should be.
    pub fn audit(&self, hash_seed: u64) -> Result<RunAudit> {
        let columns = self.row_columns()?;
        let head = self.head();
        let wrong = |what: String| self.blocks.damaged(what);
        let (mut rows, mut keys) = (0_usize, 0);
        let (mut event_ts, mut seq) = ((i64::MAX, i64::MIN), (u64::MAX, u64::MIN));
        let mut before: Option<(u64, Vec<u8>)> = None;
        let mut key = Vec::new();
        for at in 0..self.slot_count() {
            let slot = self.slot(at);
            if slot.len == 0 {
                continue;
            }
            let range = self.rows_of(slot)?;
            if range.start != rows {
                return Err(wrong(format!("index: slot {at} names rows from {}, expected {rows}", range.start)));
            }
            key.clear();
            self.push_key(range.start, &mut key)?;
            if key_hash(hash_seed, &key) != slot.hash {
                return Err(wrong(format!("index: slot {at} has the hash of another key than row {rows}")));
            }
            if before.as_ref().is_some_and(|(hash, bytes)| (*hash, bytes) >= (slot.hash, &key)) {
                return Err(wrong(format!("index: slot {at} is out of order")));
            }
            if self.find(slot.hash, &key)? != Some(range.clone()) {
                return Err(wrong(format!("index: the key of slot {at} is not found from its hash")));
            }
            for row in range.clone() {
                if row > range.start && !self.key_matches(row, &key)? {
                    return Err(wrong(format!("row {row} has another key than the index says")));
                }
                let in_order =
                    row == range.start || compare_rows((&columns, 0, row - 1), (&columns, 0, row)) == Ordering::Less;
                if !in_order {
                    return Err(wrong(format!("row {row} comes before row {} in row order", row - 1)));
                }
                self.kind(row)?;
                event_ts = (event_ts.0.min(columns.event_ts[row]), event_ts.1.max(columns.event_ts[row]));
                seq = (seq.0.min(columns.seq[row]), seq.1.max(columns.seq[row]));
            }
            rows = range.end;
            keys += 1;
            before = Some((slot.hash, key.clone()));
        }
        let audit =
            RunAudit { rows: rows as u64, keys, event_ts, seq, hash: (head.slot_map.hash_lo, head.slot_map.hash_hi) };
        let said = RunAudit {
            rows: head.row_count,
            keys: head.key_count,
            event_ts: (head.min_event_ts, head.max_event_ts),
            seq: (head.min_seq, head.max_seq),
            ..audit
        };
        if audit != said || rows != self.row_count() {
            return Err(wrong(format!("index: its head says {said:?}, the rows are {audit:?}")));
        }
        Ok(audit)
    }
}
