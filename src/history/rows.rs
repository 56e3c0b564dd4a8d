//! Rows in columns: what runs are made from and read into.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{NullBuffer, ScalarBuffer};

use crate::error::{Error, Result};
use crate::format::row::{FieldState, RowKind, RowRef};
use crate::history::column_builder::ColumnBuilder;
use crate::history::gather::Extent;
use crate::history::keys::Keys;
use crate::history::schema::{OptionalColumns, RunSchema};
use crate::key::key_hash;
use crate::value::DataType;

/// Everything of some rows but their keys.
#[derive(Clone, Debug, Default)]
pub struct RowColumns {
    /// Event timestamps; their number is the number of rows.
    pub event_ts: ScalarBuffer<i64>,
    /// Created timestamps, `Timestamp(us, UTC)`, where the view declares them.
    pub created: Option<ArrayRef>,
    /// Sequence numbers, relative to a base.
    pub seq: ScalarBuffer<u64>,
    /// Row kinds, `UInt8`; every row is a value without it.
    pub kind: Option<ArrayRef>,
    /// Bitmaps of absent fields, `FixedSizeBinary`.
    pub absent: Option<ArrayRef>,
    /// Row deadlines, `Timestamp(us, UTC)`.
    pub deadline: Option<ArrayRef>,
    /// Encoded field deadlines, `Binary`.
    pub field_deadlines: Option<ArrayRef>,
    /// Event ids, `Binary`.
    pub event_id: Option<ArrayRef>,
    /// Features by ordinal; `None` for those that are younger than the rows.
    pub features: Vec<Option<ArrayRef>>,
}

impl RowColumns {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.event_ts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.event_ts.is_empty()
    }

    /// Which optional columns there are.
    pub fn optional(&self) -> OptionalColumns {
        OptionalColumns {
            kind: self.kind.is_some(),
            absent: self.absent.is_some(),
            deadline: self.deadline.is_some(),
            field_deadlines: self.field_deadlines.is_some(),
            event_id: self.event_id.is_some(),
        }
    }

    /// Created timestamps, and which of them are there.
    pub(crate) fn created_values(&self) -> Option<(&[i64], Option<&NullBuffer>)> {
        self.created.as_ref().and_then(instants)
    }

    pub(crate) fn arrays(&self) -> impl Iterator<Item = &ArrayRef> {
        [&self.created, &self.kind, &self.absent, &self.deadline, &self.field_deadlines, &self.event_id]
            .into_iter()
            .chain(&self.features)
            .flatten()
    }

    /// Bytes held in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.len() * 16 + self.arrays().map(|array| array.get_buffer_memory_size()).sum::<usize>()
    }
}

pub(crate) fn instants(array: &ArrayRef) -> Option<(&[i64], Option<&NullBuffer>)> {
    let array = array.as_any().downcast_ref::<arrow_array::TimestampMicrosecondArray>()?;
    Some((array.values().as_ref(), array.nulls()))
}

/// Rows in the order they came, with the key of each.
#[derive(Clone, Debug, Default)]
pub struct UnsortedRows {
    /// Hash of each row's key.
    pub hashes: Vec<u64>,
    /// Key of each row.
    pub keys: Keys,
    /// The rest.
    pub columns: RowColumns,
}

/// A key and its rows within a run file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The key's hash.
    pub hash: u64,
    /// Its first row.
    pub start: u32,
    /// How many rows it has.
    pub len: u32,
}

/// The rows of one run file, sorted by (hash, key, row order), still lying in their pieces.
pub(crate) struct RunRows<'a> {
    /// The keys in order, and where the rows of each lie.
    pub(crate) ranges: &'a [KeyRange],
    /// The keys' bytes.
    pub(crate) keys: &'a Keys,
    pub(crate) pieces: &'a [&'a RowColumns],
    /// Added to each piece's numbers.
    pub(crate) seq_bases: &'a [u64],
    /// The rows in order.
    pub(crate) extents: &'a [Extent],
    pub(crate) row_count: usize,
}

/// Collects encoded row records into columns: how the log's rows become a run.
pub struct RowCollector<'a> {
    schema: &'a RunSchema,
    hash_seed: u64,
    hashes: Vec<u64>,
    keys: Keys,
    event_ts: Vec<i64>,
    seq: Vec<u64>,
    created: ColumnBuilder,
    kind: Vec<u8>,
    absent: Vec<u8>,
    deadline: ColumnBuilder,
    field_deadlines: ColumnBuilder,
    event_id: ColumnBuilder,
    features: Vec<ColumnBuilder>,
    needs: OptionalColumns,
    bytes: usize,
}

