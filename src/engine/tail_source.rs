//! The tail as the join reads it: one view's rows of all unsealed log segments.

use std::collections::HashMap;
use std::sync::{Arc, RwLockReadGuard};

use crate::format::row::{FieldState, RowLayout};
use crate::join::last_seen::{KeyRows, WALK_ROWS_MAX, Walked};
use crate::join::pick::{AsOf, Mark, pick_descending};
use crate::join::source::{Tail, TailField, TailWinner};
use crate::tail::{ROWS_HELD, TailRow, TailSegment, TailView};

/// One view's rows of the tail that a question may know of, numbered through all segments. Later ones have no number here,
/// nor have those that come while it is asked.
pub struct ViewTail<'a> {
    view_id: u32,
    /// Oldest first.
    parts: Vec<Part<'a>>,
    layout: &'a RowLayout,
}

/// What a segment has of the view.
#[derive(Clone, Copy)]
struct Part<'a> {
    first: u32,
    row_count: u32,
    segment: &'a TailSegment,
}

/// The parts, held still for [`ROWS_HELD`] visits: then a commit that waits goes before the next.
struct Held<'a> {
    tail: &'a ViewTail<'a>,
    segments: Vec<RwLockReadGuard<'a, HashMap<u32, TailView>>>,
    visits_left: usize,
}

impl<'a> Held<'a> {
    fn new(tail: &'a ViewTail<'a>) -> Held<'a> {
        let mut held = Held { tail, segments: Vec::with_capacity(tail.parts.len()), visits_left: 0 };
        held.count(0);
        held
    }

    /// After so many visits, of at most those that were left.
    fn count(&mut self, visits: usize) {
        #[cfg(test)]
        tests::VISITS.set(tests::VISITS.get() + visits);
        self.visits_left -= visits;
        if self.visits_left == 0 {
            self.segments.clear();
            self.segments.extend(self.tail.parts.iter().map(|part| part.segment.read()));
            self.visits_left = ROWS_HELD;
        }
    }

    fn rows(&self, part: usize) -> &TailView {
        self.segments[part].get(&self.tail.view_id).expect("a view stays in a segment that has rows of it")
    }

    /// The winner of a key among the rows of a part.
    fn winner(
        &mut self,
        part: usize,
        hash: u64,
        key: &[u8],
        question: AsOf,
        walked: &mut Walked,
    ) -> Option<TailWinner> {
        let Part { first, row_count, .. } = self.tail.parts[part];
        let (mut end, mut walk_left) = (TailRow::after(question.at), WALK_ROWS_MAX as usize);
        while walk_left > 0 {
            let (mut visits, mut lowest) = (0, None);
            let rows = self.rows(part);
            let visits_max = self.visits_left.min(walk_left);
            let visited = rows.numbers_before(hash, end).take(visits_max).inspect(|&number| {
                visits += 1;
                lowest = Some(number);
            });
            let marked = visited.filter(|&number| number < row_count).filter_map(|number| {
                let (row, record) = rows.row(number);
                (record.key == key).then_some((mark_of(&row), (first + number, record)))
            });
            let winner = pick_descending(marked, question).map(|(mark, (row, record))| TailWinner {
                row,
                mark,
                kind: record.head.kind,
                deadline: record.head.deadline,
            });
            let broken_off = lowest.filter(|_| winner.is_none() && visits == visits_max);
            end = broken_off.map_or(end, |number| rows.row(number).0);
            // A key without rows was looked for, too.
            self.count(visits.max(1));
            if broken_off.is_none() {
                return winner;
            }
            walk_left -= visits;
        }
        let key_rows = walked.tail.entry((part, key.to_vec())).or_insert_with(|| self.key_rows(part, hash, key));
        let (mark, number) = key_rows.pick(question)?;
        let (_, record) = self.rows(part).row(number);
        let winner = TailWinner { row: first + number, mark, kind: record.head.kind, deadline: record.head.deadline };
        self.count(1);
        Some(winner)
    }

    /// The rows of a key in a part.
    fn key_rows(&mut self, part: usize, hash: u64, key: &[u8]) -> KeyRows {
        let row_count = self.tail.parts[part].row_count;
        let (mut found, mut end) = (Vec::new(), TailRow::after(i64::MAX));
        loop {
            let (rows, mut visits) = (self.rows(part), 0);
            for number in rows.numbers_before(hash, end).take(self.visits_left) {
                let (row, record) = rows.row(number);
                if number < row_count && record.key == key {
                    found.push((mark_of(&row), number));
                }
                (end, visits) = (row, visits + 1);
            }
            let is_broken_off = visits == self.visits_left;
            self.count(visits);
            if !is_broken_off {
                found.reverse();
                return KeyRows::new(found);
            }
        }
    }
}

