//! The row that answers for one key: out of the latest table where that may be asked, else over the as-of path.

use super::as_of::FoundRow;
use crate::format::row::{FieldState, RowKind};
use crate::format::truncate::Truncate;
use crate::join::pick::{AsOf, FieldView, Status, verdict};
use crate::latest::{Lookup, SlotCopy};
use crate::time::Timestamp;
use crate::value::Value;

/// What was found for one key of one view.
#[derive(Debug)]
pub enum Winner {
    /// No row in sight.
    Nothing,
    /// The row is in the [`SlotCopy`] that the lookup was given.
    Slot {
        /// Whether its fields that have a value answer it: worked out once for all of them.
        is_in_force: bool,
    },
    /// A row of log or runs.
    Found(Box<FoundRow>),
}

/// What a lookup in a current table with this floor says about the greatest row in sight of `as_of`, in a view with this TTL; `None`
/// when it cannot say.
#[inline]
pub fn judge(found: Lookup, copy: &SlotCopy, as_of: AsOf, ttl_us: i64, floor: Option<Truncate>) -> Option<Winner> {
    let (at, seq) = (as_of.at, as_of.known_at);
    match found {
        // Who does not see the truncate may see what it deleted.
        Lookup::Miss if floor.is_some_and(|floor| floor.event_ts > at || floor.seq > seq) => None,
        Lookup::Miss => Some(Winner::Nothing),
        Lookup::Hit if copy.seq() <= seq && copy.event_ts() <= at && !copy.asks_history() => {
            let is_in_force = verdict(Some(field_of(copy, FieldState::Value)), at, ttl_us) == Status::Present;
            Some(Winner::Slot { is_in_force })
        }
        Lookup::Hit | Lookup::Busy | Lookup::Untrusted => None,
    }
}

/// A field in this state of the row in `copy`. Rows with deadlines are not answered out of a table.
#[inline]
fn field_of(copy: &SlotCopy, state: FieldState) -> FieldView {
    FieldView {
        kind: copy.kind().unwrap_or(RowKind::Delete),
        event_ts: copy.event_ts(),
        row_deadline: None,
        field_deadline: None,
        state,
    }
}

impl Winner {
    #[inline]
    fn field(&self, copy: &SlotCopy, field: usize) -> Option<FieldView> {
        match self {
            Winner::Nothing => None,
            Winner::Slot { .. } => Some(field_of(copy, copy.state(field))),
            Winner::Found(found) => Some(FieldView::of_row(&found.row(), field)),
        }
    }

    /// What became of a field at `at`, and when the row was true unless the status is NOT_FOUND.
    #[inline]
    pub fn status(&self, copy: &SlotCopy, field: usize, at: i64, ttl_us: i64) -> (Status, Option<Timestamp>) {
        let view = self.field(copy, field);
        let status = verdict(view, at, ttl_us);
        let event_ts = view.filter(|_| status != Status::NotFound).map(|view| Timestamp(view.event_ts));
        (status, event_ts)
    }

    /// A field's value; null where it has none.
    pub fn value(&self, copy: &SlotCopy, field: usize) -> Value {
        match self {
            Winner::Nothing => Value::Null,
            Winner::Slot { .. } => copy.value(field).unwrap_or(Value::Null),
            Winner::Found(found) => found.row().value(found.layout(), field),
        }
    }

    /// The encoded value of a field whose status is PRESENT.
    #[inline]
    pub fn field_bytes<'a>(&'a self, copy: &'a SlotCopy, field: usize) -> Option<&'a [u8]> {
        match self {
            Winner::Nothing => None,
            Winner::Slot { .. } => copy.field_bytes(field),
            Winner::Found(found) => Some(found.row().field_bytes(found.layout(), field)),
        }
    }
}
