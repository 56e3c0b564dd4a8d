//! All rows of a view version, in bulk: what exports, backups and people who look at everything read.
//!
//! A thread of its own walks runs and tail together (`walk`), key by key, and makes batches of what is in
//! sight (`columns`). The tail's rows are found once, at the start (`tail_rows`); whatever is written,
//! sealed or merged meanwhile changes nothing, because runs and tail are those of the picture taken.

mod columns;
mod tail_rows;
mod truncated;
mod walk;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use self::columns::Columns;
use self::truncated::Truncates;
use self::walk::{InSight, Walk};
use super::entity::entity_key;
use super::reads::{Reads, Sight};
use super::truncates;
use crate::definition::ViewRef;
use crate::error::{Error, Result};
use crate::key::key_hash;
use crate::registry::records::ViewRecord;
use crate::request::ScanOptions;
use crate::time::Timestamp;

/// Batches that wait to be taken.
const BATCHES_WAITING_MAX: usize = 1;

/// The rows of a view version, batch by batch. Rows of one key stand together, in row order: by event time, then
/// created time with absent first, then seq. Keys stand in an order that means nothing and differs between stores.
///
/// Columns: join keys, the event time under the name that the view's source gives it (`event_timestamp` where it gives
/// none), the created time where the view declares one, columns of the event id that are no features, features,
/// and `_deleted`, true for deletes, whose features are null. A truncate of the view is such a delete of each entity that has
/// values just before it. [`crate::Store::write`] takes such batches.
///
/// Memory is bounded: by some batches, and by what the tail says of the view's rows.
#[derive(Debug)]
pub struct Scan {
    schema: SchemaRef,
    view: Arc<ViewRecord>,
    known_at: u64,
    /// Taken when there is nothing more to come.
    batches: Option<Receiver<Result<RecordBatch>>>,
    worker: Option<JoinHandle<()>>,
}

impl Scan {
    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows up to this number are in it; also in the schema's metadata.
    pub fn known_at_seq(&self) -> u64 {
        self.known_at
    }

    /// The view's revision that names the columns.
    pub fn view(&self) -> &ViewRecord {
        &self.view
    }
}

impl Reads {
    /// Begins a scan of a view version.
    ///
    /// # Errors
    /// There is no such view; the range is empty; the entity's join keys are not the view's; the state of knowledge
    /// cannot be had. What is found damaged on the way comes out of the scan.
    pub fn scan(&self, view: &ViewRef, options: &ScanOptions, now: Timestamp) -> Result<Scan> {
        if let (Some(from), Some(to)) = (options.from, options.to)
            && from >= to
        {
            return Err(Error::invalid(format!("there is no time from {from} on and before {to}"))
                .remedy("the first of the two is included, the second is not: write the earlier one first"));
        }
        let known_at = match &options.known_at {
            Some(known_at) => Some(self.resolve_known_at(known_at, now)?),
            None => None,
        };
        let (record, walk) = self.with_sight(|sight| self.prepare_scan(sight, view, options, known_at))?;
        let schema = Arc::clone(walk.columns.schema());
        let known_at = walk.sight.known_at;
        let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
        let worker = std::thread::Builder::new()
            .name("asof-scan".into())
            .spawn(move || {
                // A send fails when the scan was dropped: nobody wants to know.
                if let Err(error) = walk.run(&mut |batch| sender.send(Ok(batch)).is_ok()) {
                    let _ = sender.send(Err(error));
                }
            })
            .map_err(|source| Error::io("start a thread", &self.dir, source))?;
        Ok(Scan { schema, view: record, known_at, batches: Some(receiver), worker: Some(worker) })
    }

    /// Everything that names, files and times come to. The files are open then, and stay readable.
    fn prepare_scan(
        &self,
        sight: &Sight,
        view: &ViewRef,
        options: &ScanOptions,
        known_at: Option<u64>,
    ) -> Result<(Arc<ViewRecord>, Walk)> {
        let picture = &sight.picture;
        let definitions_at = if options.definitions_current { None } else { known_at };
        let record = Arc::clone(picture.state.definitions_at(definitions_at).view(view)?);
        let known_at = known_at.unwrap_or(sight.seq).min(sight.seq);
        let view = Arc::clone(picture.view(record.id));
        let key = match &options.entity {
            Some(entity) => {
                let named: Vec<(&str, _)> = entity.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                let key = entity_key(&view, &named)?;
                Some((key_hash(self.hash_seed(), &key), key))
            }
            None => None,
        };
        let mut sight = InSight {
            known_at,
            from: options.from.map_or(i64::MIN, Timestamp::micros),
            to: options.to.map(Timestamp::micros),
        };
        let marks = truncates::marks(&view, &picture.tail);
        let truncates = if marks.iter().any(|mark| sight.sees(mark.event_ts, mark.seq)) {
            let from = std::mem::replace(&mut sight.from, i64::MIN);
            // What they deleted lies before them, and so may lie before the range.
            let in_sight = marks.into_iter().filter(|mark| sight.sees(mark.event_ts, mark.seq));
            Truncates::new(in_sight.collect(), from)
        } else {
            Truncates::default()
        };
        let walk = Walk {
            picture: Arc::clone(picture),
            view,
            columns: Columns::new(&record, known_at),
            sight,
            truncates,
            key,
            hash_seed: self.hash_seed(),
            batch_rows: options.batch_rows.max(1),
        };
        walk.runs_in_sight().try_for_each(|run| run.open().map(drop))?;
        Ok((record, walk))
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.batches.as_ref()?.recv();
        if !matches!(next, Ok(Ok(_))) {
            self.batches = None;
        }
        if let Ok(item) = next {
            return Some(item);
        }
        // The end, unless the worker did not reach it.
        match self.worker.take().map(JoinHandle::join) {
            Some(Err(_)) => Some(Err(Error::refused("the scan's thread stopped").remedy("begin the scan again"))),
            _ => None,
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}
