//! From log segments to runs, and from runs to fewer of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::building::Building;
use super::core::{Effect, Engine, lock};
use super::picture::{Run, history_folder, run_schema};
use crate::error::Result;
use crate::format::commits::Commit;
use crate::history::{
    RowCollector, RunFileMeta, RunOutput, RunSize, choose_merge, index_path, merge_runs, run_path, seal,
};
use crate::registry::records::{RunRecord, RunSource, TruncateRecord, ViewRecord};
use crate::tail::TailSegment;

/// Threads that runs are built with.
pub(super) const BUILD_THREADS: usize = 2;

impl Engine {
    /// Turns every committed row of the log into runs; the log is empty afterwards. Whether there was a row.
    ///
    /// # Errors
    /// The disk fails: the rows stay in the log.
    pub fn seal(&self) -> Result<bool> {
        let _one_at_a_time = lock(&self.sealing);
        let mut core = self.lock_core();
        self.rotate(&mut core)?;
        drop(core);
        self.seal_full_segments()
    }

    /// Turns the rows of log segments that take no more into runs, where there are any, and removes those segments. Whether
    /// there was a row.
    ///
    /// # Errors
    /// The disk fails: the rows stay in the log.
    pub fn seal_full(&self) -> Result<bool> {
        let _one_at_a_time = lock(&self.sealing);
        self.seal_full_segments()
    }

    /// Seals, when the log's index in memory takes more than it may: commits wait for it here.
    pub(super) fn relieve_tail(&self) -> Result<()> {
        let bytes = || self.reads.picture().tail.iter().map(|tail| tail.bytes()).sum::<usize>();
        if bytes() <= self.options.sizes.tail_bytes_max {
            return Ok(());
        }
        let _one_at_a_time = lock(&self.sealing);
        // Another may have done it meanwhile.
        if bytes() > self.options.sizes.tail_bytes_max {
            let mut core = self.lock_core();
            self.rotate(&mut core)?;
            drop(core);
            self.seal_full_segments()?;
        }
        Ok(())
    }

    /// Under the sealing lock.
    fn seal_full_segments(&self) -> Result<bool> {
        let (active, picture) = {
            let core = self.lock_core();
            // Before runs are built that could not be committed.
            core.check_sound()?;
            (core.tail.segment(), self.reads.picture())
        };
        // Segments without a row too, which writers left that came to nothing: they are not in the tail.
        if picture.state.meta().log_start_segment == active {
            return Ok(false);
        }
        let sealed: Vec<&Arc<TailSegment>> = picture.tail.iter().filter(|tail| tail.segment() < active).collect();
        let mut records = Vec::new();
        let mut truncates: Vec<TruncateRecord> = Vec::new();
        let mut buildings = Vec::new();
        for view in picture.views.values() {
            let schema = run_schema(&view.record);
            let mut pieces = Vec::new();
            for tail in &sealed {
                let views = tail.read();
                let Some(rows) = views.get(&view.record.id) else { continue };
                truncates
                    .extend(rows.truncates().iter().map(|truncate| TruncateRecord::new(view.record.id, *truncate)));
                if rows.row_count() == 0 {
                    continue;
                }
                let mut collector = RowCollector::new(&schema, self.reads.hash_seed());
                for (row, record) in rows.rows() {
                    collector.push(row.seq, &record)?;
                }
                pieces.push(collector.finish()?);
            }
            if pieces.is_empty() {
                continue;
            }
            let building = Building::new(self, self.make_history_folder(&view.record)?);
            let metas = building.run(self, |output| seal(&schema, &pieces, output))?;
            self.reads.disk.sync_dir(building.folder())?;
            buildings.push(building);
            records.extend(metas.iter().map(|meta| run_record(meta, view.record.id, 0, 0, RunSource::Seal)));
        }
        let commits: Vec<Commit> = sealed.iter().flat_map(|tail| tail.commits().clone()).collect();
        let building = Building::new(self, self.reads.dir.join("history"));
        let clock = building.clock(&commits, active - 1)?;
        buildings.push(building);
        let mut core = self.lock_core();
        let tail = self.reads.picture().tail.iter().filter(|tail| tail.segment() >= active).cloned().collect();
        let was_sound = core.broken.is_none();
        let committed = self.commit_registry(
            &mut core,
            "seal",
            |change, _, _| {
                for record in &records {
                    change.put(record)?;
                }
                for truncate in &truncates {
                    change.put(truncate)?;
                }
                if let Some(clock) = &clock {
                    change.put(clock)?;
                }
                change.meta().log_start_segment = active;
                Ok(())
            },
            Effect { tail: Some(tail), ..Effect::default() },
        );
        buildings.iter().for_each(|building| building.settle(&core, was_sound, &committed));
        committed?;
        drop(core);
        self.reads.log_place().remove_below(active)?;
        Ok(!sealed.is_empty())
    }

