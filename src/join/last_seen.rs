//! Rows of a key of which a question sees few: the last in sight, without going by all that are not, row by row, spine row by spine
//! row.
//!
//! A row is in sight from some instant on, or never ([`Seen`]). Of 32 rows side by side the least of these is kept, of 32 such units
//! the least again, and so on up. A unit's is known once it was gone through in vain: nobody reads a row that a plain walk
//! would not read, and nobody reads many that were read in vain before.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::pick::{AsOf, Mark, Seen};

/// Rows that are walked over plainly: most winners are among the first few.
pub const WALK_ROWS_MAX: u32 = 256;

const FANOUT: usize = 32;

/// What is known of one key's rows, which have positions in row order.
#[derive(Debug)]
pub struct LastSeen {
    /// Of units of 32 rows, of 32 of those, and so on; of whole ones only.
    levels: Vec<Vec<Option<Seen>>>,
}

impl LastSeen {
    /// Of so many rows, nothing yet.
    pub fn new(len: usize) -> LastSeen {
        let units = std::iter::successors(Some(len / FANOUT), |units| Some(units / FANOUT));
        LastSeen { levels: units.take_while(|units| *units > 0).map(|units| vec![None; units]).collect() }
    }

    /// The last row before position `end` that is in sight at `at`; `seen` says from when on a row is, and always the same.
    pub fn before(&mut self, end: usize, at: i64, seen: &impl Fn(usize) -> Seen) -> Option<usize> {
        let (mut level, mut end) = (0, end);
        loop {
            let first = end / FANOUT * FANOUT;
            for unit in (first..end).rev() {
                if let ControlFlow::Break(row) = self.look(level, unit, Seen::From(at), seen) {
                    return Some(row);
                }
            }
            if first == 0 {
                return None;
            }
            (level, end) = (level + 1, first / FANOUT);
        }
    }

    /// The last row in sight of a unit; where there is none, from when on there is one.
    fn look(&mut self, level: usize, unit: usize, at: Seen, seen: &impl Fn(usize) -> Seen) -> ControlFlow<usize, Seen> {
        let Some(below) = level.checked_sub(1) else {
            let from = seen(unit);
            return if from <= at { ControlFlow::Break(unit) } else { ControlFlow::Continue(from) };
        };
        if let Some(least) = self.levels[below][unit].filter(|least| *least > at) {
            return ControlFlow::Continue(least);
        }
        let mut least = Seen::Never;
        for part in (unit * FANOUT..(unit + 1) * FANOUT).rev() {
            least = least.min(self.look(below, part, at, seen)?);
        }
        self.levels[below][unit] = Some(least);
        ControlFlow::Continue(least)
    }
}

/// The rows of one key in a tail that a question may know of, apart from the tail, which goes on changing.
#[derive(Debug)]
pub struct KeyRows {
    /// In row order, each with its number.
    rows: Vec<(Mark, u32)>,
    last_seen: LastSeen,
}

impl KeyRows {
    /// These, in row order.
    pub fn new(rows: Vec<(Mark, u32)>) -> KeyRows {
        KeyRows { last_seen: LastSeen::new(rows.len()), rows }
    }

    /// The winner, as [`super::pick::pick`] finds it. Questions may differ in their instants only.
    pub fn pick(&mut self, question: AsOf) -> Option<(Mark, u32)> {
        let end = self.rows.partition_point(|(mark, _)| mark.event_ts <= question.at);
        let seen = |row: usize| question.seen(&self.rows[row].0);
        self.last_seen.before(end, question.at, &seen).map(|row| self.rows[row])
    }
}

/// What long walks over the rows of one source left for the next over the same keys.
#[derive(Debug, Default)]
pub struct Walked {
    /// Of a run, by a key's first row.
    pub(super) run: HashMap<u32, LastSeen>,
    /// Of a tail, by part and key.
    pub tail: HashMap<(usize, Vec<u8>), KeyRows>,
}

impl Walked {
    pub(super) fn clear(&mut self) {
        self.run.clear();
        self.tail.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            6 => Just(Seen::Never),
            3 => (0..20_i64).prop_map(Seen::From),
            1 => prop_oneof![Just(Seen::From(i64::MIN)), Just(Seen::From(i64::MAX))],
        ]
    }

    fn instant() -> impl Strategy<Value = i64> {
        prop_oneof![8 => -1..21_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_walk_finds_and_no_row_is_read_that_it_does_not_read(
            few in prop::collection::vec((seen(), 1..300_usize), 0..12),
            asked in prop::collection::vec((0..4_000_usize, instant()), 1..30),
        ) {
            // Alike in stretches, so that whole units are in sight or are not.
            let rows: Vec<Seen> = few.iter().flat_map(|(seen, count)| vec![*seen; *count]).collect();
            let mut last_seen = LastSeen::new(rows.len());
            for (end, at) in asked {
                let end = end % (rows.len() + 1);
                let expected = rows[..end].iter().rposition(|seen| *seen <= Seen::From(at));
                let read = |row: usize| {
                    assert!(row >= expected.unwrap_or(0) && row < end, "row {row} for {expected:?} before {end}");
                    rows[row]
                };
                prop_assert_eq!(last_seen.before(end, at, &read), expected, "before {} at {}", end, at);
            }
        }
    }

    #[test]
    fn rows_that_are_not_in_sight_are_read_once_and_not_for_every_question() {
        const ROWS: usize = 50_000;
        let (read, mut last_seen) = (Cell::new(0), LastSeen::new(ROWS));
        for asked in 0..20_000 {
            let seen = |row: usize| {
                read.set(read.get() + 1);
                if row == 7 { Seen::From(0) } else { Seen::From(1_000_000) }
            };
            let end = ROWS - asked * 2;
            assert_eq!(last_seen.before(end, 5, &seen), Some(7), "before {end}");
        }
        assert!(read.get() < ROWS + 20_000 * 2 * FANOUT, "{} rows were read", read.get());
    }
}
