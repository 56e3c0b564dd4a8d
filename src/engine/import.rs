//! Bulk import: rows straight into runs, committed once, whole or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::building::Building;
use super::core::{Core, Effect, Engine, lock};
use super::import_build::{Built, Shared, build, bulk_batch};
use super::known_rows::{Comparison, has_rows_above};
use super::picture::{Picture, ViewPicture, history_folder, run_schema};
use super::seal::run_record;
use super::write::{check_source, name_source};
use crate::error::{Error, Result};
use crate::format::accept::Accepted;
use crate::history::{BulkBatch, KnownRows, RunFile, RunFileMeta, merge_without};
use crate::registry::records::{ImportRecord, RunSource};
use crate::registry::{Change, RegistryState};

/// Batches that wait for the builder.
const BATCHES_WAITING_MAX: usize = 4;
/// How often rows committed meanwhile are struck out of what was built while writers go on; then they wait.
const RECHECKS_MAX: usize = 3;

/// What an import committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows added.
    pub rows: u64,
    /// Rows that the store had.
    pub known: u64,
    /// The numbers of the first and last row taken in. They are numbered one by one as they came; those the store had leave
    /// gaps. `None` when no row was added.
    pub seq: Option<(u64, u64)>,
    /// Part by part.
    pub parts: Vec<PartCounts>,
}

/// What became of the rows of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCounts {
    /// Rows added.
    pub rows: u64,
    /// Rows that the store had.
    pub known: u64,
}

/// A file on its way into the import ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFile {
    /// The file as the caller named it.
    pub path: String,
    /// Digest of its contents and format, in hex.
    pub digest: String,
    /// Digest of all that decides what its rows become, in hex.
    pub options_digest: String,
    /// Rows in it.
    pub rows_read: u64,
    /// Rows set aside.
    pub rows_refused: u64,
}

/// An import under way. Dropped without [`Import::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Import {
    engine: Arc<Engine>,
    view: Arc<ViewPicture>,
    append: bool,
    source: Option<String>,
    batches: Option<SyncSender<BulkBatch>>,
    builder: Option<JoinHandle<Result<Built>>>,
    shared: Arc<Shared>,
    rows: u64,
    files: Vec<Option<LedgerFile>>,
}

impl Import {
    /// Begins an import into a view. Unless it appends, rows fully equal to stored ones are added only as often as they come
    /// beyond those.
    ///
    /// # Errors
    /// A folder cannot be made, or the thread not started.
    pub fn begin(engine: &Arc<Engine>, view: &Arc<ViewPicture>, append: bool, source: Option<&str>) -> Result<Import> {
        // Before any work: its commit asks once more.
        source.map_or(Ok(()), |name| check_source(&engine.reads.picture().state, name))?;
        let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
        let shared = Arc::new(Shared::default());
        let (worker_engine, worker_view, worker_shared) = (Arc::clone(engine), Arc::clone(view), Arc::clone(&shared));
        let builder = std::thread::Builder::new()
            .name("asof-import".into())
            .spawn(move || build(&worker_engine, &worker_view, append, receiver, &worker_shared))
            .map_err(|source| Error::io("start a thread", &engine.reads.dir, source))?;
        Ok(Import {
            engine: Arc::clone(engine),
            view: Arc::clone(view),
            append,
            source: source.map(str::to_owned),
            batches: Some(sender),
            builder: Some(builder),
            shared,
            rows: 0,
            files: vec![None],
        })
    }

    /// Whether a file of this digest was imported with these options before.
    pub fn is_in_ledger(&self, digest: &str, options_digest: &str) -> bool {
        self.engine.reads.picture().state.import(self.view.record.id, digest, options_digest).is_some()
    }

    /// What follows is a part of its own, which is counted by itself. Gives its number; part 0 is there from the start.
    pub fn begin_part(&mut self) -> usize {
        lock(&self.shared.part_starts).push(self.rows);
        self.files.push(None);
        self.files.len() - 1
    }

