//! Latest tables on their way: filled behind the back of commits.
//!
//! A table that is being filled is marked behind, and commits leave it alone; readers take the as-of path. Whoever
//! fills it goes over what was committed meanwhile, and does the last of it under the core lock, where
//! nothing more can be committed: then the table has every row, and is the committer's.
//!
//! **Invariant:** whoever holds the core finds the table of a view either with the committer, or on its way with one who
//! fills it and no other, or missing. A table changes from one to the other under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::core::{Core, Engine, lock};
use super::picture::ViewPicture;
use super::reads::Sight;
use super::seal::BUILD_THREADS;
use super::winners::{rows_of_tail, winners_of_run};
use crate::caught::caught;
use crate::error::{Error, Result};
use crate::history::RunFile;
use crate::latest::Table;
use crate::threads;

/// Fewer rows than this are stored by one thread.
const PARALLEL_ROWS_MIN: u64 = 50_000;
/// A table of so few keys may as well grow.
const SMALL_KEYS_MAX: u64 = 1_000;
/// Rounds of going over what was committed meanwhile, before commits are made to wait for the last.
const ROUNDS_MAX: usize = 8;
/// So few rows are left for the last round.
const LAST_ROWS: u64 = 10_000;

/// A table on its way: it has every row up to `applied_seq`, and may have later ones.
pub(super) struct Filling {
    pub table: Table,
    pub applied_seq: u64,
}

impl Engine {
    /// Builds the tables that are missing. Commits and reads go on meanwhile.
    ///
    /// # Errors
    /// A run is damaged, or the disk is full: reads of that view go on over the as-of path, and the other views get theirs.
    fn build_missing_tables(&self) -> Result<()> {
        let outcomes: Vec<Result<()>> = self.view_ids().into_iter().map(|id| self.build_missing_table(id)).collect();
        outcomes.into_iter().collect()
    }

    /// Builds the tables that are missing, for a caller who did something else: without a table reads take longer, and that is all.
    pub fn build_tables_or_warn(&self) {
        if let Err(error) = self.build_missing_tables() {
            tracing::warn!(error = error.as_cause(), "a latest table could not be built; reads take the as-of path");
        }
    }

    /// Builds the table of one view, where it is missing and nobody is at work on it. Commits and reads go on meanwhile.
    ///
    /// # Errors
    /// A run is damaged, or the disk is full: reads of the view go on over the as-of path.
    pub fn build_missing_table(&self, id: u32) -> Result<()> {
        let view = {
            let mut core = self.lock_core();
            let view = Arc::clone(self.reads.picture().view(id));
            let is_there = core.tables.contains_key(&id) || core.filling.contains(&id);
            if is_there || !view.record.has_table() || core.check_sound().is_err() {
                return Ok(());
            }
            core.filling.insert(id);
            view
        };
        self.fill(id, || {
            let table = self.create_table(&view, expected_keys(&view))?;
            Ok(Filling { table, applied_seq: 0 })
        })
    }

    /// Takes a table that is behind from commits, to be filled: by [`Engine::fill_after_import`], and nobody else meanwhile. `None`
    /// where somebody fills it already, who finds all rows that were committed before the table is the committer's again.
    pub(super) fn take_table(core: &mut Core, view_id: u32) -> Option<Table> {
        let mut table = core.tables.remove(&view_id)?;
        table.mark_behind();
        assert!(core.filling.insert(view_id), "a table that the committer had was being filled");
        Some(table)
    }

    /// An import has been committed: its rows go into the view's table.
    pub(super) fn fill_after_import(&self, view_id: u32, table: Table) {
        let filled = self.fill(view_id, || {
            let (applied_seq, _) = table.applied();
            let picture = self.reads.picture();
            let view = picture.view(view_id);
            if expected_keys(view) <= 2 * table.stats().keys.max(SMALL_KEYS_MAX) {
                return Ok(Filling { table, applied_seq });
            }
            // Growing to many times its size costs more than a table of the right size: rows come in hash order and crowd the groups that
            // are there.
            table.retire();
            let table = self.create_table(view, expected_keys(view))?;
            Ok(Filling { table, applied_seq: 0 })
        });
        if let Err(error) = filled {
            tracing::warn!(
                error = error.as_cause(),
                "the latest table is behind; reads take the as-of path until it is built anew"
            );
        }
    }

