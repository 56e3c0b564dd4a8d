//! The path of a write: queue, number, log, sync, tail, HEAD, answer. While a sync goes on, what comes after it is made
//! ready as far as nobody can see.
//!
//! Group commit needs no thread of its own: whoever gets the core lock commits everything that is
//! queued, and the others find their answer when they get it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::core::{Core, Engine, lock};
use crate::error::{Error, Result};
use crate::format::commits::Commit;
use crate::format::log::{Frame, FrameBuilder, LogPosition, Section};
use crate::options::Durability;
use crate::tail::{RecordPlace, TailSegment};

/// A group takes frames up to about this, so that one sync does not wait for ever.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// From so many rows on making them ready takes longer than it takes to wake the thread that syncs.
pub const SYNC_BESIDE_ROWS_MIN: u64 = 100;

/// What a commit gave a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of its first row.
    pub first_seq: u64,
    /// How many rows.
    pub rows: u32,
    /// When it was committed, microseconds since 1970.
    pub ingested_at_us: i64,
}

/// A batch on its way.
#[derive(Debug)]
pub struct Pending {
    state: Mutex<PendingState>,
}

#[derive(Debug)]
enum PendingState {
    Queued(Batch),
    Done(Result<Committed>),
    Taken,
}

/// An encoded batch: its frame, and the key hashes of its rows, section after section.
#[derive(Debug, Default)]
pub struct Batch {
    /// The row records.
    pub frame: FrameBuilder,
    /// One hash a row.
    pub hashes: Vec<u64>,
    /// The view that its rows are of, where it is handed in by who does not hold the core.
    pub view_id: u32,
    /// It has rows of the keyspace.
    pub has_keyspace: bool,
    /// Views that it truncates.
    pub truncates: Vec<u32>,
    /// Who wrote it.
    pub source: u32,
    /// Where in the frame the records begin whose created timestamps are to be no earlier than the commit.
    pub undated: Vec<usize>,
}

impl Engine {
    /// Commits a batch, whole, with as much durability as the store was opened for.
    ///
    /// # Errors
    /// `Refused`: the view was dropped meanwhile. `NoSpace`: nothing was written. Otherwise the log could not be written or synced,
    /// and takes no more writes; whether it has the batch shows at the next open.
    pub fn commit(&self, batch: Batch) -> Result<Committed> {
        self.relieve_tail()?;
        let pending = Arc::new(Pending { state: Mutex::new(PendingState::Queued(batch)) });
        lock(&self.queue).push(Arc::clone(&pending));
        let mut core = self.lock_core();
        loop {
            let mut state = lock(&pending.state);
            match std::mem::replace(&mut *state, PendingState::Taken) {
                PendingState::Done(outcome) => return outcome,
                queued => *state = queued,
            }
            drop(state);
            // Whoever took it may have panicked on the way.
            if let Err(error) = core.check_sound() {
                lock(&self.queue).retain(|other| !Arc::ptr_eq(other, &pending));
                return Err(error);
            }
            self.commit_queued(&mut core);
        }
    }

    /// Makes what was committed durable.
    ///
    /// # Errors
    /// The log cannot be synced, and takes no more writes.
    pub fn sync(&self) -> Result<()> {
        let mut core = self.lock_core();
        if !core.is_closed && core.log.synced() < core.log.end() {
            core.log.sync()?;
            self.publish_head(&mut core);
        }
        Ok(())
    }

