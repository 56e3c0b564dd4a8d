//! The keyspace at an opening: out of its checkpoint, and the rows since. Without one that can be trusted, out of all rows.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::engine::picture::{Picture, ViewPicture};
use crate::engine::provenance::logged_commit;
use crate::engine::reads::Reads;
use crate::engine::run_source::run_record;
use crate::error::{Error, Result};
use crate::format::checkpoint::Header;
use crate::format::keyspace::{VIEW_ID, read_change};
use crate::format::row::{RowLayout, RowRef};
use crate::history::RunColumn;
use crate::identity::Identity;
use crate::keyspace::checkpoint::Checkpoint;
use crate::keyspace::{Keyspace, Restoring};

/// Bytes of a row's record beside its key and its image, about.
const RECORD_BYTES: usize = 16;

/// The keyspace, and what it took to have it.
#[derive(Debug)]
pub(in crate::engine) struct Restored {
    pub keyspace: Keyspace,
    /// Of the checkpoint that was used.
    pub checkpoint: Option<Header>,
    /// Bytes of the rows that it does not have.
    pub row_bytes: u64,
}

/// Where the keyspace is on disk: its checkpoint, and the runs and the tail of a picture.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct KeyspaceOnDisk<'a> {
    pub disk: &'a dyn Disk,
    pub dir: &'a Path,
    pub identity: &'a Identity,
    pub picture: &'a Picture,
}

impl Reads {
    /// The keyspace of a picture, on disk.
    pub(in crate::engine) fn keyspace_on_disk<'a>(&'a self, picture: &'a Picture) -> KeyspaceOnDisk<'a> {
        KeyspaceOnDisk { disk: &*self.disk, dir: &self.dir, identity: &self.identity, picture }
    }
}

impl KeyspaceOnDisk<'_> {
    /// The folder that the checkpoint is in.
    pub fn latest(&self) -> PathBuf {
        self.dir.join("latest")
    }

    /// The keys, out of the checkpoint and the rows since; out of all rows where there is none that can be trusted.
    ///
    /// # Errors
    /// A run is damaged; the log holds a row that says nothing known.
    pub fn restore(&self) -> Result<Restored> {
        let found = self.checkpoint().and_then(|found| found.map(|checkpoint| self.begin(&checkpoint)).transpose());
        let from_checkpoint = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the checkpoint of the keyspace is not used: all rows are read");
            None
        });
        let (mut restoring, checkpoint) = match from_checkpoint {
            Some((restoring, header)) => (restoring, Some(header)),
            None => (Restoring::new(self.identity.hash_seed), None),
        };
        let row_bytes = take_rows(self.picture, &mut restoring)?;
        Ok(Restored { keyspace: restoring.finish(), checkpoint, row_bytes })
    }

    /// The keys out of all rows, whatever a checkpoint says.
    ///
    /// # Errors
    /// As [`KeyspaceOnDisk::restore`].
    pub fn replay(&self) -> Result<Keyspace> {
        let mut restoring = Restoring::new(self.identity.hash_seed);
        take_rows(self.picture, &mut restoring)?;
        Ok(restoring.finish())
    }

    /// The keys out of a checkpoint and the rows since.
    ///
    /// # Errors
    /// The checkpoint or a run is damaged.
    pub fn restore_from(&self, checkpoint: &Checkpoint) -> Result<Keyspace> {
        let (mut restoring, _) = self.begin(checkpoint)?;
        take_rows(self.picture, &mut restoring)?;
        Ok(restoring.finish())
    }

    /// The checkpoint, where there is one that the store's rows go on from.
    ///
    /// # Errors
    /// It is not to be used.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        if !self.picture.views.contains_key(&VIEW_ID) {
            return Ok(None);
        }
        let found = Checkpoint::open(self.disk, &self.latest(), &self.identity.uuid)?;
        let Some(checkpoint) = found else { return Ok(None) };
        if !self.has_commit_of(&checkpoint.header)? {
            return Err(Error::damaged(checkpoint.path(), "it has rows that the store does not have"));
        }
        Ok(Some(checkpoint))
    }

    /// Whether the commit that a checkpoint names is one of the store's: otherwise it is of a history that was lost, or is of another copy.
    ///
    /// # Errors
    /// The times of the store's commits cannot be read.
    pub fn has_commit_of(&self, header: &Header) -> Result<bool> {
        let found = logged_commit(self.disk, self.dir, self.picture, header.last_seq)?;
        Ok(found.is_some_and(|found| (found.last_seq, found.ingested_at) == (header.last_seq, header.commit_at_us)))
    }

    fn begin(&self, checkpoint: &Checkpoint) -> Result<(Restoring, Header)> {
        let mut restoring = Restoring::new(self.identity.hash_seed);
        checkpoint.blocks(|block, records| restoring.block(block, records))?;
        let ended = restoring.end_blocks(&checkpoint.header);
        ended.map_err(|what| Error::damaged(checkpoint.path(), what))?;
        Ok((restoring, checkpoint.header))
    }
}

/// Does what the rows say that are not in the blocks, in the order of their numbers; how many bytes they are.
fn take_rows(picture: &Picture, restoring: &mut Restoring) -> Result<u64> {
    let Some(view) = picture.views.get(&VIEW_ID) else { return Ok(0) };
    let mut bytes = take_run_rows(view, restoring)?;
    let first = restoring.first_seq();
    for segment in &picture.tail {
        let views = segment.read();
        for (at, row) in views.get(&VIEW_ID).into_iter().flat_map(|rows| rows.rows_after(first, usize::MAX)) {
            bytes += (row.key.len() + row.image.len() + RECORD_BYTES) as u64;
            take_row(at.seq, &row, &view.layout, restoring)?;
        }
    }
    Ok(bytes)
}

/// Rows of the runs, which lie there key by key.
fn take_run_rows(view: &ViewPicture, restoring: &mut Restoring) -> Result<u64> {
    let first = restoring.first_seq();
    let runs = view.runs.iter().filter(|run| run.record.seq_max > first);
    let files = runs.map(|run| run.open()).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<(u64, u32, u32)> = Vec::new();
    for (number, file) in (0_u32..).zip(&files) {
        if first == 0 {
            file.verify_all()?;
        }
        file.verify_column(RunColumn::Seq)?;
        let base = file.seq_base();
        let seqs = (0_u32..).zip(file.seq()).map(|(row, seq)| (base + seq, number, row));
        rows.extend(seqs.filter(|(seq, ..)| *seq > first));
    }
    rows.sort_unstable();
    let (mut key, mut bytes) = (Vec::new(), 0);
    for (seq, number, row) in rows {
        let (file, row) = (files[number as usize], row as usize);
        file.verify_whole_rows(row..row + 1)?;
        key.clear();
        file.push_key(row, &mut key)?;
        let record = run_record(file, row, &key, &view.layout)?;
        bytes += record.len() as u64;
        let (row, _) = RowRef::parse(&record, &view.layout).map_err(Error::invalid)?;
        take_row(seq, &row, &view.layout, restoring)?;
    }
    Ok(bytes)
}

fn take_row(seq: u64, row: &RowRef<'_>, layout: &RowLayout, restoring: &mut Restoring) -> Result<()> {
    let (key, change) = read_change(row, layout).map_err(Error::invalid)?;
    restoring.row(seq, key, change, row.head.event_ts);
    Ok(())
}
