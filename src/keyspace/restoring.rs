//! Keys out of a checkpoint and the rows since.

use std::collections::HashMap;

use super::{DATABASES, Keyspace};
use crate::format::checkpoint::{BlockHeader, BlockKind, Header, Place};
use crate::format::keyspace::{Change, KeyName, Pairs, layout, push_pair, read_change};
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

    /// All blocks of the checkpoint were taken.
    ///
    /// # Errors
    /// What is wrong with it: the checkpoint is not to be used.
    pub fn end_blocks(&mut self, header: &Header) -> Result<(), &'static str> {
        let has = |seq: u64| (header.first_seq..=header.last_seq).contains(&seq);
        let ends_at = self.ends.last().map(|(end, _)| usize::from(end.database));
        if ends_at != Some(DATABASES) || !self.ends.iter().all(|(_, seq)| has(*seq)) {
            return Err("it does not have all keys");
        }
        self.seqs = (header.first_seq, header.last_seq);
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
        let field = match change {
            Change::WriteField(field, ..) | Change::DeleteField(field) | Change::SetFieldDeadline(field, _) => {
                Some(field)
            }
            _ => None,
        };
        if let Change::SetFields(pairs) = change {
            let mut missing = Vec::new();
            for (field, value) in pairs.iter().filter(|(field, _)| self.seq_of(key, Some(field)) < seq) {
                push_pair(field, value, &mut missing);
            }
            if !missing.is_empty() {
                self.keyspace.replay(key, Change::SetFields(Pairs::new(&missing)), at);
            }
        } else if self.seq_of(key, field) < seq {
            self.keyspace.replay(key, change, at);
        }
    }

    /// The keys.
    pub fn finish(self) -> Keyspace {
        self.keyspace
    }

    /// The number as of which a key, or a field of it, is in the blocks.
    fn seq_of(&self, (database, name): KeyName<'_>, field: Option<&[u8]>) -> u64 {
        if let Some(seq) = self.again.get(&(database, Box::from(name))) {
            return *seq;
        }
        let key = self.keyspace.cursor(name);
        let field = field.map_or(0, |field| self.keyspace.cursor(field));
        let place = Place { database, key, field };
        let block = self.ends.partition_point(|(end, _)| *end <= place);
        self.ends.get(block).map_or(u64::MAX, |(_, seq)| *seq)
    }

    /// Takes the keys of a database away that were walked before it was emptied.
    fn truncate(&mut self, database: u8, seq: u64) {
        let keys = self.keyspace.iter(database, i64::MIN).map(|key| &key.name);
        let gone: Vec<_> = keys.filter(|name| self.seq_of((database, name), None) < seq).cloned().collect();
        for name in gone {
            self.keyspace.take((database, &name));
        }
    }
}