    /// Commits what is queued, up to a group's size.
    pub(super) fn commit_queued(&self, core: &mut Core) {
        let mut group: Vec<(Arc<Pending>, Batch)> = Vec::new();
        let mut bytes = 0;
        let picture = self.reads.picture();
        let mut queue = lock(&self.queue);
        let mut taken = 0;
        for pending in queue.iter() {
            let mut state = lock(&pending.state);
            let PendingState::Queued(batch) = &mut *state else { break };
            if let Err(error) = picture.check_takes_rows(batch.view_id) {
                *state = PendingState::Done(Err(error));
                taken += 1;
                continue;
            }
            if bytes > 0 && bytes + batch.frame.len_bytes() > GROUP_BYTES_MAX {
                break;
            }
            bytes += batch.frame.len_bytes();
            group.push((Arc::clone(pending), std::mem::take(batch)));
            taken += 1;
        }
        queue.drain(..taken);
        drop(queue);
        if group.is_empty() {
            return;
        }
        let outcome = self.commit_group(core, &mut group, bytes);
        let mut first_seq = outcome.as_ref().ok().copied();
        for (pending, batch) in group {
            let answer = match (&outcome, &mut first_seq) {
                (Ok(_), Some(first)) => {
                    let committed = Committed {
                        first_seq: *first,
                        rows: batch.frame.row_count(),
                        ingested_at_us: core.state.ingested_at_us,
                    };
                    *first += u64::from(committed.rows);
                    Ok(committed)
                }
                (Err(error), _) => Err(Error::new(error.kind(), error.to_string())),
                (Ok(_), None) => unreachable!("a group that was committed has a first number"),
            };
            *lock(&pending.state) = PendingState::Done(answer);
        }
    }

    /// Commits a batch by itself, at once, for who has the core already.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    pub(super) fn commit_alone(&self, core: &mut Core, batch: Batch) -> Result<Committed> {
        let (rows, bytes) = (batch.frame.row_count(), batch.frame.len_bytes());
        let pending = Arc::new(Pending { state: Mutex::new(PendingState::Taken) });
        let first_seq = self.commit_group(core, &mut [(pending, batch)], bytes)?;
        Ok(Committed { first_seq, rows, ingested_at_us: core.state.ingested_at_us })
    }

    /// Commits a group; the number of its first row.
    fn commit_group(&self, core: &mut Core, group: &mut [(Arc<Pending>, Batch)], bytes: usize) -> Result<u64> {
        core.check_sound()?;
        let began = Instant::now();
        let rows: u64 = group.iter().map(|(_, batch)| u64::from(batch.frame.row_count())).sum();
        let first_seq = core.next_seq;
        core.log.make_room(bytes, first_seq, first_seq + rows)?;
        self.follow_rotation(core);
        let ingested_at = self.stamp(core);
        // The log takes nothing more then, and the next open tells how much of it there is.
        let committed = self.commit_stamped(core, group, ingested_at);
        match committed {
            Ok(()) => self.commit_times.observe(began.elapsed()),
            Err(_) => self.settle(core, false),
        }
        committed.map(|()| first_seq)
    }

    fn commit_stamped(&self, core: &mut Core, group: &mut [(Arc<Pending>, Batch)], ingested_at: i64) -> Result<()> {
        let first_seq = core.next_seq;
        let mut next_seq = first_seq;
        let mut frames = Vec::with_capacity(group.len());
        for (_, batch) in group.iter_mut() {
            let Batch { frame, source, undated, .. } = batch;
            let rows = frame.row_count();
            undated.iter().for_each(|&record| frame.raise_created(record, ingested_at));
            frames.push(frame.finish(next_seq, ingested_at, *source));
            next_seq += u64::from(rows);
        }
        let position = core.log.append_group(frames)?;
        let is_synced_now = match self.options.durability {
            Durability::Os => false,
            Durability::Interval(_) => !self.options.syncs_in_background,
            Durability::Fsync => true,
        };
        if is_synced_now && self.options.sync_beside_rows_min.is_some_and(|min| next_seq - first_seq >= min) {
            core.log.begin_sync();
        }
        let frames: Vec<(Frame<'_>, &[u64])> =
            group.iter().map(|(_, batch)| (parsed(&batch.frame), batch.hashes.as_slice())).collect();
        // Nothing of it shows: records that no index names, room in the tables.
        let staged: Vec<StagedFrame> =
            frames.iter().map(|(frame, hashes)| stage_in_tail(&core.tail, frame, hashes)).collect();
        if is_synced_now {
            Self::make_tables_ready(core, &frames);
            core.log.sync()?;
        }
        // From here on nothing fails: what is in the log becomes visible.
        for ((frame, hashes), staged) in frames.iter().zip(staged) {
            insert_staged(&core.tail, frame, hashes, position, staged);
            self.apply_to_tables(core, frame, hashes);
            core.next_seq = frame.first_seq + u64::from(frame.row_count);
        }
        core.state.ingested_at_us = ingested_at;
        core.state.committed_seq = core.next_seq - 1;
        self.publish_head(core);
        Ok(())
    }
}