    /// The present part is all of this file: it goes into the ledger with the commit.
    pub fn end_file(&mut self, file: LedgerFile) {
        if let Some(last) = self.files.last_mut() {
            *last = Some(file);
        }
    }

    /// Adds accepted rows.
    ///
    /// # Errors
    /// What made the builder stop.
    pub fn push(&mut self, accepted: &Accepted) -> Result<()> {
        let batch = bulk_batch(&self.view, accepted)?;
        self.rows += accepted.row_count as u64;
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Commits what was pushed. Readers see all of it or nothing. Rows are compared with all that is committed before them,
    /// by others while the import ran too.
    ///
    /// # Errors
    /// `Refused`: the view was dropped meanwhile. The disk is full: nothing was added. It fails: the error says where it may have
    /// been, or was.
    pub fn commit(mut self) -> Result<Imported> {
        self.batches = None;
        let mut built = self.join()?;
        let engine = Arc::clone(&self.engine);
        for recheck in 0.. {
            let mut core = engine.lock_core();
            engine.commit_queued(&mut core);
            let picture = engine.reads.picture();
            picture.check_takes_rows(self.view.record.id)?;
            if !self.append && has_rows_above(&picture, self.view.record.id, built.seen_seq) {
                let seen_seq = core.state.committed_seq;
                if recheck < RECHECKS_MAX {
                    drop(core);
                    built = self.strike_out(built, seen_seq, None)?;
                    continue;
                }
                built = self.strike_out(built, seen_seq, Some(&picture))?;
            }
            let was_sound = core.broken.is_none();
            let committed = self.commit_built(&mut core, &built);
            built.building.settle(&core, was_sound, &committed);
            let imported = committed?;
            // Under the same lock: a commit that came between would tell the table that it has these rows.
            let table = imported.seq.and_then(|_| Engine::take_table(&mut core, self.view.record.id));
            drop(core);
            if let Some(table) = table {
                engine.fill_after_import(self.view.record.id, table);
            }
            return Ok(imported);
        }
        unreachable!("the last recheck holds the lock and commits")
    }

    fn commit_built(&self, core: &mut Core, built: &Built) -> Result<Imported> {
        let engine = &self.engine;
        let known: u64 = built.known.iter().sum();
        let rows = built.rows - known;
        let starts = lock(&self.shared.part_starts).clone();
        let ends = starts.iter().skip(1).copied().chain(std::iter::once(built.rows));
        let counts =
            |((start, end), known): ((&u64, u64), &u64)| PartCounts { rows: end - start - known, known: *known };
        let parts: Vec<PartCounts> = starts.iter().zip(ends).zip(&built.known).map(counts).collect();
        let mut imported = Imported { rows, known, seq: None, parts };
        if rows == 0 && self.files.iter().all(Option::is_none) {
            return Ok(imported);
        }
        let given = if rows > 0 { built.rows } else { 0 };
        if core.next_seq + given > core.log.seq_limit() {
            engine.rotate(core)?;
        }
        if given > 0 {
            imported.seq = Some((core.next_seq, core.next_seq + given - 1));
        }
        let view_id = self.view.record.id;
        let mut what = format!("import {}", self.view.record.definition.reference());
        if let Some(source) = &self.source {
            what = format!("{what} from {source}");
        }
        engine.commit_registry(
            core,
            &what,
            |change, first, ingested_at_us| {
                for file in &built.files {
                    change.put(&run_record(file, view_id, first, 0, RunSource::Import))?;
                }
                self.put_ledger(change, first, &starts, &imported, ingested_at_us)
            },
            Effect { rows_for: (given > 0).then_some(view_id), numbers: given, ..Effect::default() },
        )?;
        Ok(imported)
    }

    /// The files' records. A file that came into the ledger meanwhile keeps the record that says where its rows are.
    fn put_ledger(
        &self,
        change: &mut Change<'_>,
        first: u64,
        starts: &[u64],
        imported: &Imported,
        at_us: i64,
    ) -> Result<()> {
        let view_id = self.view.record.id;
        let before: &RegistryState = change.before();
        let is_new =
            |file: &LedgerFile| self.append || before.import(view_id, &file.digest, &file.options_digest).is_none();
        let parts = self.files.iter().zip(starts).zip(&imported.parts);
        let files: Vec<_> = parts.filter_map(|((file, start), counts)| Some((file.as_ref()?, start, counts))).collect();
        if files.is_empty() {
            return Ok(());
        }
        let source_id = self.source.as_deref().map_or(Ok(0), |name| name_source(change, name))?;
        for (file, start, counts) in files.into_iter().filter(|(file, ..)| is_new(file)) {
            let seq_first = first + if imported.seq.is_some() { *start } else { 0 };
            let given = if imported.seq.is_some() { counts.rows + counts.known } else { 0 };
            let mut options_digest = file.options_digest.clone();
            if self.append {
                // It says where rows are, and is no reason to skip the file.
                options_digest = format!("{options_digest}-{first}");
            }
            change.put(&ImportRecord {
                digest: file.digest.clone(),
                options_digest,
                view_id,
                path: file.path.clone(),
                rows_read: file.rows_read,
                rows_written: counts.rows,
                rows_skipped: counts.known,
                rows_refused: file.rows_refused,
                seq_first,
                seq_last: (seq_first + given).saturating_sub(1),
                source_id,
                at_us,
            })?;
        }
        Ok(())
    }

    /// What was built, without the rows that were stored up to `seen_seq` since it was compared: those of `picture`, or
    /// of the present one.
    fn strike_out(&self, built: Built, seen_seq: u64, picture: Option<&Picture>) -> Result<Built> {
        let engine = &self.engine;
        let starts = lock(&self.shared.part_starts).clone();
        let comparison = Comparison {
            view_id: self.view.record.id,
            seqs: built.seen_seq + 1..=seen_seq,
            row_count: built.rows,
            part_starts: &starts,
        };
        let schema = run_schema(&self.view.record);
        let folder = history_folder(&engine.reads.dir, &self.view.record);
        let open = |file: &RunFileMeta| {
            RunFile::open(&*engine.reads.disk, &folder, file.id, &schema, 0, Some(file.index_checksum))
        };
        let runs: Vec<RunFile> = built.files.iter().map(open).collect::<Result<_>>()?;
        let runs: Vec<&RunFile> = runs.iter().collect();
        let compare = |work: &dyn Fn(KnownRows<'_>) -> Result<Option<Struck>>| match picture {
            Some(picture) => comparison.with(engine, picture, work),
            None => comparison.with_present(engine, work),
        };
        let is_any = compare(&|known| Ok((known.count_in(&runs)? > 0).then(|| (Vec::new(), Vec::new()))))?;
        if is_any.is_none() {
            return Ok(Built { seen_seq, ..built });
        }
        let building = Building::new(engine, folder.clone());
        let struck = compare(&|known| {
            let files = building.run(engine, |output| merge_without(&runs, &schema, output, Some(&known)))?;
            Ok(Some((files, known.known_counts())))
        })?;
        let (files, counts) = struck.unwrap_or_default();
        let known = built.known.iter().zip(&counts).map(|(before, now)| before + now).collect();
        // What was built before goes with its own guard.
        Ok(Built { files, building, known, seen_seq, rows: built.rows })
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

/// Files without the rows that were struck out, and how many those were, part by part.
type Struck = (Vec<RunFileMeta>, Vec<u64>);

impl Drop for Import {
    /// What was built and not committed is removed, before anybody can look.
    fn drop(&mut self) {
        self.shared.is_abandoned.store(true, Ordering::Relaxed);
        self.batches = None;
        let _ = self.builder.take().map(JoinHandle::join);
    }
}
