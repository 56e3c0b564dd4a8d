//! The writer's side of a slot: the row it becomes, before it is stored.

use super::layout::{EVENT_TS, FLAG_ASK_HISTORY, FLAG_CREATED, FLAGS, KEY_LEN, KIND, SEQ, STATES};
use super::slot::{HEAP_WORDS_MAX, SlotCopy};
use crate::error::{Error, Result};
use crate::format::row::{FieldState, RowKind, RowRef, set_field_state, states_len_bytes};

impl SlotCopy {
    /// Becomes the slot of `row`: all but its header and heap word.
    ///
    /// # Errors
    /// The row is not of this table's shape.
    pub(super) fn fill(&mut self, hash: u64, row: &RowRef<'_>, seq: u64) -> Result<()> {
        let SlotCopy { layout, words, heap, .. } = self;
        let field_count = layout.shape.row.field_count();
        if layout.shape.key_bytes.is_some_and(|len| len != row.key.len()) || row.field_count > field_count {
            return Err(Error::invalid("the row is not of this table's shape"));
        }
        if row.head.created.is_some() && layout.created_at.is_none() {
            return Err(Error::invalid("the row has a created timestamp and its view declares none"));
        }
        let key_len = u16::try_from(row.key.len()).map_err(|_| Error::invalid("the entity key is too long"))?;
        heap.clear();
        words.fill([0; 8]);
        words[SEQ.start / 8] = seq.to_le_bytes();
        words[EVENT_TS.start / 8] = row.head.event_ts.to_le_bytes();
        let mut flags = 0;
        if let (Some(created), Some(at)) = (row.head.created, layout.created_at) {
            words[at / 8] = created.to_le_bytes();
            flags |= FLAG_CREATED;
        }
        if row.head.deadline.is_some() || !row.head.field_deadlines.is_empty() {
            flags |= FLAG_ASK_HISTORY;
        }
        let key_at = layout.key_at;
        let is_long_key = layout.is_long_key(row.key.len());
        if is_long_key {
            words[key_at / 8 + 1] = hash.to_le_bytes();
            push_padded(row.key, heap);
        }
        let bytes = words.as_flattened_mut();
        if !is_long_key {
            bytes[key_at..key_at + row.key.len()].copy_from_slice(row.key);
        }
        bytes[KEY_LEN].copy_from_slice(&key_len.to_le_bytes());
        bytes[KIND] = row.head.kind as u8;
        if row.head.kind == RowKind::Value {
            let states = states_len_bytes(row.field_count);
            let variable_start = layout.shape.row.variable_start(row.field_count);
            let too_short = || Error::invalid("the row's image is cut short");
            let (front, variable) = row.image.split_at_checked(variable_start).ok_or_else(too_short)?;
            bytes[STATES..STATES + states].copy_from_slice(&front[..states]);
            for field in row.field_count..field_count {
                set_field_state(&mut bytes[STATES..], field, FieldState::Null);
            }
            let fixed = &front[states..];
            bytes[layout.fixed_at..layout.fixed_at + fixed.len()].copy_from_slice(fixed);
            if heap.len() + variable.len().div_ceil(8) > HEAP_WORDS_MAX {
                flags |= FLAG_ASK_HISTORY;
            } else {
                push_padded(variable, heap);
            }
        }
        bytes[FLAGS] = flags;
        Ok(())
    }
}

fn push_padded(bytes: &[u8], out: &mut Vec<[u8; 8]>) {
    let (whole, rest) = bytes.as_chunks::<8>();
    out.extend_from_slice(whole);
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        out.push(last);
    }
}
