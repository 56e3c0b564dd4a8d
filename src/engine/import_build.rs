//! The thread that sorts an import's batches into runs, and compares them with what is stored.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use arrow_array::{Array, ArrayRef, BinaryArray, TimestampMicrosecondArray, UInt8Array};

use super::building::Building;
use super::core::{Engine, lock};
use super::known_rows::Comparison;
use super::orphans::scratch_name;
use super::picture::{ViewPicture, run_schema};
use super::write::{by_ordinal, event_ids};
use crate::disk::memory_available_bytes;
use crate::error::Result;
use crate::format::accept::Accepted;
use crate::format::row::RowKind;
use crate::history::{BulkBatch, BulkBuilder, RunFileMeta, StagingBudget};

/// What the importing thread and the building one share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where parts begin, by rows taken in before.
    pub part_starts: Mutex<Vec<u64>>,
    pub is_abandoned: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { part_starts: Mutex::new(vec![0]), is_abandoned: AtomicBool::new(false) }
    }
}

/// What became of the batches.
#[derive(Debug)]
pub(super) struct Built {
    pub files: Vec<RunFileMeta>,
    /// Removes them where they are not committed.
    pub building: Building,
    /// Rows taken in, those that were known too.
    pub rows: u64,
    /// How many rows of each part were known.
    pub known: Vec<u64>,
    /// Rows stored up to this number were compared.
    pub seen_seq: u64,
}

/// The budget of the imports under way, or that of the first one.
fn budget(engine: &Engine) -> Arc<StagingBudget> {
    let mut shared = lock(&engine.import_budget);
    shared.upgrade().unwrap_or_else(|| {
        let budget = StagingBudget::of(engine.options.sizes.import_bytes_max.unwrap_or_else(bytes_max_of_machine));
        *shared = Arc::downgrade(&budget);
        budget
    })
}

/// What imports hold in memory where nobody says: a share of what is there.
fn bytes_max_of_machine() -> usize {
    const SHARE: u64 = 4;
    const AT_LEAST: u64 = 512 << 20;
    const AT_MOST: u64 = 4 << 30;
    let share = memory_available_bytes().unwrap_or(0) / SHARE;
    usize::try_from(share.clamp(AT_LEAST, AT_MOST)).unwrap_or(usize::MAX)
}

pub(super) fn build(
    engine: &Engine,
    view: &ViewPicture,
    append: bool,
    batches: Receiver<BulkBatch>,
    shared: &Shared,
) -> Result<Built> {
    let schema = run_schema(&view.record);
    let building = Building::new(engine, engine.make_history_folder(&view.record)?);
    let scratch = Scratch::make(engine, building.folder().join(scratch_name(engine.next_run_id())))?;
    let budget = budget(engine);
    let built = building.run(engine, |output| {
        let builder = BulkBuilder::new(&schema, engine.reads.hash_seed(), *output, &scratch.folder, budget);
        let rows = builder.extend(batches.into_iter().map(Ok))?;
        let part_starts = lock(&shared.part_starts).clone();
        let none_known = vec![0; part_starts.len()];
        if shared.is_abandoned.load(Ordering::Relaxed) {
            return Ok((Vec::new(), 0, none_known, 0));
        }
        let seen_seq = engine.reads.sight()?.seq;
        if append {
            return Ok((builder.finish()?, rows, none_known, seen_seq));
        }
        let comparison =
            Comparison { view_id: view.record.id, seqs: 0..=seen_seq, row_count: rows, part_starts: &part_starts };
        comparison.with_present(engine, |known| {
            let known = &known.between_parts();
            let files = builder.finish_without(Some(known))?;
            Ok((files, rows, known.known_counts(), seen_seq))
        })
    });
    let (files, rows, known, seen_seq) = built?;
    Ok(Built { files, building, rows, known, seen_seq })
}

/// The folder of sorted pieces, emptied before and after.
struct Scratch<'a> {
    engine: &'a Engine,
    folder: PathBuf,
}

impl<'a> Scratch<'a> {
    fn make(engine: &'a Engine, folder: PathBuf) -> Result<Self> {
        engine.reads.disk.create_dir(&folder)?;
        let scratch = Scratch { engine, folder };
        scratch.empty()?;
        Ok(scratch)
    }

    fn empty(&self) -> Result<()> {
        for name in self.engine.reads.disk.list(&self.folder)? {
            self.engine.reads.disk.remove(&self.folder.join(name))?;
        }
        Ok(())
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next import.
        if self.empty().is_ok() {
            let _ = self.engine.reads.disk.remove_dir(&self.folder);
        }
    }
}

/// Accepted rows as the builder takes them.
pub(super) fn bulk_batch(view: &ViewPicture, accepted: &Accepted) -> Result<BulkBatch> {
    let kind = accepted.deleted.as_ref().map(|deleted| {
        let kinds = deleted.iter().map(|deleted| if deleted { RowKind::Delete as u8 } else { RowKind::Value as u8 });
        Arc::new(UInt8Array::from_iter_values(kinds)) as ArrayRef
    });
    let created = accepted.created.as_ref().map(|created| {
        let times = TimestampMicrosecondArray::new(created.values().clone(), created.nulls().cloned());
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    });
    let event_id = event_ids(view, accepted)?.map(|ids| {
        let ids = ids.iter().map(|id| (!id.is_empty()).then_some(id));
        Arc::new(ids.collect::<BinaryArray>()) as ArrayRef
    });
    Ok(BulkBatch {
        keys: accepted.keys.clone(),
        event_ts: accepted.event_ts.clone(),
        created,
        kind,
        event_id,
        features: by_ordinal(view, accepted)?,
    })
}
