//! One view's rows of one log segment.

use std::cmp::Ordering;

use super::key_index::KeyIndex;
use super::records::{RecordPlace, Records};
use crate::format::log::LogPosition;
use crate::format::row::RowRef;
use crate::format::truncate::Truncate;

/// A head with this bit set is the position of a chain; without it, of the one row there is.
const CHAIN: u32 = 1 << 31;
/// Of most keys with several rows a segment holds few.
const CHAIN_ROWS_MIN: usize = 4;
/// What a chain takes beside its rows: where it lies, and what the allocator keeps of it.
const CHAIN_BYTES: usize = size_of::<Vec<u32>>() + 16;

/// Where a row stands in row order. `Ord` is row order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TailRow {
    /// When it was true, microseconds since 1970.
    pub event_ts: i64,
    /// When the source recorded it.
    pub created: Option<i64>,
    /// Its number.
    pub seq: u64,
}

impl TailRow {
    /// After every row with an event time of at most `event_ts`, before all others.
    pub fn after(event_ts: i64) -> TailRow {
        TailRow { event_ts, created: Some(i64::MAX), seq: u64::MAX }
    }
}

/// What is kept of a row beside its record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    event_ts: i64,
    seq: u64,
    record: RecordPlace,
}

/// One view's rows of one log segment.
#[derive(Debug, Default)]
pub struct TailView {
    records: Records,
    /// In the order they were written: by number.
    rows: Vec<Entry>,
    /// Key hash -> its only row, or its chain.
    heads: KeyIndex,
    /// Rows of one hash in ascending row order: found by binary search, however many there are.
    chains: Vec<Vec<u32>>,
    /// Rows that chains have room for.
    chain_room: usize,
    /// The first row of each frame, and the frame's log position.
    frames: Vec<(u64, LogPosition)>,
    /// Truncates of the view, in row order. They are among no rows.
    truncates: Vec<Truncate>,
}

impl TailView {
    /// Takes a copy of records, which shows nowhere yet.
    pub(super) fn stage(&mut self, records: &[u8], hashes: &[u64]) -> RecordPlace {
        self.heads.warm(hashes);
        self.records.push(records)
    }

    /// Adds checked records numbered from `first_seq`, which were staged at `first`.
    pub(super) fn insert(
        &mut self,
        first: RecordPlace,
        records: &[u8],
        hashes: &[u64],
        first_seq: u64,
        position: LogPosition,
    ) {
        self.frames.push((first_seq, position));
        let mut unsorted = Vec::new();
        let mut rest = records;
        for (&hash, seq) in hashes.iter().zip(first_seq..) {
            let record = first.after(records.len() - rest.len());
            let (row, after) =
                RowRef::parse_unchecked_image(rest).expect("records were checked before they were logged");
            rest = after;
            if let Some(truncate) = Truncate::of_row(&row, seq) {
                let at = self.truncates.partition_point(|other| *other < truncate);
                self.truncates.insert(at, truncate);
                continue;
            }
            self.rows.push(Entry { event_ts: row.head.event_ts, seq, record });
            self.link(hash, row.head.created, &mut unsorted);
        }
        debug_assert!(rest.is_empty(), "one hash per record");
        self.sort(unsorted);
    }

    /// Puts the last row at the end of the chain of its hash. Where that is not its place, the chain goes to `unsorted`, with the
    /// number of its rows before this.
    fn link(&mut self, hash: u64, created: Option<i64>, unsorted: &mut Vec<(u32, usize)>) {
        let index = u32::try_from(self.rows.len() - 1).ok().filter(|index| index & CHAIN == 0);
        let index = index.expect("a row takes 20 bytes of a segment: there are never 2^31");
        let Some(head) = self.heads.insert(hash, index) else { return };
        let number = if head & CHAIN == 0 {
            let chain = u32::try_from(self.chains.len()).expect("fewer chains than rows");
            self.chains.push(Vec::with_capacity(CHAIN_ROWS_MIN));
            self.chain_room += CHAIN_ROWS_MIN;
            self.chains[chain as usize].push(head);
            self.heads.replace(hash, chain | CHAIN);
            chain
        } else {
            head & !CHAIN
        };
        let event_ts = self.rows[index as usize].event_ts;
        // Of rows written later the number is greater.
        let is_before = |other: u32| {
            let other_ts = self.rows[other as usize].event_ts;
            other_ts < event_ts || other_ts == event_ts && self.row(other).0.created <= created
        };
        let chain = &self.chains[number as usize];
        if chain.last().is_some_and(|&last| !is_before(last)) {
            unsorted.push((number, chain.len()));
        }
        let chain = &mut self.chains[number as usize];
        let room = chain.capacity();
        chain.push(index);
        self.chain_room += chain.capacity() - room;
    }

