//! The row: one encoding, shared by the log, the in-memory tail and the latest table.
//!
//! ```text
//! record := u32 length of what follows
//!           u8 kind | u8 flags | u16 key length | u16 field count | u16 zero
//!           i64 event timestamp
//!           [i64 created] [i64 row deadline] [u16 count, count x (u16 field, i64 deadline)] [u16 length, event id]
//!           key bytes
//!           image
//! image  := field states, 2 bits each, 4 to a byte | fixed part | variable part
//! ```
//!
//! The fixed part holds each field in the order fields were added to the view version, packed.
//! A variable-length field keeps a 16-byte reference there: its length (u32), then either its
//! bytes, when they are at most 12, or its first 4 bytes and a u64 position within the variable
//! part, which a slot keeps in its heap block.

mod encode;

pub use encode::{push_image, push_image_of, push_record, raise_created};

pub use crate::format::row_kind::{RowKind, keyspace};
use crate::format::value::decode_value;
use crate::value::{DataType, Value};

/// Most features a view version may have.
pub const FIELDS_MAX: usize = crate::definition::FEATURES_MAX;
/// Variable-length values up to this length lie in the fixed part.
pub const INLINE_BYTES_MAX: usize = 12;
/// Width of a reference to a variable-length value.
pub const REFERENCE_BYTES: usize = 16;
/// Bytes of a record before its optional parts, the length included.
pub const RECORD_HEADER_BYTES: usize = 20;

/// The state of one field of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FieldState {
    /// The row does not speak of this field: NOT_FOUND.
    Absent = 0,
    /// The field is null.
    Null = 1,
    /// The field has a value.
    Value = 2,
}

impl FieldState {
    fn from_bits(bits: u8) -> Option<FieldState> {
        match bits & 3 {
            0 => Some(FieldState::Absent),
            1 => Some(FieldState::Null),
            2 => Some(FieldState::Value),
            _ => None,
        }
    }
}

/// The record has a created timestamp.
pub const FLAG_CREATED: u8 = 1;
/// The record has a row deadline.
pub const FLAG_ROW_DEADLINE: u8 = 2;
/// The record has field deadlines.
pub const FLAG_FIELD_DEADLINES: u8 = 4;
/// The record has an event id.
pub const FLAG_EVENT_ID: u8 = 8;
const FLAGS_KNOWN: u8 = FLAG_CREATED | FLAG_ROW_DEADLINE | FLAG_FIELD_DEADLINES | FLAG_EVENT_ID;

/// Bytes that the states of `field_count` fields take.
pub const fn states_len_bytes(field_count: usize) -> usize {
    field_count.div_ceil(4)
}

/// Where each field of a view version lies in an image. Fields are only ever added, so an image
/// with fewer fields than the layout is an older row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    types: Vec<DataType>,
    /// Start of each field in the fixed part; one more entry for its end.
    offsets: Vec<usize>,
}

impl RowLayout {
    /// The layout of fields of these types, in the order they were added.
    pub fn new(types: impl IntoIterator<Item = DataType>) -> Self {
        let types: Vec<DataType> = types.into_iter().collect();
        let mut offsets = vec![0];
        let mut end = 0;
        for data_type in &types {
            end += data_type.fixed_width_bytes();
            offsets.push(end);
        }
        RowLayout { types, offsets }
    }

    /// The fields' types.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    /// How many fields there are.
    pub fn field_count(&self) -> usize {
        self.types.len()
    }

    /// The range of `field` in an image of `field_count` fields.
    pub fn fixed_range(&self, field_count: usize, field: usize) -> std::ops::Range<usize> {
        let start = states_len_bytes(field_count);
        start + self.offsets[field]..start + self.offsets[field + 1]
    }

    /// Where the variable part begins in an image of `field_count` fields: the length of a slot's image.
    pub fn variable_start(&self, field_count: usize) -> usize {
        states_len_bytes(field_count) + self.offsets[field_count]
    }
}

/// The state of `field` in the states that begin `image`.
///
/// A bit pair that no writer writes reads as absent; [`RowRef::parse`] refuses it beforehand.
pub fn field_state(image: &[u8], field: usize) -> FieldState {
    FieldState::from_bits(image[field / 4] >> (field % 4 * 2)).unwrap_or(FieldState::Absent)
}

/// Sets the state of `field` in the states that begin `image`.
pub fn set_field_state(image: &mut [u8], field: usize, state: FieldState) {
    let shift = field % 4 * 2;
    let byte = &mut image[field / 4];
    *byte = *byte & !(3 << shift) | (state as u8) << shift;
}

