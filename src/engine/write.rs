//! Accepted columns as a batch for the log, deletes, definitions and snapshots: everything that takes numbers.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::NullBuffer;
use arrow_select::filter::filter;

use super::apply::{record_outcome, registered};
use super::commit::{Batch, Committed};
use super::core::{Effect, Engine};
use super::keyspace::{LiveKeyspace, NewOwners};
use super::picture::ViewPicture;
use super::reads::Reads;
use crate::definition::{Definitions, Plan, check_name, plan};
use crate::error::{Error, Result};
use crate::format::accept::Accepted;
use crate::format::columns::{EncodedKeys, RowColumns, encode_keys, encode_records};
use crate::format::row::{RowHead, RowKind, push_record};
use crate::key::{KeySchema, key_hash};
use crate::registry::records::{SnapshotRecord, SourceRecord};
use crate::registry::{Change, RegistryState};
use crate::time::Timestamp;

/// A delete row that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Its number.
    pub seq: u64,
    /// Its created timestamp, in views that declare one.
    pub created: Option<i64>,
}

/// The columns of `accepted` in the order of the view's fields. A field that the definition no longer
/// names cannot be: versions only gain features.
pub(super) fn by_ordinal(view: &ViewPicture, accepted: &Accepted) -> Result<Vec<ArrayRef>> {
    let definition = &view.record.definition;
    let columns = view.record.fields.iter().map(|field| {
        let index = definition.feature_index(&field.name);
        index.map(|index| Arc::clone(&accepted.features[index])).ok_or_else(|| {
            Error::refused(format!("the definitions of {} and its fields differ in {}", definition.name, field.name))
        })
    });
    columns.collect()
}

/// The event ids of accepted rows, encoded as keys are, empty for deletes that carry none; `None` where the view has none.
pub(super) fn event_ids(view: &ViewPicture, accepted: &Accepted) -> Result<Option<EncodedKeys>> {
    let columns = &view.record.definition.event_id;
    if columns.is_empty() {
        return Ok(None);
    }
    let schema = KeySchema::new(columns.clone());
    let has = accepted.event_ids.iter().fold(None, |has, column| NullBuffer::union(has.as_ref(), column.nulls()));
    let Some(has) = has.filter(|has| has.null_count() > 0) else {
        return encode_keys(&schema, &accepted.event_ids, accepted.row_count).map(Some);
    };
    let keep = BooleanArray::new(has.inner().clone(), None);
    let present = accepted.event_ids.iter().map(|column| {
        filter(column, &keep).map_err(|source| Error::invalid(format!("event ids cannot be filtered: {source}")))
    });
    let present = encode_keys(&schema, &present.collect::<Result<Vec<_>>>()?, has.len() - has.null_count())?;
    // Row by row: nothing where a row has none.
    let mut ends = present.offsets.iter().copied();
    let mut end = ends.next().unwrap_or(0);
    let mut offsets = vec![end];
    for is_present in &has {
        if is_present {
            end = ends.next().unwrap_or(end);
        }
        offsets.push(end);
    }
    Ok(Some(EncodedKeys { bytes: present.bytes, offsets }))
}

impl Reads {
    /// What applying these definitions would change, at `now`.
    ///
    /// # Errors
    /// As [`Reads::sight`]; a run with keys of the keyspace is damaged.
    pub fn plan(&self, wanted: &Definitions, prune: bool, now: Timestamp) -> Result<Plan> {
        self.plan_beside(None, wanted, prune, now.0)
    }

    fn plan_beside(&self, live: Option<&LiveKeyspace>, wanted: &Definitions, prune: bool, now: i64) -> Result<Plan> {
        let state = &self.sight()?.picture.state;
        let mut plan = plan(&registered(state), wanted, prune);
        if let Some(owners) = NewOwners::of(&plan, state) {
            match live {
                Some(live) => owners.refuse_taken(&mut plan, &live.read(), now),
                None => owners.refuse_taken(&mut plan, &self.folded_keyspace()?, now),
            }
        }
        Ok(plan)
    }
}

