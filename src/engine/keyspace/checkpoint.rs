//! Writing the checkpoint of the keyspace, beside groups that go on.

use std::sync::atomic::Ordering;

use super::LiveKeyspace;
use crate::engine::core::{Core, Engine, lock};
use crate::engine::provenance::last_logged_commit;
use crate::error::Result;
use crate::format::checkpoint::{BlockKind, Header};
use crate::format::commits::Commit;
use crate::format::keyspace::VIEW_ID;
use crate::keyspace::Step;
use crate::keyspace::checkpoint::{Checkpoint, CheckpointWriter};

/// Bytes of a piece: who commits waits while one is put together.
const PIECE_BYTES: usize = 128 << 10;
/// What the number of a row in a run counts for: an opening looks at all numbers of a run that has one of the rows since.
const NUMBER_BYTES: u64 = size_of::<u64>() as u64;

/// The checkpoint that there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// The greatest number of which no row up to it has to be read at the next opening.
    first_seq: u64,
    /// Bytes of the file.
    bytes: u64,
}

impl Kept {
    pub fn new(header: Option<Header>) -> Kept {
        header.map_or_else(Kept::default, |header| Kept { first_seq: header.first_seq, bytes: header.file_bytes })
    }
}

/// A walk that ends when this goes, however far it came.
struct Walking<'a>(&'a LiveKeyspace);

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        self.0.read().end_walk();
    }
}

/// A piece, and as of which commit it is.
struct Piece {
    kind: BlockKind,
    step: Step,
    as_of: Commit,
    /// Nothing comes after it.
    is_last: bool,
}

/// The last commit of the log, and the number that was the next then: where that is the next still, none came since.
#[derive(Default)]
struct LastCommit(Option<(u64, Commit)>);

impl Engine {
    /// Writes a checkpoint of the keyspace where the next opening would otherwise read much more than one: more than half of the last one
    /// and some, or anything at all where somebody asked for one. Commits go on meanwhile.
    ///
    /// # Errors
    /// The disk fails, or is full: the checkpoint there was is there still, or the new one already. The store takes no more writes.
    pub fn checkpoint_if_due(&self) -> Result<()> {
        let Some(live) = self.keyspace.get() else { return Ok(()) };
        let mut kept = lock(&live.checkpoint);
        let is_asked_for = live.checkpoint_asked_for.swap(false, Ordering::Relaxed);
        if !self.is_checkpoint_due(live, *kept, is_asked_for) {
            return Ok(());
        }
        self.write_checkpoint(live, &mut kept)
    }

    /// Writes a checkpoint of the keyspace, where any row came since the last.
    ///
    /// # Errors
    /// As [`Engine::checkpoint_if_due`].
    pub fn checkpoint(&self) -> Result<()> {
        let live = self.keyspace()?;
        live.checkpoint_asked_for.store(true, Ordering::Relaxed);
        self.checkpoint_if_due()
    }

    fn is_checkpoint_due(&self, live: &LiveKeyspace, kept: Kept, is_asked_for: bool) -> bool {
        let row_bytes = live.rows_since.load(Ordering::Relaxed);
        if row_bytes == 0 || is_asked_for {
            return row_bytes > 0;
        }
        let picture = self.reads.picture();
        let runs = picture.views.get(&VIEW_ID).into_iter().flat_map(|view| &view.runs);
        let in_runs: u64 = runs.filter(|run| run.record.seq_max > kept.first_seq).map(|run| run.record.rows).sum();
        row_bytes + in_runs * NUMBER_BYTES > self.options.sizes.checkpoint_bytes_min + kept.bytes / 2
    }

    fn write_checkpoint(&self, live: &LiveKeyspace, kept: &mut Kept) -> Result<()> {
        let latest = self.reads.keyspace_on_disk(&self.reads.picture()).latest();
        let mut writer = CheckpointWriter::create(&*self.reads.disk, &latest)?;
        let mut last_commit = LastCommit::default();
        let (first_seq, row_bytes) = {
            let core = self.lock_core();
            core.check_sound()?;
            // A store whose commits nobody remembers has no use for one.
            let Some(first) = self.last_commit(&core, &mut last_commit)? else { return Ok(()) };
            live.read().begin_walk();
            (first.last_seq, live.rows_since.load(Ordering::Relaxed))
        };
        let walking = Walking(live);
        let commit = loop {
            let Some(Piece { kind, step, as_of, is_last }) = self.next_piece(live, &mut last_commit)? else {
                return Ok(());
            };
            writer.push(kind, &step, as_of.last_seq)?;
            if is_last {
                break as_of;
            }
        };
        drop(walking);
        // Before it has the name: it must never have a row that the log could lose.
        self.sync()?;
        let header = writer.finish(Header {
            uuid: self.reads.identity.uuid,
            first_seq,
            last_seq: commit.last_seq,
            commit_at_us: commit.ingested_at,
            // Sweeps since the last piece count, too: a later time is as right.
            forgotten_at_us: live.read().forgotten_at(),
            file_bytes: 0,
            block_count: 0,
        })?;
        *kept = Kept::new(Some(header));
        live.rows_since.fetch_sub(row_bytes, Ordering::Relaxed);
        tracing::debug!(seq = commit.last_seq, bytes = header.file_bytes, "a checkpoint of the keyspace was written");
        Ok(())
    }

    /// The next piece of the walk. Who commits waits for it; no group is being made then, so that all keys are as of one commit.
    fn next_piece(&self, live: &LiveKeyspace, last_commit: &mut LastCommit) -> Result<Option<Piece>> {
        let core = self.lock_core();
        core.check_sound()?;
        let Some(as_of) = self.last_commit(&core, last_commit)? else { return Ok(None) };
        let keys = live.read();
        Ok(Some(match keys.next_of_walk(PIECE_BYTES)? {
            Some((kind, step)) => Piece { kind, step, as_of, is_last: false },
            None => {
                let (kind, step) = keys.last_of_walk()?;
                Piece { kind, step, as_of, is_last: true }
            }
        }))
    }

    /// The log's last commit. The next number says less: others than rows of the log have numbers, and some nobody has.
    fn last_commit(&self, core: &Core, LastCommit(known): &mut LastCommit) -> Result<Option<Commit>> {
        if let Some((_, commit)) = known.filter(|(next_seq, _)| *next_seq == core.next_seq) {
            return Ok(Some(commit));
        }
        let found = last_logged_commit(&*self.reads.disk, &self.reads.dir, &self.reads.picture())?;
        *known = found.map(|commit| (core.next_seq, commit));
        Ok(found)
    }

    /// At open: removes a checkpoint with rows that the store does not have, before it gives their numbers to others.
    pub(in crate::engine) fn remove_foreign_checkpoint(&self) {
        let picture = self.reads.picture();
        let on_disk = self.reads.keyspace_on_disk(&picture);
        // What cannot be read is not used, either.
        let Ok(Some(found)) = Checkpoint::open(on_disk.disk, &on_disk.latest(), &on_disk.identity.uuid) else { return };
        if !matches!(on_disk.has_commit_of(&found.header), Ok(false)) {
            return;
        }
        tracing::info!("the checkpoint of the keyspace has rows that the store does not have, and is removed");
        let removed = on_disk.disk.remove(found.path()).and_then(|()| on_disk.disk.sync_dir(&on_disk.latest()));
        if let Err(error) = removed {
            tracing::warn!(%error, "it cannot be removed, and is not used");
        }
    }
}