    /// Fills a table that is told of in `Core::filling`, and hands it to the committer. It is told of there no more when this
    /// ends, with an error or a panic too.
    fn fill(&self, view_id: u32, begin: impl FnOnce() -> Result<Filling>) -> Result<()> {
        let told_of = ToldOf { engine: self, view_id };
        let nearly = begin().and_then(|filling| self.go_over(filling, view_id));
        let mut core = self.lock_core();
        std::mem::forget(told_of);
        // Under the lock that makes the table the committer's: an import that found it there and here would fill it with nobody
        // told, and another beside it.
        assert!(core.filling.remove(&view_id), "a table was filled by one who was not told of");
        let mut filling = nearly?;
        // A table that came after the others were closed would stay as it is, written to after HEAD was marked clean.
        core.check_sound()?;
        let sight = self.reads.sight()?;
        if !fits(&filling.table, sight.picture.view(view_id)) {
            // Its definition changed meanwhile; whoever looks for missing tables finds it missing.
            filling.table.retire();
            return Ok(());
        }
        self.round(&mut filling, view_id, sight)?;
        self.install_table(&mut core, view_id, filling.table);
        Ok(())
    }

    /// Rounds of catching up while commits go on, until little is left.
    fn go_over(&self, mut filling: Filling, view_id: u32) -> Result<Filling> {
        for _ in 0..ROUNDS_MAX {
            let sight = self.reads.sight()?;
            if !fits(&filling.table, sight.picture.view(view_id))
                || self.round(&mut filling, view_id, sight)? < LAST_ROWS
            {
                break;
            }
        }
        Ok(filling)
    }

    /// A round of catching up, again where runs were merged under it.
    fn round(&self, filling: &mut Filling, view_id: u32, mut sight: Sight) -> Result<u64> {
        loop {
            match self.catch_up(filling, view_id, &sight) {
                Err(error) if error.is_missing_file() => {
                    let newer = self.reads.sight()?;
                    if newer.picture.state.generation() == sight.picture.state.generation() {
                        return Err(error);
                    }
                    sight = newer;
                }
                outcome => return outcome,
            }
        }
    }

    /// Stores every row above what the table has; how many were looked at.
    pub(super) fn catch_up(&self, filling: &mut Filling, view_id: u32, sight: &Sight) -> Result<u64> {
        let view = sight.picture.view(view_id);
        let newer: Vec<_> = view.runs.iter().filter(|run| run.record.seq_max > filling.applied_seq).collect();
        let files: Vec<&RunFile> = newer.iter().map(|run| run.open()).collect::<Result<_>>()?;
        let mut rows = newer.iter().map(|run| run.record.entities).sum();
        store_winners(&mut filling.table, &files, view, rows)?;
        for segment in &sight.picture.tail {
            let above = (filling.applied_seq, u64::MAX);
            rows_of_tail(segment, view, self.reads.hash_seed(), above, |hash, row, seq| {
                rows += 1;
                filling.table.upsert(hash, row, seq).map(|_| ())
            })?;
        }
        filling.applied_seq = sight.seq;
        Ok(rows)
    }
}

/// A view whose table is being filled. Whoever panics over that tells of it no more, so that another may fill one.
struct ToldOf<'a> {
    engine: &'a Engine,
    view_id: u32,
}

impl Drop for ToldOf<'_> {
    fn drop(&mut self) {
        lock(&self.engine.core).filling.remove(&self.view_id);
    }
}

/// Whether a table is what a view's present definition wants.
fn fits(table: &Table, view: &ViewPicture) -> bool {
    !view.record.is_dropped() && table.open_reader().layout().shape().row == *view.layout
}

/// About how many keys the runs have: exact for one run, the most there can be for several.
fn expected_keys(view: &ViewPicture) -> u64 {
    let mut by_run: BTreeMap<u64, u64> = BTreeMap::new();
    for run in &view.runs {
        *by_run.entry(run.record.group).or_default() += run.record.entities;
    }
    let (largest, sum) = (by_run.values().copied().max().unwrap_or(0), by_run.values().sum::<u64>());
    // Runs of one view mostly hold the same keys; a table that is too small grows, one that is too large stays so.
    sum.min(largest + largest / 4)
}

fn store_winners(table: &mut Table, files: &[&RunFile], view: &ViewPicture, rows: u64) -> Result<()> {
    if rows < PARALLEL_ROWS_MIN {
        for file in files {
            winners_of_run(file, view, 0..=u64::MAX, |hash, row, seq| table.upsert(hash, row, seq).map(|_| ()))?;
        }
        return Ok(());
    }
    let parts = table.parts(BUILD_THREADS)?;
    let filled = caught(|| {
        threads::each(parts.into_iter(), |mut part| {
            for file in files {
                let hashes = part.hashes();
                winners_of_run(file, view, hashes, |hash, row, seq| part.upsert(hash, row, seq).map(|_| ()))?;
            }
            Ok(())
        })
    });
    let stopped = |panic| Error::refused(format!("a thread that fills a latest table panicked: {panic}"));
    filled.map_err(stopped)?.into_iter().collect()
}

#[cfg(test)]
mod tests;