impl Engine {
    /// Commits accepted rows of one view as one atomic batch.
    ///
    /// # Errors
    /// A value is too long to store; the batch is too large; as [`Engine::commit`].
    pub fn write(&self, view: &ViewPicture, accepted: &Accepted, source: u32) -> Result<Committed> {
        self.commit(self.encode(view, accepted, source)?)
    }

    /// Accepted rows of one view as a batch.
    ///
    /// # Errors
    /// A value is too long to store; the batch is too large.
    pub(super) fn encode(&self, view: &ViewPicture, accepted: &Accepted, source: u32) -> Result<Batch> {
        let keys = encode_keys(&view.key_schema, &accepted.keys, accepted.row_count)?;
        let ids = event_ids(view, accepted)?;
        let features = by_ordinal(view, accepted)?;
        let (created, undated) = self.created(view, accepted, &keys)?;
        let columns = RowColumns {
            keys: &keys,
            event_ts: &accepted.event_ts,
            created: created.as_ref(),
            event_ids: ids.as_ref(),
            features: &features,
            deleted: accepted.deleted.as_ref(),
        };
        let mut batch = Batch { view_id: view.record.id, source, ..Batch::default() };
        let rows = u32::try_from(accepted.row_count).map_err(|_| {
            Error::invalid("a batch has at most 2^32 - 1 rows").remedy("write it in parts, or import it")
        })?;
        batch.frame.section(view.record.id, |out| -> Result<u32> {
            let mut records = Vec::new();
            encode_records(&view.layout, &columns, out, &mut records)?;
            batch.undated = undated.iter().map(|&row| records[row]).collect();
            Ok(rows)
        })?;
        batch.hashes = keys.iter().map(|key| key_hash(self.reads.hash_seed(), key)).collect();
        Ok(batch)
    }

    /// Commits a delete of one key from `at` on. In a view that declares created and without the caller's, it takes
    /// the greater of the commit's time and the greatest created stored for that key and time, so that it wins there.
    ///
    /// # Errors
    /// As [`Engine::commit`]; a run that had to be read is damaged.
    pub fn delete(&self, view: &ViewPicture, key: &[u8], at: i64, created: Option<i64>) -> Result<Deleted> {
        let hash = key_hash(self.reads.hash_seed(), key);
        let mut core = self.lock_core();
        // What is queued comes before, so that its created timestamps are seen.
        self.commit_queued(&mut core);
        let is_undated = created.is_none() && view.record.definition.has_created();
        let created = match is_undated {
            // The commit raises it to its own time.
            true => Some(self.greatest_created(&self.reads.picture(), view, (hash, key), at)?.unwrap_or(i64::MIN)),
            false => created.filter(|_| view.record.definition.has_created()),
        };
        let mut batch = Batch { view_id: view.record.id, hashes: vec![hash], ..Batch::default() };
        batch.frame.section(view.record.id, |out| -> Result<u32> {
            if is_undated {
                batch.undated.push(out.len());
            }
            let head = RowHead { created, ..RowHead::new(RowKind::Delete, at) };
            push_record(&head, key, 0, &[], out)?;
            Ok(1)
        })?;
        drop(core);
        // A row of the same key and time that slips in between is numbered before this one, and so was
        // written at the same time as the delete.
        let committed = self.commit(batch)?;
        let created = created.map(|created| if is_undated { created.max(committed.ingested_at_us) } else { created });
        Ok(Deleted { seq: committed.first_seq, created })
    }

    /// What applying these definitions would change now.
    ///
    /// # Errors
    /// As [`Reads::plan`].
    pub fn plan(&self, wanted: &Definitions, prune: bool) -> Result<Plan> {
        let live = self.keyspace.get().map(|live| &**live);
        let now = live.map_or_else(|| self.clock.now().0, |live| self.keyspace_now(live));
        self.reads.plan_beside(live, wanted, prune, now)
    }

