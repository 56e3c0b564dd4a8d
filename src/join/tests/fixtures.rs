//! Runs and tails in memory, for tests.

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;

use crate::error::Result;
use crate::format::row::{FieldState, RowKind};
use crate::format::value::encode_value;
use crate::join::array_from_encoded;
use crate::join::last_seen::Walked;
use crate::join::pick::{AsOf, Mark, pick_descending};
use crate::join::source::{Index, OptionalTimes, Run, RunFile, Slot, Tail, TailField, TailWinner, slot};
use crate::value::{DataType, Value};

/// A row as a test states it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: Vec<u8>,
    pub(super) mark: Mark,
    pub(super) kind: RowKind,
    pub(super) deadline: Option<i64>,
    pub(super) field_deadline: Option<i64>,
    /// `None` is an absent field; one entry per field.
    pub(super) fields: Vec<Option<Value>>,
}

/// Few hashes, so that keys collide, and far apart, so that they fall into different buckets.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    u64::from(key.first().copied().unwrap_or(0) % 3) * (u64::MAX / 3)
}

pub(super) fn encoded(data_type: &DataType, value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    (!value.is_null()).then(|| encode_value(data_type, value, &mut bytes).unwrap())?;
    Some(bytes)
}

pub(super) fn array_of(data_type: &DataType, values: impl IntoIterator<Item = Value>) -> ArrayRef {
    let cells: Vec<Option<Vec<u8>>> = values.into_iter().map(|value| encoded(data_type, &value)).collect();
    let cells: Vec<Option<&[u8]>> = cells.iter().map(Option::as_deref).collect();
    array_from_encoded(data_type, &cells).unwrap()
}

/// A run in memory.
pub(super) struct TestRun {
    pub(super) rows: Vec<Row>,
    slots: Vec<Slot>,
    scale: u64,
    hash_min: u64,
    hash_max: u64,
    shift: u32,
    event_ts: Vec<i64>,
    seq: Vec<u64>,
    created: Vec<i64>,
    created_nulls: NullBuffer,
    pub(super) kind: Vec<u8>,
    pub(super) deadline: Vec<i64>,
    deadline_nulls: NullBuffer,
    pub(super) columns: Vec<ArrayRef>,
}

const SEQ_BASE: u64 = 1;

impl TestRun {
    pub(super) fn new(mut rows: Vec<Row>, types: &[DataType]) -> TestRun {
        rows.sort_by(|a, b| (hash_of(&a.key), &a.key, a.mark).cmp(&(hash_of(&b.key), &b.key, b.mark)));
        let entities: Vec<&[Row]> = rows.chunk_by(|a, b| a.key == b.key).collect();
        // The slots span the run's own hashes, as on disk.
        let hash_of_row = |row: Option<&Row>| row.map_or(0, |row| hash_of(&row.key));
        let (hash_min, hash_max) = (hash_of_row(rows.first()), hash_of_row(rows.last()));
        let shift = (hash_max - hash_min).leading_zeros().min(63);
        let span = (u128::from((hash_max - hash_min) << shift) + 1).max(1 << 63);
        let scale = u64::try_from(((entities.len() as u128 * 10 / 7 + 1) << 64) / span).unwrap();
        let (mut slots, mut next, mut start) = (Vec::new(), 0, 0);
        for entity in entities {
            let hash = hash_of(&entity[0].key);
            let at = next.max(((u128::from((hash - hash_min) << shift) * u128::from(scale)) >> 64) as usize);
            slots.resize(slots.len().max(at + 1), [0, 0]);
            slots[at] = slot(hash, start, entity.len() as u32);
            (next, start) = (at + 1, start + entity.len() as u32);
        }
        let value = |row: &Row, field: usize| row.fields[field].clone().unwrap_or(Value::Null);
        let columns = types
            .iter()
            .enumerate()
            .map(|(field, data_type)| array_of(data_type, rows.iter().map(|row| value(row, field))))
            .collect();
        TestRun {
            slots,
            scale,
            hash_min,
            hash_max,
            shift,
            event_ts: rows.iter().map(|row| row.mark.event_ts).collect(),
            seq: rows.iter().map(|row| row.mark.seq - SEQ_BASE).collect(),
            created: rows.iter().map(|row| row.mark.created.unwrap_or(0)).collect(),
            created_nulls: rows.iter().map(|row| row.mark.created.is_some()).collect::<Vec<_>>().into(),
            kind: rows.iter().map(|row| row.kind as u8).collect(),
            deadline: rows.iter().map(|row| row.deadline.unwrap_or(0)).collect(),
            deadline_nulls: rows.iter().map(|row| row.deadline.is_some()).collect::<Vec<_>>().into(),
            columns,
            rows,
        }
    }