/// A reference to a variable-length value, as it stands in the fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The bytes themselves, at most [`INLINE_BYTES_MAX`].
    Inline(&'a [u8]),
    /// Length and position of the bytes elsewhere.
    Elsewhere {
        /// The bytes' length.
        len_bytes: usize,
        /// Their start in the variable part.
        position: u64,
    },
}

impl<'a> Reference<'a> {
    /// Reads a reference from its [`REFERENCE_BYTES`].
    pub fn read(fixed: &'a [u8]) -> Reference<'a> {
        let len_bytes = u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]) as usize;
        if len_bytes <= INLINE_BYTES_MAX {
            return Reference::Inline(&fixed[4..4 + len_bytes]);
        }
        let mut position = [0; 8];
        position.copy_from_slice(&fixed[8..16]);
        Reference::Elsewhere { len_bytes, position: u64::from_le_bytes(position) }
    }

    /// Writes the reference to `bytes`, which lie at `position` unless they fit inline.
    pub fn write(bytes: &[u8], position: u64, fixed: &mut [u8]) {
        fixed.fill(0);
        let len_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        fixed[..4].copy_from_slice(&len_bytes.to_le_bytes());
        if bytes.len() <= INLINE_BYTES_MAX {
            fixed[4..4 + bytes.len()].copy_from_slice(bytes);
        } else {
            fixed[4..8].copy_from_slice(&bytes[..4]);
            fixed[8..16].copy_from_slice(&position.to_le_bytes());
        }
    }
}

/// The parts of a row before its key and image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHead<'a> {
    /// What the row says.
    pub kind: RowKind,
    /// When it was true, in microseconds since 1970.
    pub event_ts: i64,
    /// When the source recorded it.
    pub created: Option<i64>,
    /// From this instant on the row is NOT_FOUND.
    pub deadline: Option<i64>,
    /// Encoded (u16 field, i64 deadline) pairs, fields ascending; empty for none.
    pub field_deadlines: &'a [u8],
    /// What tells it apart from events of equal key and time; empty for none.
    pub event_id: &'a [u8],
}

impl RowHead<'_> {
    /// A head without the optional parts.
    pub fn new(kind: RowKind, event_ts: i64) -> RowHead<'static> {
        RowHead { kind, event_ts, created: None, deadline: None, field_deadlines: &[], event_id: &[] }
    }
}

