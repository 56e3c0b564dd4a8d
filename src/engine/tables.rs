//! Latest tables in the hands of the committer: opened, made, filled behind the back of commits, given up.
//!
//! A table that is being filled is marked behind, and commits leave it alone; readers take the as-of path. Whoever
//! fills it goes over what was committed meanwhile, and does the last of it under the core lock, where
//! nothing more can be committed: then the table has every row, and is the committer's.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::core::{Core, Engine};
use super::orphans::{Place, remove_unnamed};
use super::picture::{ViewPicture, table_shape};
use super::reads::Sight;
use super::seal::BUILD_THREADS;
use super::winners::{rows_of_tail, winners_of_run};
use crate::error::{Error, ErrorKind, Result};
use crate::format::log::Frame;
use crate::history::RunFile;
use crate::latest::{Opened, Table, TableOptions};
use crate::registry::RegistryState;

/// Fewer rows than this are stored by one thread.
const PARALLEL_ROWS_MIN: u64 = 50_000;
/// A table of so few keys may as well grow.
const SMALL_KEYS_MAX: u64 = 1_000;
/// Rounds of going over what was committed meanwhile, before commits are made to wait for the last.
const ROUNDS_MAX: usize = 8;
/// So few rows are left for the last round.
const LAST_ROWS: u64 = 10_000;

/// The tables that take every commit, by view id.
pub(super) type Tables = BTreeMap<u32, Table>;

/// What an opening found of the rows that tables were told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// No row has a greater number.
    pub last_seq: u64,
    /// The log holds something beyond its end, or nobody can say where it ended.
    pub is_cut: bool,
}

/// A table on its way: it has every row up to `applied_seq`, and may have later ones.
struct Filling {
    table: Table,
    applied_seq: u64,
}

impl Engine {
    fn table_path(&self, view: &ViewPicture) -> PathBuf {
        self.reads.dir.join("latest").join(view.record.dir_name())
    }

    fn table_options(&self, expected_keys: u64) -> TableOptions {
        TableOptions { expected_keys, reserve_bytes: self.options.sizes.table_reserve_bytes }
    }

