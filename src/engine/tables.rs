//! Latest tables in the hands of the committer: opened, made, given up. `filling` has those on their way.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::core::{Core, Engine};
use super::filling::Filling;
use super::picture::{ViewPicture, table_shape};
use super::reads::Sight;
use super::truncates;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::log::Frame;
use crate::format::truncate::Truncate;
use crate::latest::{Opened, Table, TableOptions};
use crate::registry::RegistryState;

/// The tables that take every commit, by view id.
pub(super) type Tables = BTreeMap<u32, Table>;

/// Gives up the tables of a store whose log was cut short, or where nobody can say where it ended: they may hold rows that are
/// lost. Before HEAD tells of a writer: other processes would take them for that writer's, and after a kill it would be forgotten
/// that the log was cut. Whoever has one open drops it at the epoch of that writer.
pub(super) fn retire_tables(disk: &dyn Disk, dir: &Path, state: &RegistryState) -> Result<()> {
    let latest = dir.join("latest");
    state.views().try_for_each(|view| retire_or_remove(disk, &latest.join(view.dir_name())).map(drop))?;
    // After a power failure, too, whichever opening removed one.
    disk.sync_dir(&latest)
}

/// Removes the tables that this process may not write to; they are built anew. Before HEAD tells of a writer: who takes one for that
/// writer's would ask it for as long as that writer lives, and be told by nobody.
pub(super) fn remove_unwritable_tables(disk: &dyn Disk, dir: &Path, state: &RegistryState) -> Result<()> {
    state.views().try_for_each(|view| Table::remove_unwritable(disk, &dir.join("latest").join(view.dir_name())))
}

/// Gives up a table that cannot be used. Where that cannot be written into it, it loses its name; not for want of a descriptor, which says
/// nothing of the table. Whether whoever has it open was told.
fn retire_or_remove(disk: &dyn Disk, path: &Path) -> Result<bool> {
    match Table::retire_file(disk, path) {
        Ok(()) => Ok(true),
        Err(error) if error.is_too_many_open_files() => refused_if_there(disk, path, error).map(|()| true),
        Err(error) => match disk.remove(path) {
            Ok(()) => {
                tracing::warn!(error = error.as_cause(), "the latest table cannot be written to, and is removed");
                Ok(false)
            }
            // Whether there is a file was not said, either.
            Err(other) if other.is_missing_file() => Ok(true),
            Err(_) => Err(error),
        },
    }
}

/// What becomes of a table that was not opened for want of a descriptor: `error`, unless there is none.
fn refused_if_there(disk: &dyn Disk, path: &Path, error: Error) -> Result<()> {
    if disk.exists(path)? { Err(error) } else { Ok(()) }
}

impl Engine {
    fn table_path(&self, view: &ViewPicture) -> PathBuf {
        self.reads.dir.join("latest").join(view.record.dir_name())
    }

    fn table_options(&self, expected_keys: u64, floor: Option<Truncate>) -> TableOptions {
        TableOptions { expected_keys, reserve_bytes: self.options.sizes.table_reserve_bytes, floor }
    }

