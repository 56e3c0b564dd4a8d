//! The as-of rule: which row wins at T, and what its values then answer.
//!
//! Online reads, point-in-time joins and explanations all come here. The winner is the last row in
//! row order (event time, created time with absent first, seq) that the question can see, whatever
//! its kind and age; [`verdict`] then says what that means for a field.

use crate::format::row::{FieldState, RowKind, RowRef};

/// Where a row stands in row order. `Ord` is row order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// When it was true, microseconds since 1970.
    pub event_ts: i64,
    /// When the source recorded it; absent sorts first.
    pub created: Option<i64>,
    /// Its number.
    pub seq: u64,
}

/// What a question can see: rows up to an instant, and perhaps up to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// The instant T: rows with an event time of at most this.
    pub at: i64,
    /// The greatest seq in sight; `u64::MAX` sees everything.
    pub known_at: u64,
    /// Whether rows must also have been created by T. Ask it only of views that declare a created
    /// time: a row without one is then out of sight.
    pub created_cutoff: bool,
}

impl AsOf {
    /// Everything there is, as of `at`.
    pub fn new(at: i64) -> Self {
        AsOf { at, known_at: u64::MAX, created_cutoff: false }
    }

    /// Whether a row at this place in row order is in sight.
    #[inline]
    pub fn sees(&self, mark: &Mark) -> bool {
        mark.event_ts <= self.at && self.seen(mark) <= Seen::From(self.at)
    }

    /// From when on a row at this place in row order is in sight, its event time aside: whatever `at` is.
    #[inline]
    pub fn seen(&self, mark: &Mark) -> Seen {
        if mark.seq > self.known_at {
            Seen::Never
        } else if !self.created_cutoff {
            Seen::From(i64::MIN)
        } else {
            mark.created.map_or(Seen::Never, Seen::From)
        }
    }
}

/// From when on a row is in sight. `Ord` is by instant, never last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// From this instant on.
    From(i64),
    /// At no instant.
    Never,
}

/// Rows of one key in row order, by position.
pub trait Candidates {
    /// How many there are.
    fn len(&self) -> usize;
    /// The event time of one.
    fn event_ts(&self, index: usize) -> i64;
    /// The place in row order of one.
    fn mark(&self, index: usize) -> Mark;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Candidates for [Mark] {
    fn len(&self) -> usize {
        <[Mark]>::len(self)
    }

    fn event_ts(&self, index: usize) -> i64 {
        self[index].event_ts
    }

    fn mark(&self, index: usize) -> Mark {
        self[index]
    }
}

/// The winner among rows of one key in row order: the last that `question` sees.
pub fn pick<R: Candidates + ?Sized>(rows: &R, question: AsOf) -> Option<usize> {
    let (mut end, mut len) = (0, rows.len());
    while len > 0 {
        let half = len.div_ceil(2);
        if rows.event_ts(end + half - 1) <= question.at {
            end += half;
            len -= half;
        } else {
            len = half - 1;
        }
    }
    (0..end).rev().find(|&index| question.sees(&rows.mark(index)))
}

/// The winner among rows of one key that come from the greatest in row order downwards.
pub fn pick_descending<T>(rows: impl IntoIterator<Item = (Mark, T)>, question: AsOf) -> Option<(Mark, T)> {
    rows.into_iter().find(|(mark, _)| question.sees(mark))
}

/// What a feature answers, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// No row, a delete, an absent field, or one past its deadline. Carries no event time.
    NotFound = 0,
    /// The value is older than the view's TTL.
    OutsideMaxAge = 1,
    /// The winning row holds null.
    NullValue = 2,
    /// There is a value.
    Present = 3,
}

impl Status {
    /// Its name, as every interface writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Status::NotFound => "NOT_FOUND",
            Status::OutsideMaxAge => "OUTSIDE_MAX_AGE",
            Status::NullValue => "NULL_VALUE",
            Status::Present => "PRESENT",
        }
    }
}

impl serde::Serialize for Status {
    /// Its name.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a winning row says of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldView {
    /// The row's kind.
    pub kind: RowKind,
    /// The row's event time.
    pub event_ts: i64,
    /// From this instant on the row is gone.
    pub row_deadline: Option<i64>,
    /// From this instant on the field is gone.
    pub field_deadline: Option<i64>,
    /// The field's state.
    pub state: FieldState,
}

impl FieldView {
    /// The field of a row.
    pub fn of_row(row: &RowRef<'_>, field: usize) -> FieldView {
        FieldView {
            kind: row.head.kind,
            event_ts: row.head.event_ts,
            row_deadline: row.head.deadline,
            field_deadline: row.field_deadline(field),
            state: row.state(field),
        }
    }
}