    /// At open: takes over the tables that can be trusted and brings them up; removes what no view names. The
    /// others are missing until they are built.
    pub(super) fn open_tables(&self, found: Found) -> Result<()> {
        let mut core = self.lock_core();
        // HEAD may say less until the tables have every row.
        let sight = Sight { seq: core.state.committed_seq, picture: self.reads.picture() };
        let disk = &*self.reads.disk;
        let mut named = Vec::new();
        for (&id, view) in sight.picture.views.iter().filter(|(_, view)| !view.record.is_dropped()) {
            let path = self.table_path(view);
            named.push(path.clone());
            let shape = table_shape(view, &self.reads.identity);
            let table = match Table::open(disk, &path, shape, &self.table_options(0)) {
                Ok(Opened::Trusted(table)) => table,
                Ok(Opened::NeedsRebuild(why)) => {
                    tracing::info!(view = view.record.dir_name(), why, "the latest table is built anew");
                    Table::retire_file(disk, &path)?;
                    continue;
                }
                Err(error) if error.io_kind() == Some(io::ErrorKind::IsADirectory) => {
                    let path = path.display();
                    tracing::warn!(%path, "it is no latest table, and is left alone; reads take the as-of path");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (applied_seq, _) = table.applied();
            // A log that ends early where nothing but a kill came between was damaged, and the table may have what it lost.
            if applied_seq > found.last_seq || found.is_cut && table.is_behind() {
                tracing::info!(
                    view = view.record.dir_name(),
                    "the latest table may be ahead of the log and is built anew"
                );
                table.retire();
                continue;
            }
            let mut filling = Filling { table, applied_seq };
            if applied_seq < core.state.committed_seq {
                filling.table.mark_behind();
            }
            match self.catch_up(&mut filling, id, &sight) {
                Ok(_) => self.install_table(&mut core, id, filling.table),
                Err(error) => give_up(filling.table, view, &error),
            }
        }
        remove_unnamed(disk, &self.reads.dir.join("latest"), Place::Latest, &named, |path| {
            Table::retire_file(disk, path)?;
            disk.remove(path)
        })
    }

    /// Views without a table, oldest first.
    pub(super) fn missing_tables(&self, core: &Core) -> Vec<u32> {
        let picture = self.reads.picture();
        let wanted = picture.views.iter().filter(|(_, view)| !view.record.is_dropped());
        wanted.map(|(id, _)| *id).filter(|id| !core.tables.contains_key(id)).collect()
    }

    /// Makes the tables of views that have no row yet.
    pub(super) fn make_empty_tables(&self, core: &mut Core) {
        for id in self.missing_tables(core) {
            let picture = self.reads.picture();
            let view = picture.view(id);
            let has_rows = !view.runs.is_empty() || picture.tail.iter().any(|tail| tail.read().contains_key(&id));
            if has_rows || core.filling.contains(&id) {
                continue;
            }
            match self.create_table(view, 0) {
                Ok(table) => self.install_table(core, id, table),
                Err(error) => tracing::warn!(%error, "a latest table could not be made; reads take the as-of path"),
            }
        }
    }

    fn create_table(&self, view: &ViewPicture, expected_keys: u64) -> Result<Table> {
        let path = self.table_path(view);
        // Who has the file open is told, and looks for the one that takes its name.
        Table::retire_file(&*self.reads.disk, &path)?;
        if let Err(error) = self.reads.disk.remove(&path)
            && !error.is_missing_file()
        {
            return Err(error);
        }
        let shape = table_shape(view, &self.reads.identity);
        Table::create(&*self.reads.disk, &path, shape, &self.table_options(expected_keys))
    }

    /// Builds the tables that are missing. Commits and reads go on meanwhile.
    ///
    /// # Errors
    /// A run is damaged, or the disk is full: reads of that view go on over the as-of path, and the other views get theirs.
    pub fn build_missing_tables(&self) -> Result<()> {
        let outcomes: Vec<Result<()>> = self.view_ids().into_iter().map(|id| self.build_missing_table(id)).collect();
        outcomes.into_iter().collect()
    }

    /// [`Engine::build_missing_tables`] for one view, where its table is missing and nobody is at work on it.
    ///
    /// # Errors
    /// As [`Engine::build_missing_tables`].
    pub fn build_missing_table(&self, id: u32) -> Result<()> {
        let view = {
            let mut core = self.lock_core();
            let view = Arc::clone(self.reads.picture().view(id));
            let is_there = core.tables.contains_key(&id) || core.filling.contains(&id);
            if is_there || view.record.is_dropped() || core.check_sound().is_err() {
                return Ok(());
            }
            core.filling.insert(id);
            view
        };
        let built = self.create_table(&view, expected_keys(&view)).and_then(|table| {
            let filling = Filling { table, applied_seq: 0 };
            self.finish_filling(filling, id)
        });
        self.lock_core().filling.remove(&id);
        built
    }

    /// Takes a table that is behind from commits, to be filled. `None` where somebody fills it already, who finds all
    /// rows that were committed before the table is the committer's again.
    pub(super) fn take_table(core: &mut Core, view_id: u32) -> Option<Table> {
        let mut table = core.tables.remove(&view_id)?;
        table.mark_behind();
        core.filling.insert(view_id);
        Some(table)
    }

    /// An import has been committed: its rows go into the view's table.
    pub(super) fn fill_after_import(&self, view_id: u32, table: Table) {
        let (applied_seq, _) = table.applied();
        let filling = Filling { table, applied_seq };
        let picture = self.reads.picture();
        let view = picture.view(view_id);
        let keys = filling.table.stats().keys;
        let filled = if expected_keys(view) > 2 * keys.max(SMALL_KEYS_MAX) {
            // Growing to many times its size costs more than a table of the right size: rows come in hash order and crowd the groups that
            // are there.
            filling.table.retire();
            let anew = self.create_table(view, expected_keys(view));
            anew.and_then(|table| self.finish_filling(Filling { table, applied_seq: 0 }, view_id))
        } else {
            self.finish_filling(filling, view_id)
        };
        self.lock_core().filling.remove(&view_id);
        if let Err(error) = filled {
            tracing::warn!(%error, "the latest table is behind; reads take the as-of path until it is built anew");
        }
    }

    fn finish_filling(&self, mut filling: Filling, view_id: u32) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let sight = self.reads.sight()?;
            if !fits(&filling.table, sight.picture.view(view_id)) {
                break;
            }
            if self.round(&mut filling, view_id, sight)? < LAST_ROWS {
                break;
            }
        }
        let mut core = self.lock_core();
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
    fn catch_up(&self, filling: &mut Filling, view_id: u32, sight: &Sight) -> Result<u64> {
        let view = sight.picture.view(view_id);
        let newer: Vec<_> = view.runs.iter().filter(|run| run.record.seq_max > filling.applied_seq).collect();
        let files: Vec<&RunFile> = newer.iter().map(|run| run.open()).collect::<Result<_>>()?;
        let mut rows = newer.iter().map(|run| run.record.entities).sum();
        fill(&mut filling.table, &files, view, rows)?;
        for segment in &sight.picture.tail {
            rows_of_tail(segment, view, self.reads.hash_seed(), filling.applied_seq, |hash, row, seq| {
                rows += 1;
                filling.table.upsert(hash, row, seq).map(|_| ())
            })?;
        }
        filling.applied_seq = sight.seq;
        Ok(rows)
    }

    /// The table has every committed row: from here on commits go into it, and reads may answer from it.
    fn install_table(&self, core: &mut Core, view_id: u32, mut table: Table) {
        table.clear_behind();
        table.commit(core.state.committed_seq, core.log.end());
        let picture = self.reads.picture();
        self.reads.set_picture(picture.with_table(view_id, Some(table.open_reader())));
        core.tables.insert(view_id, table);
    }

    /// Gives up tables whose layout the registry no longer has. Before anything can be written in the new one.
    pub(super) fn retire_changed_tables(core: &mut Core, state: &RegistryState) {
        let changed = |id: &u32, table: &Table| {
            state.view(*id).is_none_or(|view| {
                view.is_dropped() || view.field_types() != *table.open_reader().layout().shape().row.types()
            })
        };
        let gone: Vec<u32> = core.tables.iter().filter(|(id, table)| changed(id, table)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(table) = core.tables.remove(&id) {
                table.retire();
            }
        }
    }

    /// Gives the tables room for the rows of frames that are about to be committed.
    pub(super) fn make_tables_ready(core: &mut Core, frames: &[(Frame<'_>, &[u64])]) {
        for (frame, hashes) in frames {
            let mut hashes = *hashes;
            for section in frame.sections() {
                let (mine, rest) = hashes.split_at(section.row_count as usize);
                hashes = rest;
                if let Some(table) = core.tables.get_mut(&section.view_id) {
                    table.make_ready(mine);
                }
            }
        }
    }

    /// The rows of a committed frame, into the tables. A table that cannot take them is given up.
    pub(super) fn apply_to_tables(&self, core: &mut Core, frame: &Frame<'_>, hashes: &[u64]) {
        let mut hashes = hashes;
        let mut seq = frame.first_seq;
        for section in frame.sections() {
            let (mine, rest) = hashes.split_at(section.row_count as usize);
            hashes = rest;
            let first = seq;
            seq += u64::from(section.row_count);
            let Some(table) = core.tables.get_mut(&section.view_id) else { continue };
            if let Err(error) = apply_section(table, section.records, mine, first) {
                let picture = self.reads.picture();
                self.reads.set_picture(picture.with_table(section.view_id, None));
                if let Some(table) = core.tables.remove(&section.view_id) {
                    give_up(table, picture.view(section.view_id), &error);
                }
                continue;
            }
            table.commit(seq - 1, core.log.end());
        }
    }

    /// Closes the tables in order, so that the next open trusts them.
    pub(super) fn close_tables(&self, core: &mut Core) -> Result<()> {
        let (committed, end) = (core.state.committed_seq, core.log.end());
        for (_, mut table) in std::mem::take(&mut core.tables) {
            table.commit(committed, end);
            table.close()?;
        }
        self.reads.disk.sync_dir(&self.reads.dir.join("latest"))
    }
}

/// Whether a table is what a view's present definition wants.
fn fits(table: &Table, view: &ViewPicture) -> bool {
    !view.record.is_dropped() && table.open_reader().layout().shape().row == *view.layout
}

fn give_up(mut table: Table, view: &ViewPicture, error: &Error) {
    let view = view.record.dir_name();
    tracing::warn!(%error, view, "the latest table is given up and built anew at the next open");
    if error.kind() == ErrorKind::NoSpace { table.mark_behind() } else { table.retire() }
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

fn fill(table: &mut Table, files: &[&RunFile], view: &ViewPicture, rows: u64) -> Result<()> {
    if rows < PARALLEL_ROWS_MIN {
        for file in files {
            winners_of_run(file, view, 0..=u64::MAX, |hash, row, seq| table.upsert(hash, row, seq).map(|_| ()))?;
        }
        return Ok(());
    }
    let parts = table.parts(BUILD_THREADS)?;
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|mut part| {
                scope.spawn(move || {
                    for file in files {
                        let hashes = part.hashes();
                        winners_of_run(file, view, hashes, |hash, row, seq| part.upsert(hash, row, seq).map(|_| ()))?;
                    }
                    Ok(())
                })
            })
            .collect();
        let stopped = || Err(Error::refused("a thread that fills a latest table stopped"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| stopped())).collect()
    });
    outcomes.into_iter().collect()
}

fn apply_section(table: &mut Table, records: &[u8], hashes: &[u64], first_seq: u64) -> Result<()> {
    let mut rest = records;
    for ((next, &hash), seq) in hashes.iter().enumerate().zip(first_seq..) {
        table.fetch_ahead(hashes, next);
        let parsed = crate::format::row::RowRef::parse_unchecked_image(rest);
        let (row, after) = parsed.map_err(|what| Error::invalid(format!("a record that was logged: {what}")))?;
        table.upsert(hash, &row, seq)?;
        rest = after;
    }
    Ok(())
}
