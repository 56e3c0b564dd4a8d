//! One view's rows of one log segment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::format::row::RowRef;

/// Key hashes are hashes already.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys of this map are u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A head with this bit set is the position of a chain; without it, of the one row there is.
const CHAIN: u32 = 1 << 31;

/// Where a row stands in row order, and where its record lies.
#[derive(Clone, Copy, Debug)]
pub struct TailRow {
    /// When it was true, microseconds since 1970.
    pub event_ts: i64,
    /// When the source recorded it.
    pub created: Option<i64>,
    /// Its number.
    pub seq: u64,
    /// Log position of its frame.
    pub position: u64,
    start: usize,
}

impl TailRow {
    fn order(&self) -> (i64, Option<i64>, u64) {
        (self.event_ts, self.created, self.seq)
    }
}

/// One view's rows of one log segment.
#[derive(Debug, Default)]
pub struct TailView {
    records: Vec<u8>,
    rows: Vec<TailRow>,
    /// Key hash -> its only row, or its chain.
    heads: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    /// Rows of one hash in ascending row order: found by binary search, however many there are.
    chains: Vec<Vec<u32>>,
}

impl TailView {
    /// Adds checked records numbered from `first_seq`.
    pub(super) fn insert(&mut self, records: &[u8], hashes: &[u64], first_seq: u64, position: u64) {
        let base = self.records.len();
        self.records.extend_from_slice(records);
        let mut rest = records;
        for (&hash, seq) in hashes.iter().zip(first_seq..) {
            let start = base + (records.len() - rest.len());
            let (row, after) =
                RowRef::parse_unchecked_image(rest).expect("records were checked before they were logged");
            rest = after;
            self.link(hash, TailRow { event_ts: row.head.event_ts, created: row.head.created, seq, position, start });
        }
        debug_assert!(rest.is_empty(), "one hash per record");
    }

    fn link(&mut self, hash: u64, row: TailRow) {
        let index = u32::try_from(self.rows.len()).ok().filter(|index| index & CHAIN == 0);
        let index = index.expect("a row takes 20 bytes of a segment: there are never 2^31");
        match self.heads.entry(hash) {
            Entry::Vacant(head) => {
                head.insert(index);
            }
            Entry::Occupied(mut head) => {
                if head.get() & CHAIN == 0 {
                    let chain = u32::try_from(self.chains.len()).expect("fewer chains than rows");
                    self.chains.push(vec![*head.get()]);
                    head.insert(chain | CHAIN);
                }
                let chain = &mut self.chains[(head.get() & !CHAIN) as usize];
                let rows = &self.rows;
                let at = match chain.last() {
                    Some(&last) if rows[last as usize].order() > row.order() => {
                        chain.partition_point(|&other| rows[other as usize].order() < row.order())
                    }
                    _ => chain.len(),
                };
                chain.insert(at, index);
            }
        }
        self.rows.push(row);
    }

    /// Rows of `key` with an event time of at most `event_ts_max`, from the greatest in row order downwards,
    /// each with its number.
    pub fn descending<'a>(
        &'a self,
        hash: u64,
        key: &'a [u8],
        event_ts_max: i64,
    ) -> impl Iterator<Item = (u32, TailRow, RowRef<'a>)> + 'a {
        let chain: &[u32] = match self.heads.get(&hash) {
            None => &[],
            Some(head) if head & CHAIN == 0 => std::slice::from_ref(head),
            Some(head) => &self.chains[(head & !CHAIN) as usize],
        };
        let end = match chain.last() {
            Some(&last) if self.rows[last as usize].event_ts > event_ts_max => {
                chain.partition_point(|&row| self.rows[row as usize].event_ts <= event_ts_max)
            }
            _ => chain.len(),
        };
        chain[..end].iter().rev().filter_map(move |&number| {
            let (row, record) = self.row(number);
            (record.key == key).then_some((number, row, record))
        })
    }

    /// The row of a number below [`TailView::row_count`].
    pub fn row(&self, number: u32) -> (TailRow, RowRef<'_>) {
        let row = self.rows[number as usize];
        (row, self.record(&row))
    }

    /// All rows, in the order they were written: row 0, row 1 and so on.
    pub fn rows(&self) -> impl Iterator<Item = (TailRow, RowRef<'_>)> {
        self.rows.iter().map(|row| (*row, self.record(row)))
    }

    /// At most `limit` rows numbered above `seq`, in the order they were written.
    pub fn rows_after(&self, seq: u64, limit: usize) -> impl Iterator<Item = (TailRow, RowRef<'_>)> {
        let first = self.rows.partition_point(|row| row.seq <= seq);
        self.rows[first..].iter().take(limit).map(|row| (*row, self.record(row)))
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn record(&self, row: &TailRow) -> RowRef<'_> {
        let (record, _) =
            RowRef::parse_unchecked_image(&self.records[row.start..]).expect("parsed when it was inserted");
        record
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.records.len() + self.rows.len() * (size_of::<TailRow>() + 4) + self.heads.len() * 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::{RowHead, RowKind, push_record};

    fn record(key: &[u8], event_ts: i64, created: Option<i64>) -> Vec<u8> {
        let mut out = Vec::new();
        let head = RowHead { created, ..RowHead::new(RowKind::Delete, event_ts) };
        push_record(&head, key, 0, &[], &mut out).unwrap();
        out
    }

    #[test]
    fn rows_of_a_key_come_in_descending_row_order_however_they_arrive() {
        let mut tail = TailView::default();
        let mut seq = 1;
        // Two keys under one hash; event times and created times in no order, with ties.
        for (event_ts, created) in
            [(5, None), (3, Some(1)), (9, None), (3, None), (5, Some(2)), (3, Some(1)), (7, Some(0))]
        {
            for key in [b"a", b"b"] {
                tail.insert(&record(key, event_ts, created), &[42], seq, 0);
                seq += 1;
            }
        }
        for key in [b"a", b"b"] {
            let rows: Vec<_> = tail.descending(42, key, i64::MAX).map(|(_, row, _)| row.order()).collect();
            let mut sorted = rows.clone();
            sorted.sort();
            sorted.reverse();
            assert_eq!((rows.len(), &rows), (7, &sorted));
            for bound in 0..10 {
                let below: Vec<_> = tail.descending(42, key, bound).map(|(_, row, _)| row.order()).collect();
                assert_eq!(below, sorted.iter().copied().filter(|row| row.0 <= bound).collect::<Vec<_>>());
            }
        }
        assert_eq!(tail.descending(42, b"c", i64::MAX).count(), 0);
        assert_eq!(tail.descending(43, b"a", i64::MAX).count(), 0);
    }

    #[test]
    fn a_batch_is_numbered_from_its_first_seq() {
        let mut tail = TailView::default();
        let batch = [record(b"a", 1, None), record(b"b", 2, None)].concat();
        tail.insert(&batch, &[1, 2], 100, 7);
        let seqs: Vec<_> = tail.rows().map(|(row, record)| (row.seq, row.position, record.key.to_vec())).collect();
        assert_eq!(seqs, [(100, 7, b"a".to_vec()), (101, 7, b"b".to_vec())]);
    }
}
