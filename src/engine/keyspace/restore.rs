//! The keyspace at an opening: out of its checkpoint, and the rows since. Without one that can be trusted, out of all rows.

use std::path::PathBuf;

use crate::engine::picture::{Picture, ViewPicture};
use crate::engine::reads::Reads;
use crate::engine::run_source::run_record;
use crate::error::{Error, Result};
use crate::format::checkpoint::Header;
use crate::format::keyspace::{VIEW_ID, read_change};
use crate::format::row::{RowLayout, RowRef};
use crate::history::RunColumn;
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

/// The commit that a checkpoint names, so that one of a history that was lost is told from one of this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Witness {
    pub seq: u64,
    pub at_us: i64,
}

impl Reads {
    /// The folder that the checkpoint is in.
    pub(super) fn latest_folder(&self) -> PathBuf {
        self.dir.join("latest")
    }

    /// The keyspace of a picture.
    ///
    /// # Errors
    /// A run is damaged; the log holds a row that says nothing known.
    pub(in crate::engine) fn restore_keyspace(&self, picture: &Picture) -> Result<Restored> {
        let seed = self.hash_seed();
        let from_checkpoint = self.checkpointed(picture).unwrap_or_else(|error| {
            tracing::warn!(%error, "the checkpoint of the keyspace is not used: all rows are read");
            None
        });
        let (mut restoring, checkpoint) = match from_checkpoint {
            Some((restoring, header)) => (restoring, Some(header)),
            None => (Restoring::new(seed), None),
        };
        let row_bytes = take_rows(picture, &mut restoring)?;
        Ok(Restored { keyspace: restoring.finish(), checkpoint, row_bytes })
    }

    /// The keyspace of a picture out of all its rows, whatever a checkpoint says.
    ///
    /// # Errors
    /// As [`Reads::restore_keyspace`].
    pub(in crate::engine) fn replayed_keyspace(&self, picture: &Picture) -> Result<Keyspace> {
        let mut restoring = Restoring::new(self.hash_seed());
        take_rows(picture, &mut restoring)?;
        Ok(restoring.finish())
    }

    /// The keys of the checkpoint, where there is one that the store's rows go on from.
    ///
    /// # Errors
    /// It is not to be used.
    fn checkpointed(&self, picture: &Picture) -> Result<Option<(Restoring, Header)>> {
        if !picture.views.contains_key(&VIEW_ID) {
            return Ok(None);
        }
        let latest = self.latest_folder();
        let Some(checkpoint) = Checkpoint::open(&*self.disk, &latest, &self.identity.uuid)? else { return Ok(None) };
        if !self.has_commit_of(picture, &checkpoint.header)? {
            return Err(Error::damaged(checkpoint.path(), "it has rows that the store does not have"));
        }
        let mut restoring = Restoring::new(self.hash_seed());
        checkpoint.blocks(|block, records| restoring.block(block, records))?;
        let ended = restoring.end_blocks(&checkpoint.header);
        ended.map_err(|what| Error::damaged(checkpoint.path(), what))?;
        Ok(Some((restoring, checkpoint.header)))
    }

    /// Whether the commit that a checkpoint names is one of the store's.
    ///
    /// # Errors
    /// The times of the store's commits cannot be read.
    pub(in crate::engine) fn has_commit_of(&self, picture: &Picture, header: &Header) -> Result<bool> {
        let found = self.provenance(picture, header.commit_seq)?;
        Ok(found.is_some_and(|found| {
            (found.last_seq, found.ingested_at.0) == (header.commit_seq, header.commit_at_us)
        }))
    }

    /// The store's last commit.
    ///
    /// # Errors
    /// As [`Reads::has_commit_of`].
    pub(super) fn last_commit(&self, picture: &Picture) -> Result<Option<Witness>> {
        let past_the_log = picture.state.commits().map(|commit| Witness { seq: commit.seq_last, at_us: commit.ingested_at_us });
        let in_the_tail = picture.tail.iter().rev().find_map(|tail| tail.commits().last().copied());
        let in_the_log = match (in_the_tail, picture.state.clocks().last()) {
            (Some(commit), _) => Some(commit),
            (None, Some(clock)) => self.commits_of(clock)?.last().copied(),
            (None, None) => None,
        };
        let in_the_log = in_the_log.map(|commit| Witness { seq: commit.last_seq, at_us: commit.ingested_at });
        Ok(past_the_log.chain(in_the_log).max())
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