impl<'a> ViewTail<'a> {
    /// The rows that there are now with a seq of at most `known_at`. No question sees later ones.
    pub fn new(tail: &'a [Arc<TailSegment>], view_id: u32, layout: &'a RowLayout, known_at: u64) -> Self {
        let (mut parts, mut first) = (Vec::new(), 0);
        for segment in tail {
            let row_count = segment.read().get(&view_id).map_or(0, |rows| rows.row_count_up_to(known_at));
            if row_count > 0 {
                parts.push(Part { first, row_count, segment });
                first += row_count;
            }
        }
        ViewTail { view_id, parts, layout }
    }
}

/// Where a row stands in row order.
pub fn mark_of(row: &TailRow) -> Mark {
    Mark { event_ts: row.event_ts, created: row.created, seq: row.seq }
}

impl Tail for ViewTail<'_> {
    fn winners(
        &self,
        keys: &mut dyn Iterator<Item = (u64, &[u8], AsOf)>,
        walked: &mut Walked,
        found: &mut dyn FnMut(usize, TailWinner),
    ) {
        let mut held = Held::new(self);
        for (i, (hash, key, question)) in keys.enumerate() {
            let winners = (0..self.parts.len()).filter_map(|part| held.winner(part, hash, key, question, walked));
            if let Some(winner) = winners.max_by_key(|winner| winner.mark) {
                found(i, winner);
            }
        }
    }

    fn fields(&self, rows: &[u32], field: usize, visit: &mut dyn FnMut(TailField<'_>)) {
        let mut held = Held::new(self);
        for &row in rows {
            let part = self.parts.iter().rposition(|part| part.first <= row).expect("numbers come from winners");
            let (_, record) = held.rows(part).row(row - self.parts[part].first);
            let state = record.state(field);
            let bytes = if state == FieldState::Value { record.field_bytes(self.layout, field) } else { &[] };
            visit(TailField { state, bytes, deadline: record.field_deadline(field) });
            held.count(1);
        }
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::disk::Random;
    use crate::format::row::{RowHead, RowKind, push_record};
    use crate::join::pick::pick;
    use crate::key::key_hash;
    use crate::value::DataType;

    thread_local! {
        /// How many rows this thread visited.
        pub(super) static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    const VIEW: u32 = 3;

    /// Adds rows of a key, at these event and created times, numbered from `first_seq` on.
    fn insert_rows(segment: &TailSegment, key: &[u8], first_seq: u64, rows: &[(i64, Option<i64>)]) {
        let (mut records, mut hashes) = (Vec::new(), Vec::new());
        for &(event_ts, created) in rows {
            let head = RowHead { created, ..RowHead::new(RowKind::Delete, event_ts) };
            push_record(&head, key, 0, &[], &mut records).unwrap();
            hashes.push(key_hash(7, key));
        }
        let place = segment.stage(VIEW, &records, &hashes);
        segment.insert(VIEW, place, &records, &hashes, first_seq, 512);
    }

    /// Adds rows of key "k", at these times, numbered likewise.
    fn insert(segment: &TailSegment, times: std::ops::Range<i64>) {
        let first_seq = times.start.unsigned_abs();
        insert_rows(segment, b"k", first_seq, &times.map(|at| (at, None)).collect::<Vec<_>>());
    }

    #[test]
    fn rows_are_held_still_for_one_call_and_a_commit_may_come_between_two() {
        let tail = [Arc::new(TailSegment::new(1)), Arc::new(TailSegment::new(2))];
        insert(&tail[0], 1..4);
        insert(&tail[1], 4..6);
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout, 5);
        let winner = |at| {
            let mut winner = None;
            let question = AsOf { known_at: 5, ..AsOf::new(at) };
            let mut keys = std::iter::once((key_hash(7, b"k"), b"k".as_slice(), question));
            view.winners(&mut keys, &mut Walked::default(), &mut |_, found| winner = Some((found.row, found.mark.seq)));
            winner
        };
        for (at, expected) in [(0, None), (2, Some((1, 2))), (5, Some((4, 5))), (9, Some((4, 5)))] {
            assert_eq!(winner(at), expected, "at {at}");
            // A commit, on this very thread: it would wait for ever for rows that were still held.
            insert(&tail[1], 6 + at..7 + at);
        }
        let mut seen = 0;
        view.fields(&[0, 4], 0, &mut |_| seen += 1);
        insert(&tail[1], 20..21);
        assert_eq!(seen, 2);
    }

    #[test]
    fn many_rows_are_not_held_still_at_once() {
        let tail = [Arc::new(TailSegment::new(1))];
        insert(&tail[0], 1..2);
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout, u64::MAX);
        let is_written = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut row, mut before_the_end) = (0, false);
            let rows = vec![0; ROWS_HELD * 200];
            view.fields(&rows, 0, &mut |_| {
                if row == 0 {
                    scope.spawn(|| {
                        insert(&tail[0], 2..3);
                        is_written.store(true, Ordering::SeqCst);
                    });
                }
                if row % ROWS_HELD == 0 && !is_written.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                before_the_end |= row + 1 < rows.len() && is_written.load(Ordering::SeqCst);
                row += 1;
            });
            assert!(before_the_end, "the commit waited for all rows");
        });
    }

    /// A key's rows that are seen only by whoever does not ask when they were created, but for the one with this seq.
    fn rows_seen_at(seq: usize) -> Vec<(i64, Option<i64>)> {
        (1..=MANY_ROWS).map(|other| (other as i64 / 1_000, Some(if other == seq { 0 } else { i64::MAX }))).collect()
    }

    const MANY_ROWS: usize = 3 * ROWS_HELD + 7;

    #[test]
    fn many_rows_of_a_key_that_a_question_does_not_see_are_not_held_still_at_once() {
        // A join for what was known before a hot key got all its rows had commits wait until it had gone by them, spine row by
        // spine row.
        let tail = [Arc::new(TailSegment::new(1))];
        insert_rows(&tail[0], b"k", 1, &rows_seen_at(1));
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout, MANY_ROWS as u64);
        let is_written = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut asked, mut before_the_end) = (0, false);
            let question = AsOf { created_cutoff: true, ..AsOf::new(100) };
            let mut keys = std::iter::from_fn(|| {
                if asked == 0 {
                    scope.spawn(|| {
                        insert(&tail[0], 100_000..100_001);
                        is_written.store(true, Ordering::SeqCst);
                    });
                }
                if !is_written.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                before_the_end |= is_written.load(Ordering::SeqCst);
                asked += 1;
                (asked <= 200).then_some((key_hash(7, b"k"), b"k".as_slice(), question))
            });
            let mut winners = 0;
            view.winners(&mut keys, &mut Walked::default(), &mut |_, winner| {
                winners += usize::from(winner.mark.seq == 1)
            });
            assert!(before_the_end, "the commit waited for all rows");
            assert_eq!(winners, 200);
        });
    }

    #[test]
    fn a_walk_that_lets_others_in_finds_what_it_would_have_found() {
        let tail = [Arc::new(TailSegment::new(1))];
        let seen = [1, 2, ROWS_HELD - 1, ROWS_HELD, ROWS_HELD + 1, 2 * ROWS_HELD, MANY_ROWS - 1, MANY_ROWS];
        let keys: Vec<String> = seen.iter().map(|seq| format!("key {seq}")).collect();
        for (i, (&seen, key)) in seen.iter().zip(&keys).enumerate() {
            insert_rows(&tail[0], key.as_bytes(), (i * MANY_ROWS + 1) as u64, &rows_seen_at(seen));
        }
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout, u64::MAX);
        let question = AsOf { created_cutoff: true, ..AsOf::new(100) };
        let mut asked = keys.iter().map(|key| (key_hash(7, key.as_bytes()), key.as_bytes(), question));
        let mut found = Vec::new();
        view.winners(&mut asked, &mut Walked::default(), &mut |i, winner| {
            found.push((i, winner.mark.seq as usize - i * MANY_ROWS));
        });
        assert_eq!(found, seen.into_iter().enumerate().collect::<Vec<_>>());
    }

    #[test]
    fn rows_of_a_key_that_a_question_does_not_see_are_gone_by_once_and_not_for_every_spine_row() {
        let tail = [Arc::new(TailSegment::new(1))];
        insert_rows(&tail[0], b"k", 1, &rows_seen_at(1));
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout, MANY_ROWS as u64);
        // Later ones, of which the question does not know.
        insert_rows(&tail[0], b"k", MANY_ROWS as u64 + 1, &rows_seen_at(1));
        let question = AsOf { created_cutoff: true, ..AsOf::new(100) };
        let (mut winners, mut walked) = (0, Walked::default());
        VISITS.set(0);
        for _ in 0..40 {
            let mut asked = std::iter::repeat_n((key_hash(7, b"k"), b"k".as_slice(), question), 50);
            view.winners(&mut asked, &mut walked, &mut |_, winner| winners += usize::from(winner.mark.seq == 1));
        }
        assert_eq!(winners, 2_000);
        let most = 2 * MANY_ROWS + 2_000 * (WALK_ROWS_MAX as usize + 1);
        assert!(VISITS.get() <= most, "{} rows were visited, at most {most}", VISITS.get());
    }

    #[test]
    fn winners_among_many_rows_are_those_that_the_pick_finds() {
        let tail = [Arc::new(TailSegment::new(1))];
        let mut random = Random::new(7);
        let mut roll = move |sides: u64| random.below(sides).cast_signed();
        let mut marks: [Vec<Mark>; 2] = [Vec::new(), Vec::new()];
        for (key, marks) in marks.iter_mut().enumerate() {
            let rows: Vec<(i64, Option<i64>)> =
                (0..MANY_ROWS).map(|_| (roll(900), [None, Some(2_000), Some(roll(9_000))][roll(3) as usize])).collect();
            let first_seq = (key * MANY_ROWS + 1) as u64;
            insert_rows(&tail[0], &[key as u8], first_seq, &rows);
            let rows = (first_seq..).zip(rows);
            marks.extend(rows.map(|(seq, (event_ts, created))| Mark { event_ts, created, seq }));
            marks.sort();
        }
        let layout = RowLayout::new([DataType::Int64]);
        for known_at in [u64::MAX, 2 * MANY_ROWS as u64 - 300, 40] {
            let view = ViewTail::new(&tail, VIEW, &layout, known_at);
            let asked: Vec<(u8, AsOf)> = (0..600)
                .map(|_| (roll(2) as u8, AsOf { known_at, created_cutoff: true, ..AsOf::new(roll(1_000)) }))
                .collect();
            let keys: Vec<[u8; 1]> = asked.iter().map(|(key, _)| [*key]).collect();
            let mut asks = keys.iter().zip(&asked).map(|(key, (_, question))| (key_hash(7, key), &key[..], *question));
            let mut found = vec![None; asked.len()];
            view.winners(&mut asks, &mut Walked::default(), &mut |i, winner| found[i] = Some(winner.mark));
            for ((key, question), found) in asked.into_iter().zip(found) {
                let marks = &marks[usize::from(key)];
                let expected = pick(marks.as_slice(), question).map(|index| marks[index]);
                assert_eq!(found, expected, "key {key}, {question:?}");
            }
        }
    }

    #[test]
    fn rows_that_no_question_may_know_of_are_not_there() {
        let tail = [Arc::new(TailSegment::new(1)), Arc::new(TailSegment::new(2))];
        insert(&tail[0], 1..4);
        insert(&tail[1], 4..6);
        let layout = RowLayout::new([DataType::Int64]);
        for (known_at, rows) in [(0, vec![]), (2, vec![2]), (3, vec![3]), (4, vec![3, 1]), (9, vec![3, 2])] {
            let view = ViewTail::new(&tail, VIEW, &layout, known_at);
            assert_eq!(view.parts.iter().map(|part| part.row_count).collect::<Vec<_>>(), rows, "known at {known_at}");
            assert_eq!(view.is_empty(), rows.is_empty());
        }
    }
}
