//! Writes that are done once, however often they are asked for: with the rows the log has a receipt, by which who asks again is told
//! what was done.

use super::core::Engine;
use super::picture::ViewPicture;
use crate::error::{Error, Result};
use crate::format::accept::Accepted;
use crate::keyspace::{KeyValue, RECEIPTS};
use crate::request::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_TIME};

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
    /// xxh3-128 of the rows.
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
    /// The key is empty or too long. `Refused`: other rows were written with it. As there.
    pub fn write_once(&self, view: &ViewPicture, accepted: &Accepted, source: u32, key: &str) -> Result<Once> {
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(Error::invalid(format!(
                "an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes, not {}",
                key.len()
            ))
            .remedy("a random UUID does well"));
        }
        let batch = self.encode(view, accepted, source)?;
        let content = xxhash_rust::xxh3::xxh3_128(batch.frame.bytes());
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
            let first_seq = stage.next_seq;
            stage.put_encoded(batch)?;
            let deadline = now.saturating_add(i64::try_from(IDEMPOTENCY_TIME.as_micros()).unwrap_or(i64::MAX));
            let receipt = Receipt { content, first_seq, rows };
            keyspace.set_string((RECEIPTS, &name), receipt.to_bytes(), Some(deadline));
            Ok(Once { first_seq, rows, was_before: false })
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_read_as_they_are_written() {
        let receipt = Receipt { content: u128::MAX - 5, first_seq: 1 << 40, rows: 7 };
        assert_eq!(Receipt::parse(&receipt.to_bytes()), Some(receipt));
        assert_eq!(Receipt::parse(&receipt.to_bytes()[1..]), None);
        assert_eq!(Receipt::parse(&[receipt.to_bytes(), vec![0]].concat()), None);
    }
}
