//! Writes that are done once, however often they are asked for: with the rows the log has a receipt, by which who asks again is told
//! what was done.

use arrow_array::Array as _;
use xxhash_rust::xxh3::Xxh3;

use super::core::Engine;
use super::picture::ViewPicture;
use super::write::{by_ordinal, event_ids};
use crate::error::{Error, Result};
use crate::format::accept::Accepted;
use crate::format::columns::{RowColumns, encode_keys, encode_records};
use crate::format::row::RowLayout;
use crate::keyspace::{KeyValue, RECEIPTS};
use crate::request::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_TIME};

/// So many receipts that are past their time go with each that comes.
const FORGOTTEN_MAX: usize = 8;

/// What a write did that is done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// The number of its first row.
    pub first_seq: u64,
    /// How many rows.
    pub rows: u32,
    /// It was done before.
    pub was_before: bool,
}

/// What the keyspace says of such a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Receipt {
    /// As [`content_of`] has it.
    content: u128,
    first_seq: u64,
    rows: u32,
}

impl Receipt {
    fn to_bytes(self) -> Vec<u8> {
        [&self.content.to_le_bytes()[..], &self.first_seq.to_le_bytes(), &self.rows.to_le_bytes()].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Receipt> {
        let (content, rest) = bytes.split_first_chunk()?;
        let (first_seq, rest) = rest.split_first_chunk()?;
        let (rows, []) = rest.split_first_chunk()? else { return None };
        let (content, first_seq) = (u128::from_le_bytes(*content), u64::from_le_bytes(*first_seq));
        Some(Receipt { content, first_seq, rows: u32::from_le_bytes(*rows) })
    }
}

impl Engine {
    /// [`Engine::write`], unless a write of the same rows with this key was done already.
    ///
    /// # Errors
    /// The key is empty or too long. `Refused`: other rows were written with it, or too many keys are known. As there.
    pub fn write_once(&self, view: &ViewPicture, accepted: &Accepted, source: u32, key: &str) -> Result<Once> {
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(Error::invalid(format!(
                "an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes, not {}",
                key.len()
            ))
            .remedy("a random UUID does well"));
        }
        let content = content_of(view, accepted)?;
        let batch = self.encode(view, accepted, source)?;
        let rows = batch.frame.row_count();
        let name = [&view.record.id.to_le_bytes()[..], key.as_bytes()].concat();
        let live = self.keyspace()?;
        self.prepare_keyspace()?;
        self.transact(live, |keyspace, stage| {
            let now = stage.now;
            if let Some(found) = keyspace.get((RECEIPTS, &name), now) {
                let receipt = match &found.value {
                    KeyValue::String(string) => Receipt::parse(&string.bytes),
                    KeyValue::Hash(_) => None,
                };
                let receipt = receipt.ok_or_else(|| Error::damaged(self.reads.dir(), "a write's receipt is none"))?;
                return match receipt.content == content {
                    true => Ok(Once { first_seq: receipt.first_seq, rows: receipt.rows, was_before: true }),
                    false => Err(Error::refused(format!("other rows were written with the idempotency key {key}"))
                        .remedy("give every write a key of its own, and send it again with the same rows alone")),
                };
            }
            // Nobody else may see to it, where no client of the Redis protocol is served.
            (0..FORGOTTEN_MAX).take_while(|_| keyspace.forget_expired_receipt(now)).for_each(drop);
            check_room(keyspace.len(RECEIPTS))?;
            let first_seq = stage.next_seq;
            stage.put_encoded(batch)?;
            let deadline = now.saturating_add(i64::try_from(IDEMPOTENCY_TIME.as_micros()).unwrap_or(i64::MAX));
            let receipt = Receipt { content, first_seq, rows };
            keyspace.set_string((RECEIPTS, &name), receipt.to_bytes(), Some(deadline));
            Ok(Once { first_seq, rows, was_before: false })
        })?
    }
}

/// Says the same of the same rows, whenever they come: xxh3-128 of them as they were handed over. A created timestamp that a delete leaves
/// to the clock is none here, and a feature that no row has a value of is not looked at, for the view may have gained it since.
fn content_of(view: &ViewPicture, accepted: &Accepted) -> Result<u128> {
    let mut hasher = Xxh3::new();
    let mut layout = Vec::new();
    let mut features = Vec::new();
    let columns = view.record.fields.iter().zip(view.layout.types()).zip(by_ordinal(view, accepted)?);
    for ((field, dtype), column) in columns.filter(|(_, column)| column.null_count() < column.len()) {
        hasher.update(&field.name.len().to_le_bytes());
        hasher.update(field.name.as_bytes());
        layout.push(dtype.clone());
        features.push(column);
    }
    hasher.update(&layout.len().to_le_bytes());
    let keys = encode_keys(&view.key_schema, &accepted.keys, accepted.row_count)?;
    let ids = event_ids(view, accepted)?;
    let columns = RowColumns {
        keys: &keys,
        event_ts: &accepted.event_ts,
        created: accepted.created.as_ref(),
        event_ids: ids.as_ref(),
        features: &features,
        deleted: accepted.deleted.as_ref(),
    };
    let mut records = Vec::new();
    encode_records(&RowLayout::new(layout), &columns, &mut records, &mut Vec::new())?;
    hasher.update(&records);
    Ok(hasher.digest128())
}

/// Refuses a key beyond those that are known already.
fn check_room(known: usize) -> Result<()> {
    match known < IDEMPOTENCY_KEYS_MAX {
        true => Ok(()),
        false => Err(Error::refused(format!("{known} idempotency keys are known already, and no more are kept"))
            .remedy("a key is forgotten a day after its write; write more rows at once, or without a key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_keys_are_known_and_no_more() {
        assert!(check_room(IDEMPOTENCY_KEYS_MAX - 1).is_ok());
        assert!(check_room(IDEMPOTENCY_KEYS_MAX).unwrap_err().to_string().contains("without a key"));
    }

    #[test]
    fn receipts_are_read_as_they_are_written() {
        let receipt = Receipt { content: u128::MAX - 5, first_seq: 1 << 40, rows: 7 };
        assert_eq!(Receipt::parse(&receipt.to_bytes()), Some(receipt));
        assert_eq!(Receipt::parse(&receipt.to_bytes()[1..]), None);
        assert_eq!(Receipt::parse(&[receipt.to_bytes(), vec![0]].concat()), None);
    }
}