impl<'a> RowCollector<'a> {
    /// An empty collection of rows of `schema`.
    pub fn new(schema: &'a RunSchema, hash_seed: u64) -> RowCollector<'a> {
        RowCollector {
            schema,
            hash_seed,
            hashes: Vec::new(),
            keys: Keys::default(),
            event_ts: Vec::new(),
            seq: Vec::new(),
            created: ColumnBuilder::new(&DataType::Timestamp),
            kind: Vec::new(),
            absent: Vec::new(),
            deadline: ColumnBuilder::new(&DataType::Timestamp),
            field_deadlines: ColumnBuilder::new(&DataType::Bytes),
            event_id: ColumnBuilder::new(&DataType::Bytes),
            features: schema.fields().iter().map(|(_, data_type)| ColumnBuilder::new(data_type)).collect(),
            needs: OptionalColumns::default(),
            bytes: 0,
        }
    }

    /// How many rows were collected.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row. It was checked by [`RowRef::parse`] against the schema's layout.
    ///
    /// # Errors
    /// A value is not of its type.
    pub fn push(&mut self, seq: u64, row: &RowRef<'_>) -> Result<()> {
        self.hashes.push(key_hash(self.hash_seed, row.key));
        self.keys.push(row.key);
        self.event_ts.push(row.head.event_ts);
        self.seq.push(seq);
        self.bytes += row.image.len() + row.key.len() + 48;
        let instant = |builder: &mut ColumnBuilder, at: Option<i64>| match at {
            Some(us) => builder.push(&us.to_le_bytes()),
            None => {
                builder.push_null();
                Ok(())
            }
        };
        instant(&mut self.created, row.head.created)?;
        instant(&mut self.deadline, row.head.deadline)?;
        for (builder, bytes) in
            [(&mut self.field_deadlines, row.head.field_deadlines), (&mut self.event_id, row.head.event_id)]
        {
            if bytes.is_empty() { builder.push_null() } else { builder.push(bytes)? }
        }
        self.kind.push(row.head.kind as u8);
        let absent_start = self.absent.len();
        self.absent.resize(absent_start + self.schema.absent_bytes(), 0);
        for (field, builder) in self.features.iter_mut().enumerate() {
            match row.state(field) {
                FieldState::Value => builder
                    .push(row.field_bytes(self.schema.layout(), field))
                    .map_err(|error| error.at(format!("{}:{}", self.schema.view(), self.schema.fields()[field].0)))?,
                FieldState::Null => builder.push_null(),
                FieldState::Absent => {
                    builder.push_null();
                    // A row that is no value has no fields at all; its kind says so.
                    if row.head.kind.has_image() {
                        self.absent[absent_start + field / 8] |= 1 << (field % 8);
                        self.needs.absent = true;
                    }
                }
            }
        }
        self.needs.kind |= row.head.kind != RowKind::Value;
        self.needs.deadline |= row.head.deadline.is_some();
        self.needs.field_deadlines |= !row.head.field_deadlines.is_empty();
        self.needs.event_id |= !row.head.event_id.is_empty();
        Ok(())
    }

    /// The rows, in the order they were added.
    ///
    /// # Errors
    /// A string is not UTF-8.
    pub fn finish(self) -> Result<UnsortedRows> {
        let needs = self.needs;
        let keep = |needed: bool, builder: ColumnBuilder| needed.then(|| builder.finish()).transpose();
        let width = i32::try_from(self.schema.absent_bytes()).map_err(|_| Error::invalid("too many features"))?;
        let absent: ArrayRef = std::sync::Arc::new(
            arrow_array::FixedSizeBinaryArray::try_new(width, self.absent.into(), None)
                .map_err(crate::history::column_builder::arrow_fault)?,
        );
        let columns = RowColumns {
            event_ts: self.event_ts.into(),
            created: keep(self.schema.declares_created(), self.created)?,
            seq: self.seq.into(),
            kind: needs.kind.then(|| std::sync::Arc::new(arrow_array::UInt8Array::from(self.kind)) as ArrayRef),
            absent: needs.absent.then_some(absent),
            deadline: keep(needs.deadline, self.deadline)?,
            field_deadlines: keep(needs.field_deadlines, self.field_deadlines)?,
            event_id: keep(needs.event_id, self.event_id)?,
            features: self.features.into_iter().map(|builder| builder.finish().map(Some)).collect::<Result<_>>()?,
        };
        Ok(UnsortedRows { hashes: self.hashes, keys: self.keys, columns })
    }
}