    /// What is optional in a run stands in it only where a row needs it, as on disk.
    pub(super) fn as_run(&self) -> Run<'_> {
        let seqs = || self.rows.iter().map(|row| row.mark.seq);
        let has = |test: fn(&Row) -> bool| self.rows.iter().any(test);
        Run {
            index: Index {
                slots: &self.slots,
                hash_min: self.hash_min,
                hash_max: self.hash_max,
                shift: self.shift,
                scale: self.scale,
            },
            event_ts: &self.event_ts,
            seq: &self.seq,
            seq_base: SEQ_BASE,
            created: has(|row| row.mark.created.is_some())
                .then_some(OptionalTimes { values: &self.created, nulls: Some(&self.created_nulls) }),
            kind: has(|row| row.kind != RowKind::Value).then_some(&self.kind),
            deadline: has(|row| row.deadline.is_some())
                .then_some(OptionalTimes { values: &self.deadline, nulls: Some(&self.deadline_nulls) }),
            event_ts_range: (
                self.event_ts.iter().copied().min().unwrap_or(0),
                self.event_ts.iter().copied().max().unwrap_or(0),
            ),
            seq_range: (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0)),
            has_field_marks: has(|row| row.field_deadline.is_some() || row.fields.iter().any(Option::is_none)),
            file: self,
        }
    }
}

impl RunFile for TestRun {
    fn key_equals(&self, row: u32, key: &[u8]) -> bool {
        self.rows[row as usize].key == key
    }

    fn column(&self, field: usize) -> Result<Option<ArrayRef>> {
        Ok(self.columns.get(field).cloned())
    }

    fn is_absent(&self, row: u32, field: usize) -> bool {
        self.rows[row as usize].fields[field].is_none()
    }

    fn field_deadline(&self, row: u32, _: usize) -> Option<i64> {
        self.rows[row as usize].field_deadline
    }
}

/// A tail in memory: rows in row order, and their encoded fields.
pub(super) struct TestTail {
    pub(super) rows: Vec<Row>,
    cells: Vec<Vec<(FieldState, Vec<u8>)>>,
}

impl TestTail {
    pub(super) fn new(mut rows: Vec<Row>, types: &[DataType]) -> TestTail {
        rows.sort_by_key(|row| row.mark);
        let cell = |(value, data_type): (&Option<Value>, &DataType)| match value {
            None => (FieldState::Absent, Vec::new()),
            Some(value) => {
                encoded(data_type, value).map_or((FieldState::Null, Vec::new()), |bytes| (FieldState::Value, bytes))
            }
        };
        let cells = rows.iter().map(|row| row.fields.iter().zip(types).map(cell).collect()).collect();
        TestTail { rows, cells }
    }
}

impl Tail for TestTail {
    fn winners(
        &self,
        keys: &mut dyn Iterator<Item = (u64, &[u8], AsOf)>,
        _: &mut Walked,
        found: &mut dyn FnMut(usize, TailWinner),
    ) {
        for (i, (hash, key, question)) in keys.enumerate() {
            let rows = self
                .rows
                .iter()
                .zip(0..self.rows.len() as u32)
                .rev()
                .filter(|(row, _)| hash_of(&row.key) == hash && row.key == key);
            if let Some((mark, row)) = pick_descending(rows.map(|(row, number)| (row.mark, number)), question) {
                let Row { kind, deadline, .. } = self.rows[row as usize];
                found(i, TailWinner { row, mark, kind, deadline });
            }
        }
    }

    fn fields(&self, rows: &[u32], field: usize, visit: &mut dyn FnMut(TailField<'_>)) {
        for &row in rows {
            let (state, bytes) = &self.cells[row as usize][field];
            visit(TailField { state: *state, bytes, deadline: self.rows[row as usize].field_deadline });
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