    /// Brings chains into row order; of each so many rows stand in it.
    fn sort(&mut self, mut unsorted: Vec<(u32, usize)>) {
        // What a chain was noted with first comes first: the least.
        unsorted.sort_unstable();
        unsorted.dedup_by_key(|(chain, _)| *chain);
        for (number, sorted) in unsorted {
            let mut chain = std::mem::take(&mut self.chains[number as usize]);
            self.merge(&mut chain, sorted);
            self.chains[number as usize] = chain;
        }
    }

    /// Merges a chain's first rows, which stand in row order, with the others. From the greatest down: none moves twice, however
    /// many come before it.
    fn merge(&self, chain: &mut [u32], sorted: usize) {
        let mut others = chain[sorted..].to_vec();
        others.sort_unstable_by(|&a, &b| self.row_order(a, b));
        let (mut sorted, mut end) = (sorted, chain.len());
        for other in others.into_iter().rev() {
            let at = chain[..sorted].partition_point(|&row| self.row_order(row, other).is_lt());
            let after = sorted - at;
            chain.copy_within(at..sorted, end - after);
            (sorted, end) = (at, end - after - 1);
            chain[end] = other;
            #[cfg(test)]
            tests::MOVED.set(tests::MOVED.get() + after);
        }
    }

    fn row_order(&self, a: u32, b: u32) -> Ordering {
        let event_ts = |row: u32| self.rows[row as usize].event_ts;
        event_ts(a).cmp(&event_ts(b)).then_with(|| self.row(a).0.cmp(&self.row(b).0))
    }