    /// At open: takes over the tables that can be trusted and brings them up. The others are missing until they are built. No row of the
    /// log has a greater number than `last_seq`. Whether all who have one of the others open were told.
    pub(super) fn open_tables(&self, last_seq: u64) -> Result<bool> {
        let mut core = self.lock_core();
        // HEAD may say less until the tables have every row.
        let sight = Sight { seq: core.state.committed_seq, picture: self.reads.picture() };
        let disk = &*self.reads.disk;
        let mut are_told = true;
        let mut opened = Vec::new();
        for (&id, view) in sight.picture.views.iter().filter(|(_, view)| view.record.has_table()) {
            let path = self.table_path(view);
            let shape = table_shape(view, &self.reads.identity);
            // One that was truncated since is not to be brought up: what was deleted never goes out of a table.
            let options = self.table_options(0, truncates::greatest(view, &sight.picture.tail));
            let table = match Table::open(disk, &path, shape, &options, sight.seq) {
                Ok(Opened::Trusted(table)) => table,
                Ok(Opened::NeedsRebuild(why)) => {
                    tracing::info!(view = view.record.dir_name(), why, "the latest table is built anew");
                    are_told &= retire_or_remove(disk, &path)?;
                    continue;
                }
                Err(error) if error.io_kind() == Some(io::ErrorKind::IsADirectory) => {
                    let path = path.display();
                    tracing::warn!(%path, "it is no latest table, and is left alone; reads take the as-of path");
                    continue;
                }
                // Nothing is wrong with it, and what the store is opened for wants descriptors, too. Where there is none, none is given up.
                Err(error) if error.is_too_many_open_files() => {
                    refused_if_there(disk, &path, error)?;
                    continue;
                }
                // Nothing is lost with it, and the store opens without, once nobody takes it for the one of today.
                Err(error) => {
                    let view = view.record.dir_name();
                    tracing::warn!(%error, view, "the latest table cannot be opened and is built anew; reads take the as-of path");
                    are_told &= retire_or_remove(disk, &path)?;
                    continue;
                }
            };
            let (applied_seq, _) = table.applied();
            // A log that ends early where nothing but a kill came between was damaged, and the table may have what it lost.
            if applied_seq > last_seq {
                tracing::info!(
                    view = view.record.dir_name(),
                    "the latest table may be ahead of the log and is built anew"
                );
                table.retire();
                continue;
            }
            let mut filling = Filling { table, applied_seq };
            match self.catch_up(&mut filling, id, &sight) {
                Ok(_) if filling.table.stats().is_worn() => {
                    tracing::info!(view = view.record.dir_name(), "the latest table is worn and is built anew");
                    filling.table.retire();
                }
                Ok(_) => opened.push((id, filling.table)),
                // It is marked behind: the next opening brings it up.
                Err(error) if error.is_too_many_open_files() => return Err(error),
                Err(error) => give_up(filling.table, view, &error),
            }
        }
        self.install_tables(&mut core, opened);
        Ok(are_told)
    }

    /// Views without a table, oldest first.
    pub(super) fn missing_tables(&self, core: &Core) -> Vec<u32> {
        let picture = self.reads.picture();
        let wanted = picture.views.iter().filter(|(_, view)| view.record.has_table());
        wanted.map(|(id, _)| *id).filter(|id| !core.tables.contains_key(id)).collect()
    }

    /// Makes the tables of views that have no row yet.
    pub(super) fn make_empty_tables(&self, core: &mut Core) {
        let picture = self.reads.picture();
        let mut made = Vec::new();
        for id in self.missing_tables(core) {
            let view = picture.view(id);
            let has_rows = !view.runs.is_empty() || picture.tail.iter().any(|tail| tail.read().contains_key(&id));
            if has_rows || core.filling.contains(&id) {
                continue;
            }
            match self.create_table(view, 0, truncates::greatest(view, &picture.tail)) {
                Ok(table) => made.push((id, table)),
                Err(error) => tracing::warn!(
                    error = error.as_cause(),
                    "a latest table could not be made; reads take the as-of path"
                ),
            }
        }
        if !made.is_empty() {
            self.install_tables(core, made);
        }
    }

    /// A new table, which takes no row that `floor` deleted.
    pub(super) fn create_table(
        &self,
        view: &ViewPicture,
        expected_keys: u64,
        floor: Option<Truncate>,
    ) -> Result<Table> {
        let path = self.table_path(view);
        Table::remove_file(&*self.reads.disk, &path)?;
        let shape = table_shape(view, &self.reads.identity);
        Table::create(&*self.reads.disk, &path, shape, &self.table_options(expected_keys, floor))
    }

    /// The table has every committed row: from here on commits go into it, and reads may answer from it.
    pub(super) fn install_table(&self, core: &mut Core, view_id: u32, table: Table) {
        self.install_tables(core, [(view_id, table)]);
    }