    /// Merges runs of like size where there are many, view by view, until none are to be merged.
    ///
    /// # Errors
    /// A run is damaged, or the disk fails: that view's runs stay as they were, and the other views are merged.
    pub fn merge(&self) -> Result<()> {
        let outcomes: Vec<Result<()>> = self.view_ids().into_iter().map(|id| self.merge_view(id)).collect();
        outcomes.into_iter().collect()
    }

    /// All views, dropped ones too.
    pub fn view_ids(&self) -> Vec<u32> {
        self.reads.picture().views.keys().copied().collect()
    }

    /// [`Engine::merge`] for one view.
    ///
    /// # Errors
    /// As [`Engine::merge`].
    fn merge_view(&self, view_id: u32) -> Result<()> {
        while self.merge_once(view_id)? {}
        Ok(())
    }

    /// Merges runs of like size of a view into one, where there are many. Whether it did, so that there may be more.
    ///
    /// # Errors
    /// As [`Engine::merge`].
    pub fn merge_once(&self, view_id: u32) -> Result<bool> {
        let _one_at_a_time = lock(&self.merging);
        let picture = self.reads.picture();
        let view = picture.view(view_id);
        let mut sizes: Vec<RunSize> = Vec::new();
        for run in &view.runs {
            match sizes.iter_mut().find(|size| size.run == run.record.group) {
                Some(size) => size.bytes += run.record.data_bytes,
                None => sizes.push(RunSize { run: run.record.group, bytes: run.record.data_bytes }),
            }
        }
        sizes.sort_by_key(|size| size.run);
        let chosen = choose_merge(&sizes, self.options.sizes.merge_fanout);
        if chosen.is_empty() {
            return Ok(false);
        }
        self.lock_core().check_sound()?;
        let runs: Vec<&Arc<Run>> = view.runs.iter().filter(|run| chosen.contains(&run.record.group)).collect();
        let files = runs.iter().map(|run| run.open()).collect::<Result<Vec<_>>>()?;
        let level = runs.iter().map(|run| run.record.level).max().unwrap_or(0) + 1;
        let folder = history_folder(&self.reads.dir, &view.record);
        let building = Building::new(self, folder);
        let folder = building.folder();
        let metas = building.run(self, |output| merge_runs(&files, &run_schema(&view.record), output))?;
        self.reads.disk.sync_dir(folder)?;
        let mut core = self.lock_core();
        let was_sound = core.broken.is_none();
        let committed = self.commit_registry(
            &mut core,
            "merge",
            |change, _, _| {
                for run in &runs {
                    change.delete(crate::registry::records::run_key(run.record.id));
                }
                for meta in &metas {
                    change.put(&run_record(meta, view_id, 0, level, RunSource::Merge))?;
                }
                Ok(())
            },
            Effect::default(),
        );
        building.settle(&core, was_sound, &committed);
        committed?;
        drop(core);
        for run in &runs {
            self.reads.disk.remove(&run_path(folder, run.record.id))?;
            self.reads.disk.remove(&index_path(folder, run.record.id))?;
        }
        Ok(true)
    }

    /// An id that no run file ever had.
    pub fn next_run_id(&self) -> u64 {
        self.run_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn run_output<'a>(
        &'a self,
        folder: &'a std::path::Path,
        next_id: &'a (dyn Fn() -> u64 + Sync),
    ) -> RunOutput<'a> {
        RunOutput {
            disk: &*self.reads.disk,
            dir: folder,
            next_id,
            file_bytes: self.options.sizes.run_file_bytes,
            threads: BUILD_THREADS,
            is_durable: true,
        }
    }

    pub(super) fn make_history_folder(&self, view: &ViewRecord) -> Result<PathBuf> {
        let folder = history_folder(&self.reads.dir, view);
        if !self.reads.disk.exists(&folder)? {
            self.reads.disk.create_dir(&folder)?;
        }
        // Also one that is there: whoever made it may have failed to sync it, or be at it.
        self.reads.disk.sync_dir(&self.reads.dir.join("history"))?;
        Ok(folder)
    }
}

/// What the registry keeps of a run file; numbers in it count from `seq_base`.
pub(super) fn run_record(meta: &RunFileMeta, view_id: u32, seq_base: u64, level: u32, source: RunSource) -> RunRecord {
    RunRecord {
        id: meta.id,
        view_id,
        group: meta.run,
        level,
        source,
        hash_lo: meta.hash_lo,
        hash_hi: meta.hash_hi,
        rows: meta.rows,
        entities: meta.keys,
        event_min_us: meta.min_event_ts,
        event_max_us: meta.max_event_ts,
        seq_min: seq_base + meta.min_seq,
        seq_max: seq_base + meta.max_seq,
        seq_base,
        data_bytes: meta.run_bytes,
        index_bytes: meta.index_bytes,
        index_crc: meta.index_checksum,
    }
}
