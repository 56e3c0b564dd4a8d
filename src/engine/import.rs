//! Bulk import: rows straight into runs, committed once, whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::{Array, ArrayRef, BinaryArray, TimestampMicrosecondArray, UInt8Array};

use super::core::{Effect, Engine, lock};
use super::picture::{ViewPicture, history_folder, run_schema};
use super::seal::run_record;
use super::write::{by_ordinal, event_ids};
use crate::error::{Error, Result};
use crate::format::accept::Accepted;
use crate::format::row::RowKind;
use crate::history::{BulkBatch, BulkBuilder, RunFileMeta, index_path, run_path};
use crate::registry::records::RunSource;
use crate::time::Timestamp;

/// Batches that wait for the builder.
const BATCHES_WAITING_MAX: usize = 4;

/// What an import committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Rows added.
    pub rows: u64,
    /// The first and last number given; `None` when no row was added.
    pub seq: Option<(u64, u64)>,
}

/// An import under way. Dropped without [`Import::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Import {
    engine: Arc<Engine>,
    view: Arc<ViewPicture>,
    batches: Option<SyncSender<BulkBatch>>,
    builder: Option<JoinHandle<Result<Built>>>,
}

#[derive(Debug)]
struct Built {
    files: Vec<RunFileMeta>,
    rows: u64,
}

impl Import {
    /// Begins an import into a view.
    ///
    /// # Errors
    /// A folder cannot be made, or the thread not started.
    pub fn begin(engine: &Arc<Engine>, view: &Arc<ViewPicture>) -> Result<Import> {
        let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
        let (worker_engine, worker_view) = (Arc::clone(engine), Arc::clone(view));
        let builder = std::thread::Builder::new()
            .name("asof-import".into())
            .spawn(move || build(&worker_engine, &worker_view, receiver))
            .map_err(|source| Error::io("start a thread", &engine.reads.dir, source))?;
        Ok(Import { engine: Arc::clone(engine), view: Arc::clone(view), batches: Some(sender), builder: Some(builder) })
    }

    /// Adds accepted rows.
    ///
    /// # Errors
    /// What made the builder stop.
    pub fn push(&mut self, accepted: &Accepted) -> Result<()> {
        let batch = bulk_batch(&self.view, accepted)?;
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Commits what was pushed. Readers see all of it or nothing.
    ///
    /// # Errors
    /// The disk fails: nothing was added.
    pub fn commit(mut self, now: Timestamp) -> Result<Imported> {
        self.batches = None;
        let built = self.join()?;
        if built.rows == 0 {
            return Ok(Imported { rows: 0, seq: None });
        }
        let engine = &self.engine;
        let mut core = lock(&engine.core);
        engine.commit_queued(&mut core);
        if core.next_seq + built.rows > core.log.seq_limit() {
            engine.rotate(&mut core)?;
        }
        let first = core.next_seq;
        let what = format!("import {}", self.view.record.definition.reference());
        let view_id = self.view.record.id;
        engine.commit_registry(
            &mut core,
            now.0,
            &what,
            |change, first| {
                for file in &built.files {
                    change.put(&run_record(file, view_id, first, 0, RunSource::Import))?;
                }
                Ok(built.rows)
            },
            Effect { rows_for: Some(view_id), ..Effect::default() },
        )?;
        drop(core);
        engine.fill_after_import(view_id);
        Ok(Imported { rows: built.rows, seq: Some((first, first + built.rows - 1)) })
    }

    fn join(&mut self) -> Result<Built> {
        let builder = self.builder.take().ok_or_else(|| Error::refused("the import failed before"))?;
        builder.join().map_err(|_| Error::refused("the import's thread stopped").remedy("import the file again"))?
    }

    fn failure(&mut self) -> Error {
        self.batches = None;
        match self.join() {
            Err(error) => error,
            Ok(_) => Error::refused("the import was ended before"),
        }
    }
}

impl Drop for Import {
    /// Removes what was built and not committed; what cannot be removed now is at the next open.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(Ok(Ok(built))) = self.builder.take().map(JoinHandle::join) {
            let folder = history_folder(&self.engine.reads.dir, &self.view.record);
            for file in &built.files {
                let _ = self.engine.reads.disk.remove(&run_path(&folder, file.id));
                let _ = self.engine.reads.disk.remove(&index_path(&folder, file.id));
            }
        }
    }
}

fn build(engine: &Engine, view: &ViewPicture, batches: Receiver<BulkBatch>) -> Result<Built> {
    let schema = run_schema(&view.record);
    let folder = engine.make_history_folder(&view.record)?;
    let give = || engine.next_run_id();
    let scratch = Scratch::make(engine, folder.join(format!("scratch-{}", give())))?;
    let output = engine.run_output(&folder, &give);
    let bytes_max = engine.options.sizes.import_bytes_max;
    let builder = BulkBuilder::new(&schema, engine.reads.hash_seed(), output, &scratch.folder, bytes_max);
    let rows = builder.extend(batches.into_iter().map(Ok))?;
    let files = builder.finish()?;
    Ok(Built { files, rows })
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

fn bulk_batch(view: &ViewPicture, accepted: &Accepted) -> Result<BulkBatch> {
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
