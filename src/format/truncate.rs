//! A truncate of a view: a delete of every key, at its place in row order.

use super::row::{RowKind, RowRef};

/// Where a truncate stands in row order. `Ord` is row order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Truncate {
    /// From when on the view has no row, microseconds since 1970.
    pub event_ts: i64,
    /// When it was recorded, in views that declare created.
    pub created: Option<i64>,
    /// Its number.
    pub seq: u64,
}

impl Truncate {
    /// The truncate that a row numbered `seq` is, if it is one.
    pub fn of_row(row: &RowRef<'_>, seq: u64) -> Option<Truncate> {
        let RowRef { head, .. } = row;
        (head.kind == RowKind::ViewTruncate).then_some(Truncate { event_ts: head.event_ts, created: head.created, seq })
    }

    /// Whether a row comes before it, and so is deleted by it.
    #[inline]
    pub fn is_after(&self, row: &RowRef<'_>, seq: u64) -> bool {
        (row.head.event_ts, row.head.created, seq) < (self.event_ts, self.created, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::RowHead;

    #[test]
    fn it_deletes_what_comes_before_it_in_row_order() {
        let truncate = Truncate { event_ts: 5, created: Some(3), seq: 9 };
        let row = |event_ts, created| RowRef {
            head: RowHead { created, ..RowHead::new(RowKind::Value, event_ts) },
            key: b"k",
            field_count: 0,
            image: &[],
        };
        let is_deleted = |event_ts, created, seq| truncate.is_after(&row(event_ts, created), seq);
        assert!(is_deleted(4, Some(9), 10), "of an earlier time, whenever it was learned");
        assert!(is_deleted(5, None, 10) && is_deleted(5, Some(2), 10) && is_deleted(5, Some(3), 8));
        assert!(!is_deleted(5, Some(3), 10) && !is_deleted(5, Some(4), 8) && !is_deleted(6, None, 1));
        let record = row(4, None);
        assert_eq!(Truncate::of_row(&record, 1), None);
        let head = RowHead { kind: RowKind::ViewTruncate, created: Some(3), ..record.head };
        assert_eq!(
            Truncate::of_row(&RowRef { head, ..record }, 7),
            Some(Truncate { event_ts: 4, created: Some(3), seq: 7 })
        );
    }
}