/// A row record in place. Whoever holds one holds a well-formed row of its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The parts before the key.
    pub head: RowHead<'a>,
    /// The encoded entity key.
    pub key: &'a [u8],
    /// How many fields the image has.
    pub field_count: usize,
    /// States, fixed part, variable part; empty for rows that are no values.
    pub image: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// Takes the record at the front of `bytes`; gives it and what follows.
    ///
    /// # Errors
    /// What is wrong with the bytes, without a place.
    pub fn parse(bytes: &'a [u8], layout: &RowLayout) -> Result<(RowRef<'a>, &'a [u8]), &'static str> {
        let (row, rest) = Self::parse_unchecked_image(bytes)?;
        row.check_image(layout)?;
        Ok((row, rest))
    }

    /// [`RowRef::parse`] without a look at the image: for bytes that were checked before.
    pub fn parse_unchecked_image(bytes: &'a [u8]) -> Result<(RowRef<'a>, &'a [u8]), &'static str> {
        let (len, body) = bytes.split_first_chunk::<4>().ok_or("row cut short")?;
        let (mut body, rest) =
            body.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or("row longer than its frame")?;
        let fixed = take_front(&mut body, 16)?;
        let kind = RowKind::from_byte(fixed[0]).ok_or("unknown row kind")?;
        let flags = fixed[1];
        if flags & !FLAGS_KNOWN != 0 || (!kind.is_of_keyspace() && fixed[6..8] != [0, 0]) {
            return Err("unknown row flags");
        }
        let keyspace_bytes = [fixed[6], fixed[7]];
        let key_len = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
        let field_count = usize::from(u16::from_le_bytes([fixed[4], fixed[5]]));
        let event_ts = read_i64(&fixed[8..16]);
        let created = if flags & FLAG_CREATED != 0 { Some(read_i64(take_front(&mut body, 8)?)) } else { None };
        let deadline = if flags & FLAG_ROW_DEADLINE != 0 { Some(read_i64(take_front(&mut body, 8)?)) } else { None };
        let mut field_deadlines: &[u8] = &[];
        if flags & FLAG_FIELD_DEADLINES != 0 {
            let count = take_front(&mut body, 2)?;
            field_deadlines = take_front(&mut body, usize::from(u16::from_le_bytes([count[0], count[1]])) * 10)?;
        }
        let mut event_id: &[u8] = &[];
        if flags & FLAG_EVENT_ID != 0 {
            let len = take_front(&mut body, 2)?;
            event_id = take_front(&mut body, usize::from(u16::from_le_bytes([len[0], len[1]])))?;
        }
        let key = take_front(&mut body, key_len)?;
        if kind.is_of_keyspace() && keyspace_bytes != encode::keyspace_bytes(kind, key) {
            return Err("a row of the keyspace names another database, or type, than it is of");
        }
        let head = RowHead { kind, event_ts, created, deadline, field_deadlines, event_id };
        Ok((RowRef { head, key, field_count, image: body }, rest))
    }

    fn check_image(&self, layout: &RowLayout) -> Result<(), &'static str> {
        if self.head.kind == RowKind::ViewTruncate && !self.is_bare() {
            return Err("a truncate of a view has a key, a deadline or an event id");
        }
        if !self.head.kind.has_image() {
            return if self.image.is_empty() { Ok(()) } else { Err("a row without values has an image") };
        }
        if self.field_count > layout.field_count() {
            return Err("row has more fields than its view");
        }
        let variable_start = layout.variable_start(self.field_count);
        if self.image.len() < variable_start {
            return Err("image cut short");
        }
        let variable_len = self.image.len() - variable_start;
        for field in 0..self.field_count {
            let bits = self.image[field / 4] >> (field % 4 * 2);
            let state = FieldState::from_bits(bits).ok_or("unknown field state")?;
            if state != FieldState::Value || !layout.types[field].is_variable() {
                continue;
            }
            if let Reference::Elsewhere { len_bytes, position } =
                Reference::read(&self.image[layout.fixed_range(self.field_count, field)])
            {
                let start = usize::try_from(position).map_err(|_| "reference out of the variable part")?;
                if start.checked_add(len_bytes).is_none_or(|end| end > variable_len) {
                    return Err("reference out of the variable part");
                }
            }
        }
        Ok(())
    }

    /// Whether it says nothing but its kind and its clocks.
    fn is_bare(&self) -> bool {
        let RowHead { deadline, field_deadlines, event_id, .. } = self.head;
        self.key.is_empty() && deadline.is_none() && field_deadlines.is_empty() && event_id.is_empty()
    }

    /// The state of `field`. A field added after the row was written is null; a row that is no
    /// value has no fields.
    pub fn state(&self, field: usize) -> FieldState {
        if !self.head.kind.has_image() {
            FieldState::Absent
        } else if field >= self.field_count {
            FieldState::Null
        } else {
            field_state(self.image, field)
        }
    }

    /// From when on `field` is gone.
    pub fn field_deadline(&self, field: usize) -> Option<i64> {
        let (pairs, _) = self.head.field_deadlines.as_chunks::<10>();
        let pair = pairs.iter().find(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) == field)?;
        Some(read_i64(&pair[2..]))
    }

    /// The bytes of a field whose state is [`FieldState::Value`]: its fixed bytes, or what its reference points to.
    pub fn field_bytes(&self, layout: &RowLayout, field: usize) -> &'a [u8] {
        let fixed = &self.image[layout.fixed_range(self.field_count, field)];
        if !layout.types[field].is_variable() {
            return fixed;
        }
        match Reference::read(fixed) {
            Reference::Inline(bytes) => bytes,
            Reference::Elsewhere { len_bytes, position } => {
                let start = layout.variable_start(self.field_count) + usize::try_from(position).unwrap_or(usize::MAX);
                &self.image[start..start + len_bytes]
            }
        }
    }

    /// The value of `field`: null where its state is not a value.
    pub fn value(&self, layout: &RowLayout, field: usize) -> Value {
        match self.state(field) {
            FieldState::Value => {
                decode_value(&layout.types[field], self.field_bytes(layout, field)).unwrap_or(Value::Null)
            }
            FieldState::Null | FieldState::Absent => Value::Null,
        }
    }
}

fn take_front<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], &'static str> {
    let (front, rest) = bytes.split_at_checked(len).ok_or("row cut short")?;
    *bytes = rest;
    Ok(front)
}

fn read_i64(bytes: &[u8]) -> i64 {
    let mut array = [0; 8];
    array.copy_from_slice(bytes);
    i64::from_le_bytes(array)
}

#[cfg(test)]
mod tests;