    /// [`Engine::install_table`] of several, in one picture.
    fn install_tables(&self, core: &mut Core, tables: impl IntoIterator<Item = (u32, Table)>) {
        let mut readers = Vec::new();
        for (view_id, mut table) in tables {
            table.clear_behind();
            table.commit(core.state.committed_seq, core.log.end());
            // A store without threads of its own has none for this, either.
            if self.options.sync_beside_rows_min.is_some() {
                table.populate_ahead();
            }
            readers.push((view_id, Some(table.open_reader())));
            if let Some(replaced) = core.tables.insert(view_id, table) {
                replaced.retire();
            }
        }
        self.reads.set_picture(self.reads.picture().with_tables(readers));
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

    /// The rows of a committed frame, into the tables. A table that cannot take them is given up; that of a view which is truncated
    /// makes way for one without the rows of before.
    pub(super) fn apply_to_tables(&self, core: &mut Core, frame: &Frame<'_>, hashes: &[u64]) {
        let mut hashes = hashes;
        let mut seq = frame.first_seq;
        for section in frame.sections() {
            let (mine, rest) = hashes.split_at(section.row_count as usize);
            hashes = rest;
            let first = seq;
            seq += u64::from(section.row_count);
            let Some(table) = core.tables.get_mut(&section.view_id) else { continue };
            let applied = apply_section(table, section.records, mine, first);
            if let Ok(Applied::Rows) = applied {
                table.commit(seq - 1, core.log.end());
                continue;
            }
            let picture = self.reads.picture();
            self.reads.set_picture(picture.with_tables([(section.view_id, None)]));
            let Some(table) = core.tables.remove(&section.view_id) else { continue };
            match applied {
                // Before anybody can know of the truncate: whoever has the table open finds that it answers no more.
                Ok(_) => table.retire(),
                Err(error) => give_up(table, picture.view(section.view_id), &error),
            }
        }
    }

    /// Closes the tables in order, so that the next open trusts them. One that cannot be closed is built anew then; one without a
    /// key is left as after a kill, for after a power failure another is made as fast as this one is opened.
    pub(super) fn close_tables(&self, core: &mut Core) {
        let (committed, end) = (core.state.committed_seq, core.log.end());
        for (_, mut table) in std::mem::take(&mut core.tables) {
            table.commit(committed, end);
            let stats = table.stats();
            if stats.is_worn() {
                table.retire();
            } else if stats.keys == 0 {
                drop(table);
            } else if let Err(error) = table.close() {
                tracing::warn!(
                    error = error.as_cause(),
                    "a latest table cannot be closed and is built anew when the store is next opened"
                );
            }
        }
        if let Err(error) = self.reads.disk.sync_dir(&self.reads.dir.join("latest")) {
            tracing::warn!(%error, "latest tables are built anew if the machine stops");
        }
    }
}

fn give_up(mut table: Table, view: &ViewPicture, error: &Error) {
    let view = view.record.dir_name();
    tracing::warn!(error = error.as_cause(), view, "the latest table is given up and built anew");
    if error.kind() == ErrorKind::NoSpace { table.mark_behind() } else { table.retire() }
}

/// What became of rows that were to go into a table.
enum Applied {
    /// They are in it.
    Rows,
    /// One of them is a truncate, after what the table leaves out already.
    Truncated,
}

fn apply_section(table: &mut Table, records: &[u8], hashes: &[u64], first_seq: u64) -> Result<Applied> {
    let mut rest = records;
    for ((next, &hash), seq) in hashes.iter().enumerate().zip(first_seq..) {
        table.fetch_ahead(hashes, next);
        let parsed = crate::format::row::RowRef::parse_unchecked_image(rest);
        let (row, after) = parsed.map_err(|what| Error::invalid(format!("a record that was logged: {what}")))?;
        rest = after;
        match Truncate::of_row(&row, seq) {
            Some(truncate) if table.floor().is_none_or(|floor| floor < truncate) => return Ok(Applied::Truncated),
            Some(_) => {}
            None => _ = table.upsert(hash, &row, seq)?,
        }
    }
    Ok(Applied::Rows)
}

#[cfg(test)]
mod tests;