fn parsed(frame: &FrameBuilder) -> Frame<'_> {
    let (frame, _) = Frame::parse(frame.bytes()).ok().flatten().expect("the builder writes what the parser reads");
    frame
}

/// Where the tail has the records of a frame's sections.
type StagedFrame = Vec<RecordPlace>;

fn stage_in_tail(tail: &TailSegment, frame: &Frame<'_>, hashes: &[u64]) -> StagedFrame {
    let mut hashes = hashes;
    let stage = |section: Section<'_>| {
        let (mine, rest) = hashes.split_at(section.row_count as usize);
        hashes = rest;
        tail.stage(section.view_id, section.records, mine)
    };
    frame.sections().map(stage).collect()
}

/// Adds a frame's rows, whose key hashes are `hashes`, and its commit to the index of its segment.
pub(super) fn insert_into_tail(tail: &TailSegment, frame: &Frame<'_>, hashes: &[u64], position: LogPosition) {
    insert_staged(tail, frame, hashes, position, stage_in_tail(tail, frame, hashes));
}

fn insert_staged(tail: &TailSegment, frame: &Frame<'_>, hashes: &[u64], position: LogPosition, staged: StagedFrame) {
    let mut hashes = hashes;
    let mut seq = frame.first_seq;
    for (section, place) in frame.sections().zip(staged) {
        let (mine, rest) = hashes.split_at(section.row_count as usize);
        tail.insert(section.view_id, place, section.records, mine, seq, position);
        hashes = rest;
        seq += u64::from(section.row_count);
    }
    tail.commit(Commit { ingested_at: frame.ingested_at, last_seq: frame.last_seq(), source: frame.source });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};

    use super::super::core::lock;
    use crate::definition::{Definitions, FeatureView};
    use crate::format::accept::{AcceptOptions, accept_batch};
    use crate::time::Timestamp;
    use crate::value::DataType;
    use crate::{ApplyOptions, ErrorKind, Features, GetOptions, Store};

    const NOW: Timestamp = Timestamp(5);

    #[test]
    fn rows_of_a_view_that_was_dropped_meanwhile_are_refused_and_those_beside_them_written() {
        // They were acknowledged once, and found by nobody.
        let store = Store::builder().background(false).temporary().unwrap();
        let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", DataType::Int64);
        let kept = Definitions::new("commit").entity("thing", [("id", DataType::Int64)]).view(view("kept"));
        store.apply(&kept.clone().view(view("dropped")), ApplyOptions::default()).unwrap();
        let engine = store.engine().unwrap();
        // As who looked before the definitions changed.
        let before = engine.reads().picture();
        store.apply(&kept, ApplyOptions { prune: true }).unwrap();
        let view = |name: &str| before.views.values().find(|view| view.record.definition.name == name).unwrap();
        let column = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![NOW.0]));
        let batch = RecordBatch::try_from_iter([("id", column()), ("event_timestamp", at), ("x", column())]).unwrap();
        let write = |name: &str| {
            let view = view(name);
            let accepted = accept_batch(&view.record.definition, &batch, &AcceptOptions::new(NOW)).unwrap();
            engine.write(view, &accepted, 0)
        };
        // Both in one group.
        let (dropped, written) = std::thread::scope(|scope| {
            let core = engine.lock_core();
            let (dropped, written) = (scope.spawn(|| write("dropped")), scope.spawn(|| write("kept")));
            let began = Instant::now();
            while lock(&engine.queue).len() < 2 && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(core);
            (dropped.join().unwrap(), written.join().unwrap())
        });
        let deleted = engine.delete(view("dropped"), &1_i64.to_be_bytes(), 1, None);
        for error in [dropped.unwrap_err(), deleted.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("dropped@1 was dropped meanwhile"), "{error}");
        }
        written.unwrap();
        let features = Features::list(["kept:x"]).unwrap();
        let answer = store.get(&features, &[("id", 1_i64.into())], &GetOptions::default()).unwrap();
        assert_eq!(answer[0].value, 1_i64.into());
    }
}
