//! A key of the keyspace as it was: its rows, back to the last one before which nothing matters, done again.

use std::sync::Arc;

use crate::engine::picture::ViewPicture;
use crate::engine::run_source::{run_record, run_slices};
use crate::error::{Error, Result};
use crate::format::keyspace::{Change, JOIN_KEYS, KeyName, VIEW_ID, parse_key, push_key, read_change};
use crate::format::row::{RowRef, push_record};
use crate::history::RunFile;
use crate::key::key_hash;
use crate::keyspace::{Key, Keyspace};
use crate::tail::TailSegment;

/// Where the keyspace is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Rows up to this event time.
    pub at: i64,
    /// Rows up to this number.
    pub known_at: u64,
}

/// Rows of the keyspace, in runs and tail.
pub(super) struct Rows<'a> {
    view: &'a ViewPicture,
    tail: &'a [Arc<TailSegment>],
    hash_seed: u64,
    files: Vec<&'a RunFile>,
}

/// A row: its number, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowAt {
    seq: u64,
    /// Which run file, or which segment of the tail after those.
    source: usize,
    row: usize,
}

/// A row, and its number.
struct Row {
    seq: u64,
    record: Vec<u8>,
}

impl<'a> Rows<'a> {
    pub fn new(view: &'a ViewPicture, tail: &'a [Arc<TailSegment>], hash_seed: u64) -> Result<Rows<'a>> {
        let files = view.runs.iter().map(|run| run.open()).collect::<Result<Vec<_>>>()?;
        // Index, times and numbers are verified.
        files.iter().try_for_each(|file| run_slices(file, JOIN_KEYS.len()).map(drop))?;
        Ok(Rows { view, tail, hash_seed, files })
    }

    /// The key as it was at a moment, if it was there.
    ///
    /// # Errors
    /// A run is damaged.
    pub fn key_at(&self, key: KeyName<'_>, moment: Moment) -> Result<Option<Key>> {
        // A key that took another over goes back to that one's rows, and so on: the last of these comes first.
        let mut episodes = Vec::new();
        let (mut name, mut known_at) = ((key.0, key.1.to_vec()), moment.known_at);
        loop {
            let rows = self.since_reset((name.0, &name.1), Moment { known_at, ..moment })?;
            let before = rows.first().map(|first| (first.seq, self.taken_over(first)));
            episodes.push((name.clone(), rows));
            match before {
                Some((seq, Some(other))) => (name, known_at) = (other, seq - 1),
                _ => break,
            }
        }
        let mut keyspace = Keyspace::new(self.hash_seed);
        for ((database, name), rows) in episodes.iter().rev() {
            for row in rows {
                let (row, _) = RowRef::parse(&row.record, &self.view.layout).map_err(Error::invalid)?;
                let (_, change) = read_change(&row, &self.view.layout).map_err(Error::invalid)?;
                keyspace.replay((*database, name), change, row.head.event_ts);
            }
        }
        Ok(keyspace.get(key, moment.at).cloned())
    }

    /// The key that a row says its own took over.
    fn taken_over(&self, row: &Row) -> Option<(u8, Vec<u8>)> {
        let (row, _) = RowRef::parse(&row.record, &self.view.layout).ok()?;
        match read_change(&row, &self.view.layout).ok()?.1 {
            Change::TakeOver((database, name)) => Some((database, name.to_vec())),
            _ => None,
        }
    }

    /// Rows of a key up to a moment, from the last on before which nothing matters.
    fn since_reset(&self, key: KeyName<'_>, moment: Moment) -> Result<Vec<Row>> {
        let truncated = self.truncated(key.0, moment)?;
        let mut found = Vec::new();
        for at in self.places(key, moment)?.into_iter().rev() {
            if at.seq < truncated {
                break;
            }
            let record = self.record(key, at)?;
            let (row, _) = RowRef::parse(&record, &self.view.layout).map_err(Error::invalid)?;
            let (_, change) = read_change(&row, &self.view.layout).map_err(Error::invalid)?;
            let is_reset = matches!(change, Change::SetString(..) | Change::Delete | Change::TakeOver(_));
            // Of the empty key's rows, those of its database are none of its own.
            if change != Change::Truncate {
                found.push(Row { seq: at.seq, record });
            }
            if is_reset {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    /// The number of the last row up to a moment that emptied a database; 0 for none.
    fn truncated(&self, database: u8, moment: Moment) -> Result<u64> {
        for at in self.places((database, &[]), moment)?.into_iter().rev() {
            let record = self.record((database, &[]), at)?;
            let (row, _) = RowRef::parse(&record, &self.view.layout).map_err(Error::invalid)?;
            if read_change(&row, &self.view.layout).map_err(Error::invalid)?.1 == Change::Truncate {
                return Ok(at.seq);
            }
        }
        Ok(0)
    }

    /// Where the rows of a key up to a moment are, by number.
    fn places(&self, key: KeyName<'_>, moment: Moment) -> Result<Vec<RowAt>> {
        let (key, hash) = self.encoded(key);
        let mut places = Vec::new();
        for (source, file) in self.files.iter().enumerate() {
            let base = file.seq_base();
            for row in file.find(hash, &key)?.into_iter().flatten() {
                let seq = base + file.seq()[row];
                if seq <= moment.known_at && file.event_ts()[row] <= moment.at {
                    places.push(RowAt { seq, source, row });
                }
            }
        }
        for (segment, tail) in (self.files.len()..).zip(self.tail) {
            let views = tail.read();
            let rows = views.get(&VIEW_ID).into_iter();
            let rows = rows.flat_map(|rows| rows.descending(hash, &key, moment.at, moment.known_at));
            places.extend(rows.map(|(number, row, _)| RowAt { seq: row.seq, source: segment, row: number as usize }));
        }
        places.sort_unstable();
        Ok(places)
    }

    fn record(&self, key: KeyName<'_>, at: RowAt) -> Result<Vec<u8>> {
        let (key, _) = self.encoded(key);
        if let Some(file) = self.files.get(at.source) {
            return run_record(file, at.row, &key, &self.view.layout);
        }
        let views = self.tail[at.source - self.files.len()].read();
        let number = u32::try_from(at.row).map_err(|_| Error::invalid("a row of the tail has no such number"))?;
        let rows = views.get(&VIEW_ID).ok_or_else(|| Error::invalid("a segment of the tail lost its rows"))?;
        let (_, row) = rows.row(number);
        let mut record = Vec::new();
        push_record(&row.head, row.key, row.field_count, row.image, &mut record)?;
        Ok(record)
    }

    fn encoded(&self, key: KeyName<'_>) -> (Vec<u8>, u64) {
        let mut encoded = Vec::new();
        push_key(key, &mut encoded);
        debug_assert_eq!(parse_key(&encoded), Some(key));
        let hash = key_hash(self.hash_seed, &encoded);
        (encoded, hash)
    }
}