    /// Makes the registry match the definitions.
    ///
    /// # Errors
    /// `Refused`: an incompatible change, or one over keys of the keyspace; nothing was applied. The disk fails.
    pub fn apply(&self, wanted: &Definitions, prune: bool) -> Result<Plan> {
        let mut core = self.lock_core();
        self.commit_queued(&mut core);
        // Nobody makes a key meanwhile: that takes the core.
        let plan = self.plan(wanted, prune)?;
        let outcome = plan.outcome()?.clone();
        if plan.is_empty() {
            return Ok(plan);
        }
        self.commit_registry(
            &mut core,
            "apply",
            |change, seq, at_us| record_outcome(change, &outcome, seq, at_us),
            Effect { numbers: 1, ..Effect::default() },
        )?;
        self.make_empty_tables(&mut core);
        Ok(plan)
    }

    /// Names the present state of knowledge.
    ///
    /// # Errors
    /// The name is none, or taken.
    pub fn snapshot(&self, name: &str) -> Result<SnapshotRecord> {
        check_name("snapshot", name)?;
        let mut core = self.lock_core();
        self.commit_queued(&mut core);
        if self.reads.picture().state.snapshot(name).is_ok() {
            return Err(
                Error::refused(format!("there is a snapshot {name} already")).remedy("give this one another name")
            );
        }
        let mut record = SnapshotRecord {
            name: name.to_owned(),
            seq: core.state.committed_seq,
            ingested_at_us: core.state.ingested_at_us,
            created_at_us: 0,
        };
        self.commit_registry(
            &mut core,
            "snapshot",
            |change, _, at_us| {
                record.created_at_us = at_us;
                change.put(&record)
            },
            Effect::default(),
        )?;
        Ok(record)
    }

    /// The id that commits of this source carry; makes one at first use.
    ///
    /// # Errors
    /// There are too many, or this one is called at great length; the registry cannot be written.
    pub fn source_id(&self, name: Option<&str>) -> Result<u32> {
        let Some(name) = name else { return Ok(0) };
        if let Some(id) = self.reads.picture().state.source_id(name) {
            return Ok(id);
        }
        let mut core = self.lock_core();
        let mut id = 0;
        self.commit_registry(
            &mut core,
            "source",
            |change, _, _| {
                id = name_source(change, name)?;
                Ok(())
            },
            Effect::default(),
        )?;
        Ok(id)
    }
}

/// Longest name of a source.
const SOURCE_BYTES_MAX: usize = 128;
/// Most sources of a store: each is kept for ever, and read at every opening.
const SOURCES_MAX: usize = 10_000;

/// Refuses a source that would be one more than a store has, or is called at great length.
pub(super) fn check_source(state: &RegistryState, name: &str) -> Result<()> {
    if state.source_id(name).is_some() {
        return Ok(());
    }
    if name.is_empty() || name.len() > SOURCE_BYTES_MAX {
        let what = format!("a source is called in 1 to {SOURCE_BYTES_MAX} bytes, not in {}", name.len());
        return Err(Error::invalid(what));
    }
    if state.source_count() >= SOURCES_MAX {
        return Err(Error::refused(format!("the store knows {SOURCES_MAX} sources, and takes no other one"))
            .remedy("name the program that writes, and not its run"));
    }
    Ok(())
}

/// The id of a source by name; a new one where there is none.
///
/// # Errors
/// It would be one more than a store has, or is called at such length.
pub(super) fn name_source(change: &mut Change<'_>, name: &str) -> Result<u32> {
    if let Some(known) = change.before().source_id(name) {
        return Ok(known);
    }
    check_source(change.before(), name)?;
    let meta = change.meta();
    let id = meta.next_source_id.max(1);
    meta.next_source_id = id + 1;
    change.put(&SourceRecord { id, name: name.to_owned() })?;
    Ok(id)
}