/// What one field of the winner answers at `at` in a view with this TTL (0 for none).
#[inline]
pub fn verdict(winner: Option<FieldView>, at: i64, ttl_us: i64) -> Status {
    let Some(field) = winner else { return Status::NotFound };
    if field.kind != RowKind::Value
        || field.state == FieldState::Absent
        || is_past(field.row_deadline, at)
        || is_past(field.field_deadline, at)
    {
        Status::NotFound
    } else if is_outside_max_age(field.event_ts, at, ttl_us) {
        Status::OutsideMaxAge
    } else if field.state == FieldState::Null {
        Status::NullValue
    } else {
        Status::Present
    }
}

/// Whether a deadline has come: it counts from its own instant on.
#[inline]
pub fn is_past(deadline: Option<i64>, at: i64) -> bool {
    deadline.is_some_and(|deadline| at >= deadline)
}

/// Whether a value of `event_ts` is older than the TTL at `at`; exactly as old is not.
#[inline]
pub fn is_outside_max_age(event_ts: i64, at: i64, ttl_us: i64) -> bool {
    event_ts < oldest_in_age(at, ttl_us)
}

/// The least event time within the TTL at `at`.
#[inline]
pub(super) fn oldest_in_age(at: i64, ttl_us: i64) -> i64 {
    if ttl_us == 0 { i64::MIN } else { at.saturating_sub(ttl_us) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule in words: sort, keep what is in sight, take the last.
    fn naive(rows: &[Mark], question: AsOf) -> Option<Mark> {
        let mut seen: Vec<Mark> = rows.to_vec();
        seen.sort_by_key(|row| (row.event_ts, row.created.is_some(), row.created.unwrap_or(0), row.seq));
        seen.retain(|row| row.event_ts <= question.at);
        seen.retain(|row| row.seq <= question.known_at);
        seen.retain(|row| !question.created_cutoff || row.created.is_some() && row.created <= Some(question.at));
        seen.last().copied()
    }

    fn marks() -> impl Strategy<Value = Vec<Mark>> {
        prop::collection::vec((-3..4_i64, prop::option::of(-3..4_i64)), 0..12).prop_map(|rows| {
            rows.into_iter().zip(1..).map(|((event_ts, created), seq)| Mark { event_ts, created, seq }).collect()
        })
    }

    proptest! {
        #[test]
        fn the_winner_is_the_last_row_in_sight(
            mut rows in marks(), at in -4..5_i64, known_at in prop_oneof![0..13_u64, Just(u64::MAX)],
            created_cutoff: bool,
        ) {
            let question = AsOf { at, known_at, created_cutoff };
            let expected = naive(&rows, question);
            rows.sort();
            prop_assert_eq!(pick(rows.as_slice(), question).map(|index| rows[index]), expected);
            let descending = rows.iter().rev().enumerate().map(|(i, mark)| (*mark, i));
            prop_assert_eq!(pick_descending(descending, question).map(|(mark, _)| mark), expected);
        }
    }

    fn field(event_ts: i64, state: FieldState) -> FieldView {
        FieldView { kind: RowKind::Value, event_ts, row_deadline: None, field_deadline: None, state }
    }

    #[test]
    fn null_missing_and_expired_are_three_answers() {
        use FieldState::{Absent, Null, Value};
        assert_eq!(verdict(None, 9, 0), Status::NotFound);
        assert_eq!(verdict(Some(field(9, Value)), 9, 0), Status::Present);
        assert_eq!(verdict(Some(field(9, Null)), 9, 0), Status::NullValue);
        assert_eq!(verdict(Some(field(9, Absent)), 9, 0), Status::NotFound);
        let deleted = FieldView { kind: RowKind::Delete, ..field(9, Absent) };
        assert_eq!(verdict(Some(deleted), 9, 0), Status::NotFound);
        // An absent field stays NOT_FOUND however old the row is.
        assert_eq!(verdict(Some(field(0, Absent)), 9, 1), Status::NotFound);
        assert_eq!(verdict(Some(field(0, Null)), 9, 1), Status::OutsideMaxAge);
    }

    #[test]
    fn the_ttl_includes_its_edge_and_saturates() {
        let value = |event_ts| Some(field(event_ts, FieldState::Value));
        assert_eq!(verdict(value(5), 15, 10), Status::Present);
        assert_eq!(verdict(value(4), 15, 10), Status::OutsideMaxAge);
        assert_eq!(verdict(value(i64::MIN), i64::MIN + 3, 10), Status::Present);
        assert_eq!(verdict(value(i64::MIN), i64::MAX, 0), Status::Present);
    }

    #[test]
    fn a_deadline_counts_from_its_own_instant() {
        let row = |deadline| Some(FieldView { row_deadline: Some(deadline), ..field(0, FieldState::Value) });
        let one = |deadline| Some(FieldView { field_deadline: Some(deadline), ..field(0, FieldState::Value) });
        assert_eq!((verdict(row(10), 9, 0), verdict(row(10), 10, 0)), (Status::Present, Status::NotFound));
        assert_eq!((verdict(one(10), 9, 0), verdict(one(10), 10, 0)), (Status::Present, Status::NotFound));
        // Past its deadline and past the TTL: gone, not merely old.
        assert_eq!(verdict(row(10), 99, 5), Status::NotFound);
    }
}