    /// Rows of `key` with an event time of at most `event_ts_max` and a seq of at most `seq_max`, from the greatest in row order
    /// downwards, each with its number.
    pub fn descending<'a>(
        &'a self,
        hash: u64,
        key: &'a [u8],
        event_ts_max: i64,
        seq_max: u64,
    ) -> impl Iterator<Item = (u32, TailRow, RowRef<'a>)> + 'a {
        let count = self.row_count_up_to(seq_max);
        let known = self.numbers_before(hash, TailRow::after(event_ts_max)).filter(move |&number| number < count);
        known.filter_map(move |number| {
            let (row, record) = self.row(number);
            (record.key == key).then_some((number, row, record))
        })
    }

    /// Numbers of the rows of a hash, whatever their keys, that come before `end`: from the greatest in row order downwards.
    pub fn numbers_before(&self, hash: u64, end: TailRow) -> impl Iterator<Item = u32> + '_ {
        let head = self.heads.get(hash);
        let only = head.filter(|head| head & CHAIN == 0);
        let chain: &[u32] = match head {
            Some(head) if only.is_none() => &self.chains[(head & !CHAIN) as usize],
            _ => &[],
        };
        let is_before = |number: u32| {
            let event_ts = self.rows[number as usize].event_ts;
            // Its record is only read where that may decide.
            event_ts < end.event_ts || event_ts == end.event_ts && self.row(number).0 < end
        };
        let len = match chain.last() {
            Some(&last) if !is_before(last) => chain.partition_point(|&number| is_before(number)),
            _ => chain.len(),
        };
        let only = only.filter(|&number| is_before(number));
        chain[..len].iter().rev().copied().chain(only)
    }

    /// How many rows have a seq of at most `seq`: those whose numbers here are below this.
    pub fn row_count_up_to(&self, seq: u64) -> u32 {
        let count = match self.rows.last() {
            Some(last) if last.seq > seq => self.rows.partition_point(|row| row.seq <= seq),
            _ => self.rows.len(),
        };
        u32::try_from(count).expect("there are never 2^31 rows")
    }

    /// The row of a number below [`TailView::row_count`].
    pub fn row(&self, number: u32) -> (TailRow, RowRef<'_>) {
        self.read(&self.rows[number as usize])
    }

    /// The log position of the frame that the row of a number came in.
    pub fn position(&self, number: u32) -> LogPosition {
        self.position_of(self.rows[number as usize].seq)
    }

    /// The log position of the frame that the row, or truncate, numbered `seq` came in.
    pub fn position_of(&self, seq: u64) -> LogPosition {
        let after = self.frames.partition_point(|(first, _)| *first <= seq);
        self.frames[after - 1].1
    }

    /// All rows, in the order they were written: row 0, row 1 and so on.
    pub fn rows(&self) -> impl Iterator<Item = (TailRow, RowRef<'_>)> {
        self.rows.iter().map(|row| self.read(row))
    }

    /// At most `limit` rows numbered above `seq`, in the order they were written.
    pub fn rows_after(&self, seq: u64, limit: usize) -> impl Iterator<Item = (TailRow, RowRef<'_>)> {
        let first = self.rows.partition_point(|row| row.seq <= seq);
        self.rows[first..].iter().take(limit).map(|row| self.read(row))
    }

    /// Truncates of the view, in row order.
    pub fn truncates(&self) -> &[Truncate] {
        &self.truncates
    }

    /// Where the rows numbered above `seq` stand, in the order they were written.
    pub fn marks_after(&self, seq: u64) -> impl Iterator<Item = TailRow> {
        let first = self.rows.partition_point(|row| row.seq <= seq);
        self.rows[first..].iter().map(|row| self.read(row).0)
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn read(&self, row: &Entry) -> (TailRow, RowRef<'_>) {
        let (record, _) =
            RowRef::parse_unchecked_image(self.records.from(row.record)).expect("parsed when it was inserted");
        (TailRow { event_ts: row.event_ts, created: record.head.created, seq: row.seq }, record)
    }

    /// Bytes of memory that have been written to, about: of what grows at its end, what is in it.
    pub(super) fn held_bytes(&self) -> usize {
        let rows = size_of_val(self.rows.as_slice()) + size_of_val(self.frames.as_slice());
        let rows = rows + size_of_val(self.truncates.as_slice());
        let chains = self.chains.len() * CHAIN_BYTES + self.chain_room * size_of::<u32>();
        size_of::<TailView>() + self.records.held_bytes() + rows + self.heads.held_bytes() + chains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Random;
    use crate::format::row::{RowHead, RowKind, push_record};

    thread_local! {
        /// How many rows of chains made way for others on this thread.
        pub(super) static MOVED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn record(key: &[u8], event_ts: i64, created: Option<i64>) -> Vec<u8> {
        let mut out = Vec::new();
        let head = RowHead { created, ..RowHead::new(RowKind::Delete, event_ts) };
        push_record(&head, key, 0, &[], &mut out).unwrap();
        out
    }

    fn insert(tail: &mut TailView, records: &[u8], hashes: &[u64], first_seq: u64, position: u64) {
        let place = tail.stage(records, hashes);
        tail.insert(place, records, hashes, first_seq, position);
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
                insert(&mut tail, &record(key, event_ts, created), &[42], seq, 0);
                seq += 1;
            }
        }
        for key in [b"a", b"b"] {
            let rows: Vec<_> = tail
                .descending(42, key, i64::MAX, u64::MAX)
                .map(|(_, row, _)| (row.event_ts, row.created, row.seq))
                .collect();
            let mut sorted = rows.clone();
            sorted.sort();
            sorted.reverse();
            assert_eq!((rows.len(), &rows), (7, &sorted));
            for bound in 0..10 {
                for seq_max in [0, 1, 6, 7, u64::MAX] {
                    let rows = tail.descending(42, key, bound, seq_max);
                    let below: Vec<_> = rows.map(|(_, row, _)| (row.event_ts, row.created, row.seq)).collect();
                    let in_sight = sorted.iter().copied().filter(|row| row.0 <= bound && row.2 <= seq_max);
                    assert_eq!(below, in_sight.collect::<Vec<_>>());
                }
            }
        }
        // A walk that is broken off goes on where it was.
        let whole: Vec<u32> = tail.numbers_before(42, TailRow::after(7)).collect();
        for (at, &number) in whole.iter().enumerate() {
            let (row, _) = tail.row(number);
            assert_eq!(tail.numbers_before(42, row).collect::<Vec<_>>(), whole[at + 1..]);
        }
        assert_eq!(whole.len(), 12);
        assert_eq!(tail.descending(42, b"c", i64::MAX, u64::MAX).count(), 0);
        assert_eq!(tail.descending(43, b"a", i64::MAX, u64::MAX).count(), 0);
    }

    #[test]
    fn chains_are_in_row_order_after_every_frame_whatever_came_in_it() {
        let mut random = Random::new(3);
        let mut roll = move |sides: u64| random.below(sides).cast_signed();
        let mut tail = TailView::default();
        let mut hashes: Vec<u64> = Vec::new();
        for frame in 0..150 {
            let (mut records, first) = (Vec::new(), hashes.len());
            for row in 0..[1, 2, 60][roll(3) as usize] {
                // Up, down, or in no order, with ties.
                let event_ts = [frame * 60 + row, -frame * 60 - row, roll(20)][frame as usize % 3];
                records.extend(record(b"k", event_ts, [None, Some(roll(3))][roll(2) as usize]));
                hashes.push(roll(4).cast_unsigned() << 40);
            }
            insert(&mut tail, &records, &hashes[first..], first as u64 + 1, 0);
            for hash in (0..4).map(|hash| hash << 40) {
                let mut expected: Vec<u32> =
                    (0..).zip(&hashes).filter(|(_, of)| **of == hash).map(|(n, _)| n).collect();
                expected.sort_by_key(|&number| std::cmp::Reverse(tail.row(number).0));
                let found: Vec<u32> = tail.numbers_before(hash, TailRow::after(i64::MAX)).collect();
                assert_eq!(found, expected, "hash {hash} after frame {frame}");
            }
        }
    }

    #[test]
    fn rows_that_come_backwards_make_way_once_a_frame() {
        // A row at a time went into its place: half a million rows of one key moved half a terabyte while readers waited.
        let mut tail = TailView::default();
        MOVED.set(0);
        for frame in 0..100_u64 {
            let times = (0..1_000).map(|row| -frame.cast_signed() * 1_000 - row);
            let records: Vec<u8> = times.flat_map(|event_ts| record(b"k", event_ts, None)).collect();
            insert(&mut tail, &records, &[42; 1_000], frame * 1_000 + 1, 0);
        }
        assert_eq!(tail.numbers_before(42, TailRow::after(i64::MAX)).count(), 100_000);
        assert!(MOVED.get() <= 100 * 100_000 / 2, "{} rows made way", MOVED.get());
    }

    #[test]
    fn truncates_are_kept_in_row_order_and_are_among_no_rows() {
        let mut tail = TailView::default();
        let truncate = |event_ts| {
            let mut out = Vec::new();
            push_record(&RowHead::new(RowKind::ViewTruncate, event_ts), b"", 0, &[], &mut out).unwrap();
            out
        };
        let batch = [record(b"", 1, None), truncate(5), record(b"", 2, None)].concat();
        insert(&mut tail, &batch, &[1, 1, 1], 10, 7);
        insert(&mut tail, &truncate(3), &[1], 13, 9);
        let at = |event_ts, seq| Truncate { event_ts, created: None, seq };
        assert_eq!(tail.truncates(), [at(3, 13), at(5, 11)]);
        assert_eq!([tail.position_of(11), tail.position_of(13)], [7, 9]);
        // The empty key is one that a row of a view without entities has.
        let of_key: Vec<u64> = tail.descending(1, b"", i64::MAX, u64::MAX).map(|(_, row, _)| row.seq).collect();
        assert_eq!((of_key, tail.row_count()), (vec![12, 10], 2));
        assert_eq!(tail.rows().map(|(row, _)| row.seq).collect::<Vec<_>>(), [10, 12]);
    }

    #[test]
    fn a_batch_is_numbered_from_its_first_seq() {
        let mut tail = TailView::default();
        let batch = [record(b"a", 1, None), record(b"b", 2, None)].concat();
        insert(&mut tail, &batch, &[1, 2], 100, 7);
        insert(&mut tail, &record(b"c", 3, None), &[3], 102, 9);
        let seqs: Vec<_> = tail.rows().map(|(row, record)| (row.seq, record.key.to_vec())).collect();
        assert_eq!(seqs, [(100, b"a".to_vec()), (101, b"b".to_vec()), (102, b"c".to_vec())]);
        assert_eq!([0, 1, 2].map(|number| tail.position(number)), [7, 7, 9]);
    }
}
