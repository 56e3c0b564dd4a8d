//! Keys out of a checkpoint and the rows since.

use std::collections::HashMap;

use super::table::CURSOR_MAX;
use super::{DATABASES_KEPT, KeyValue, Keyspace};
use crate::format::checkpoint::{BlockHeader, BlockKind, Header, Place};
use crate::format::keyspace::{Change, KeyName, layout, read_change};
use crate::format::row::{RowLayout, RowRef};

/// Keys on their way into memory: first the blocks of a checkpoint, where there is one, then the rows that it does not have.
#[derive(Debug)]
pub struct Restoring {
    keyspace: Keyspace,
    layout: RowLayout,
    /// As of which number the keys before each of these places are.
    ends: Vec<(Place, u64)>,
    /// As of which number the keys are that were written once more.
    again: HashMap<(u8, Box<[u8]>), u64>,
    /// Rows up to the first number are in all blocks, those above the last in none.
    seqs: (u64, u64),
}

impl Restoring {
    /// No keys yet.
    pub fn new(seed: u64) -> Restoring {
        Restoring {
            keyspace: Keyspace::new(seed),
            layout: layout(),
            ends: Vec::new(),
            again: HashMap::new(),
            seqs: (0, 0),
        }
    }

    /// Takes the keys of a checkpoint's next block.
    ///
    /// # Errors
    /// What is wrong with it: the checkpoint is not to be used.
    pub fn block(&mut self, block: &BlockHeader, records: &[u8]) -> Result<(), &'static str> {
        let (before, seq) = self.ends.last().copied().unwrap_or_default();
        if block.end < before || block.seq < seq {
            return Err("a block goes back");
        }
        let mut rest = records;
        while !rest.is_empty() {
            let (row, after) = RowRef::parse(rest, &self.layout)?;
            let (key, change) = read_change(&row, &self.layout)?;
            if !self.goes_on(key, change) {
                return Err("a value has a gap");
            }
            if block.kind == BlockKind::Again && change == Change::Delete {
                self.again.insert((key.0, key.1.into()), block.seq);
            }
            self.keyspace.replay(key, change, row.head.event_ts);
            rest = after;
        }
        match self.ends.last_mut() {
            Some(last) if last.1 == block.seq => last.0 = block.end,
            _ => self.ends.push((block.end, block.seq)),
        }
        Ok(())
    }

    /// Whether what is written to a value begins within it: no memory is asked for that the block has no bytes for.
    fn goes_on(&self, key: KeyName<'_>, change: Change<'_>) -> bool {
        let held = self.keyspace.get(key, i64::MIN).map(|key| &key.value);
        let (offset, len) = match (change, held) {
            (Change::WriteString(offset, _), Some(KeyValue::String(held))) => (offset, held.bytes.len()),
            (Change::WriteField(field, offset, _), Some(KeyValue::Hash(hash))) => {
                (offset, hash.get(field, i64::MIN).map_or(0, <[u8]>::len))
            }
            (Change::WriteString(offset, _) | Change::WriteField(_, offset, _), _) => (offset, 0),
            _ => return true,
        };
        offset <= len as u64
    }

    /// All blocks of the checkpoint were taken.
    ///
    /// # Errors
    /// What is wrong with it: the checkpoint is not to be used.
    pub fn end_blocks(&mut self, header: &Header) -> Result<(), &'static str> {
        let has = |seq: u64| (header.first_seq..=header.last_seq).contains(&seq);
        let ends_at = self.ends.last().map(|(end, _)| usize::from(end.database));
        if ends_at != Some(DATABASES_KEPT) || !self.ends.iter().all(|(_, seq)| has(*seq)) {
            return Err("it does not have all keys");
        }
        self.seqs = (header.first_seq, header.last_seq);
        self.keyspace.forgotten_at = self.keyspace.forgotten_at.max(header.forgotten_at_us);
        Ok(())
    }

    /// Rows up to this number need not be taken.
    pub fn first_seq(&self) -> u64 {
        self.seqs.0
    }

    /// Does what a row says, as far as the blocks do not have it already. Rows are taken in the order of their numbers.
    pub fn row(&mut self, seq: u64, key: KeyName<'_>, change: Change<'_>, at: i64) {
        let (first, last) = self.seqs;
        if seq > last {
            return self.keyspace.replay(key, change, at);
        }
        if seq <= first {
            return;
        }
        if change == Change::Truncate {
            return self.truncate(key.0, seq);
        }
        let (begin, end) = self.seqs_of(key);
        if seq > end {
            self.keyspace.replay(key, change, at);
        } else if seq > begin {
            self.patch(seq, key, change);
        }
    }

    /// Does what a row says that came while its hash was walked in parts, to those parts that do not have it. The key stays: what is left of
    /// it in between is no state that it ever had. Where it went meanwhile, or another came, it was written once more.
    fn patch(&mut self, seq: u64, key: KeyName<'_>, change: Change<'_>) {
        let lacks = |restoring: &Restoring, field| restoring.seq_at(restoring.place(key, Some(field))) < seq;
        let (limits, seed) = (self.keyspace.packed_limits, self.keyspace.seed);
        match change {
            Change::SetFields(pairs) => {
                for (field, value) in pairs.iter() {
                    if lacks(self, field) {
                        self.keyspace.with_hash(key, |hash| drop(hash.set(field, value, limits, seed)));
                    }
                }
            }
            Change::WriteField(field, offset, bytes) if lacks(self, field) => {
                if let Ok(offset) = usize::try_from(offset) {
                    self.keyspace.write_field(key, field, offset, bytes);
                }
            }
            Change::DeleteField(field) if lacks(self, field) => {
                self.keyspace.with_hash(key, |hash| drop(hash.remove(field)));
            }
            Change::SetFieldDeadline(field, deadline) if lacks(self, field) => {
                self.keyspace.put_field_deadline(key, field, deadline);
            }
            Change::SetDeadline(deadline) => {
                self.keyspace.put_deadline(key, deadline);
            }
            _ => {}
        }
    }

    /// The keys.
    pub fn finish(self) -> Keyspace {
        self.keyspace
    }

    /// The number as of which a key is in the blocks; of one in parts, that of the first of them and that of the last.
    fn seqs_of(&self, key: KeyName<'_>) -> (u64, u64) {
        if let Some(seq) = self.again.get(&(key.0, Box::from(key.1))) {
            return (*seq, *seq);
        }
        let place = self.place(key, None);
        (self.seq_at(place), self.seq_at(Place { field: CURSOR_MAX, ..place }))
    }

    fn place(&self, (database, name): KeyName<'_>, field: Option<&[u8]>) -> Place {
        let field = field.map_or(0, |field| self.keyspace.cursor(field));
        Place { database, key: self.keyspace.cursor(name), field }
    }

    fn seq_at(&self, place: Place) -> u64 {
        let block = self.ends.partition_point(|(end, _)| *end <= place);
        self.ends.get(block).map_or(u64::MAX, |(_, seq)| *seq)
    }

    /// Takes the keys of a database away that were walked before it was emptied.
    fn truncate(&mut self, database: u8, seq: u64) {
        let keys = self.keyspace.iter(database, i64::MIN).map(|key| &key.name);
        let gone: Vec<_> = keys.filter(|name| self.seqs_of((database, name)).0 < seq).cloned().collect();
        for name in gone {
            self.keyspace.take((database, &name));
        }
    }
}
