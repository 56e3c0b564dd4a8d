//! One thread's part of a resolution: blocks of spine rows through every source.
//!
//! Spine rows come in the order of their hashes, a block at a time. Sources are visited newest first,
//! and a row leaves out a run that cannot beat what it has. Within a block each step runs over all
//! rows before the next begins, and times are searched in lockstep, so that many loads are in flight
//! at once without any row waiting for another's.

use std::hint::select_unpredictable;

use super::last_seen::{LastSeen, WALK_ROWS_MAX, Walked};
use super::pick::{Mark, is_past, oldest_in_age, pick};
use super::resolve::{Hits, NO_SOURCE, Plan, Share};
use super::source::{Run, Slot, Source, Tail, TailWinner, slot_rows};
use super::spine::{Probe, bucket};
use crate::format::row::RowKind;

/// Spine rows that go through the steps together: what a block keeps must stay in the first-level cache.
const BLOCK: usize = 512;
/// Rows whose times are searched together.
const GROUP: usize = 16;

/// The best that is known of each row of a block.
struct Best {
    event_ts: [i64; BLOCK],
    source: [u16; BLOCK],
    row: [u32; BLOCK],
    /// Of rows whose best is of a tail; empty where there are no tails.
    tail: Vec<Option<TailWinner>>,
}

/// Rows of a block whose key a run holds, and where.
struct Found {
    lane: [u16; BLOCK],
    slot: [usize; BLOCK],
    start: [u32; BLOCK],
    row: [u32; BLOCK],
    len: [u32; BLOCK],
    count: usize,
}

/// Finds the winners of `probes`, which are in bucket order, into `share`.
pub(super) fn resolve(plan: &Plan<'_>, probes: &[Probe], share: &mut Share) {
    let source_count = plan.question.sources.len();
    share.hits.resize_with(source_count, Hits::default);
    share.hits.iter_mut().for_each(Hits::clear);
    let has_tails = plan.question.sources.iter().any(|source| matches!(source, Source::Tail(tail) if !tail.is_empty()));
    let tail = vec![None; if has_tails { BLOCK } else { 0 }];
    let mut best = Best { event_ts: [0; BLOCK], source: [0; BLOCK], row: [0; BLOCK], tail };
    let mut found =
        Found { lane: [0; BLOCK], slot: [0; BLOCK], start: [0; BLOCK], row: [0; BLOCK], len: [0; BLOCK], count: 0 };
    let mut walked: Vec<Walked> = Vec::new();
    walked.resize_with(source_count, Walked::default);
    let mut last_bucket = 0;
    for block in probes.chunks(BLOCK) {
        // Of other buckets no key comes again: what is known of theirs goes, once a block begins with a bucket.
        if block.first().is_some_and(|probe| bucket(probe.hash) != last_bucket) {
            walked.iter_mut().for_each(Walked::clear);
        }
        last_bucket = block.last().map_or(0, |probe| bucket(probe.hash));
        best.event_ts.fill(i64::MIN);
        best.source.fill(NO_SOURCE);
        for &source in &plan.order {
            // At most u16::MAX sources: fill() refused more.
            let number = u16::try_from(source).unwrap_or(NO_SOURCE);
            match &plan.question.sources[source] {
                Source::Tail(tail) if tail.is_empty() => {}
                Source::Tail(tail) => visit_tail(plan, number, *tail, block, &mut best, &mut walked[source]),
                Source::Run(run) => {
                    visit_run(plan, number, run, block, &mut best, &mut found, &mut walked[source]);
                }
            }
        }
        if !plan.question.truncates.is_empty() {
            apply_truncates(plan, block, &mut best);
        }
        finish(plan, block, &best, share);
    }
}

fn visit_tail(plan: &Plan<'_>, number: u16, tail: &dyn Tail, block: &[Probe], best: &mut Best, walked: &mut Walked) {
    let mut keys = block.iter().map(|probe| {
        let key = plan.keys.key(probe.position as usize);
        (probe.hash, key, plan.as_of(probe.at))
    });
    tail.winners(&mut keys, walked, &mut |lane, winner| {
        if best.offer(plan, lane, number, winner.row, winner.mark.event_ts, || winner.mark) {
            best.tail[lane] = Some(winner);
        }
    });
}

impl Best {
    /// Takes a row that is later in row order than what the lane has; whether it is.
    #[inline]
    fn offer(
        &mut self,
        plan: &Plan<'_>,
        lane: usize,
        source: u16,
        row: u32,
        event_ts: i64,
        mark: impl FnOnce() -> Mark,
    ) -> bool {
        let has_none = self.source[lane] == NO_SOURCE;
        let wins = has_none
            || event_ts > self.event_ts[lane]
            || event_ts == self.event_ts[lane] && mark() > self.mark(plan, lane);
        if wins {
            (self.event_ts[lane], self.source[lane], self.row[lane]) = (event_ts, source, row);
        }
        wins
    }

    /// Where the lane's row stands in row order. It has one.
    fn mark(&self, plan: &Plan<'_>, lane: usize) -> Mark {
        match &plan.question.sources[usize::from(self.source[lane])] {
            Source::Run(run) => run.mark(self.row[lane] as usize),
            Source::Tail(_) => self.of_tail(lane).mark,
        }
    }

    /// Whether the lane's row is a value that its deadline has not overtaken at `at`.
    fn is_live(&self, plan: &Plan<'_>, lane: usize, at: i64) -> bool {
        let (kind, deadline) = match &plan.question.sources[usize::from(self.source[lane])] {
            Source::Run(run) => {
                let row = self.row[lane] as usize;
                (run.kind(row), run.deadline.and_then(|deadline| deadline.get(row)))
            }
            Source::Tail(_) => (self.of_tail(lane).kind, self.of_tail(lane).deadline),
        };
        kind == RowKind::Value && !is_past(deadline, at)
    }

    fn of_tail(&self, lane: usize) -> TailWinner {
        self.tail[lane].expect("a row of a tail comes with what it is")
    }
}

fn visit_run(
    plan: &Plan<'_>,
    number: u16,
    run: &Run<'_>,
    block: &[Probe],
    best: &mut Best,
    found: &mut Found,
    walked: &mut Walked,
) {
    let (Some(first), Some(last)) = (block.first(), block.last()) else { return };
    let out_of_range =
        bucket(last.hash) < bucket(run.index.hash_min) || bucket(first.hash) > bucket(run.index.hash_max);
    let question = plan.question;
    if out_of_range || run.event_ts.is_empty() || question.known_at < run.seq_range.0 {
        return;
    }
    find_entities(plan, run, block, best, found);
    search_times(run, block, found);
    let filters = question.created_cutoff || question.known_at < run.seq_range.1;
    if filters {
        offer_filtered(plan, number, run, block, best, found, walked);
    } else {
        offer_all(plan, number, run, block, best, found);
    }
}

/// Looks up the key of every row that this run could still serve better.
fn find_entities(plan: &Plan<'_>, run: &Run<'_>, block: &[Probe], best: &Best, found: &mut Found) {
    let (event_ts_min, event_ts_max) = run.event_ts_range;
    let mut lanes = [0_u16; BLOCK];
    let mut count = 0;
    for (lane, probe) in (0_u16..).zip(block) {
        lanes[count] = lane;
        // Equal to the run's greatest is no reason to leave it out: created or seq may decide.
        count += usize::from((probe.at >= event_ts_min) & (best.event_ts[usize::from(lane)] <= event_ts_max));
    }
    let slots = run.index.slots;
    let mut homes = [0_usize; BLOCK];
    let mut slots_read = [[0; 2]; BLOCK];
    for ((home, read), &lane) in homes.iter_mut().zip(&mut slots_read).zip(&lanes[..count]) {
        *home = run.index.home(block[usize::from(lane)].hash);
        *read = read_slot(slots, *home);
    }
    found.count = 0;
    for ((&home, &read), &lane) in homes.iter().zip(&slots_read).zip(&lanes[..count]) {
        let probe = &block[usize::from(lane)];
        let (mut at, mut slot) = (home, read);
        while slot[0] < probe.hash && slot_rows(slot).1 > 0 {
            at += 1;
            slot = read_slot(slots, at);
        }
        let (start, len) = slot_rows(slot);
        let place = found.count;
        (found.lane[place], found.start[place], found.row[place], found.len[place]) = (lane, start, start, len);
        found.slot[place] = at;
        found.count += usize::from(slot[0] == probe.hash && len > 0);
    }
    if !plan.keys.hash_is_key {
        compare_keys(plan, run, block, found);
    }
}

/// Keeps the found rows whose keys are equal too, moving on to other keys of the same hash.
fn compare_keys(plan: &Plan<'_>, run: &Run<'_>, block: &[Probe], found: &mut Found) {
    let mut kept = 0;
    for i in 0..found.count {
        let lane = found.lane[i];
        let probe = &block[usize::from(lane)];
        let key = plan.keys.key(probe.position as usize);
        let (mut at, mut start, mut len) = (found.slot[i], found.start[i], found.len[i]);
        while len > 0 && !run.file.key_equals(start, key) {
            at += 1;
            let slot = read_slot(run.index.slots, at);
            (start, len) = if slot[0] == probe.hash { slot_rows(slot) } else { (0, 0) };
        }
        (found.lane[kept], found.start[kept], found.row[kept], found.len[kept]) = (lane, start, start, len);
        kept += usize::from(len > 0);
    }
    found.count = kept;
}

#[inline]
fn read_slot(slots: &[Slot], at: usize) -> Slot {
    slots.get(at).copied().unwrap_or([0, 0])
}

/// Moves each found entity's row to its last one with an event time of at most the probe's, if there is one:
/// binary search, a group of rows in lockstep.
fn search_times(run: &Run<'_>, block: &[Probe], found: &mut Found) {
    let event_ts = run.event_ts;
    let mut done = 0;
    while done < found.count {
        let width = GROUP.min(found.count - done);
        let mut at = [i64::MIN; GROUP];
        // Lanes beyond the last row search one row of their own, harmlessly.
        let (mut row, mut len) = ([0_u32; GROUP], [1_u32; GROUP]);
        for i in 0..width {
            at[i] = block[usize::from(found.lane[done + i])].at;
            (row[i], len[i]) = (found.row[done + i], found.len[done + i]);
        }
        let longest = len.iter().copied().max().unwrap_or(1);
        for _ in 0..u32::BITS - (longest - 1).leading_zeros() {
            for i in 0..GROUP {
                let half = len[i] / 2;
                let middle = row[i] + half;
                // A branch here would be wrong every other time.
                row[i] = select_unpredictable(event_ts[middle as usize] <= at[i], middle, row[i]);
                len[i] -= half;
            }
        }
        found.row[done..done + width].copy_from_slice(&row[..width]);
        done += width;
    }
}

/// Offers what the searches found, where nothing but the time decides. Which of two runs holds the later row
/// cannot be foretold, so that is no branch; a tie is rare and is one.
fn offer_all(plan: &Plan<'_>, number: u16, run: &Run<'_>, block: &[Probe], best: &mut Best, found: &Found) {
    for i in 0..found.count {
        let (lane, row) = (usize::from(found.lane[i]), found.row[i]);
        let (event_ts, best_ts) = (run.event_ts[row as usize], best.event_ts[lane]);
        let has_none = best.source[lane] == NO_SOURCE;
        let in_sight = event_ts <= block[lane].at;
        if in_sight & (event_ts == best_ts) & !has_none {
            best.offer(plan, lane, number, row, event_ts, || run.mark(row as usize));
            continue;
        }
        let wins = in_sight & (has_none | (event_ts > best_ts));
        best.event_ts[lane] = select_unpredictable(wins, event_ts, best_ts);
        best.source[lane] = select_unpredictable(wins, number, best.source[lane]);
        best.row[lane] = select_unpredictable(wins, row, best.row[lane]);
    }
}

/// Offers the last row in sight of those up to what the searches found.
fn offer_filtered(
    plan: &Plan<'_>,
    number: u16,
    run: &Run<'_>,
    block: &[Probe],
    best: &mut Best,
    found: &Found,
    walked: &mut Walked,
) {
    for i in 0..found.count {
        let lane = usize::from(found.lane[i]);
        let question = plan.as_of(block[lane].at);
        let (start, last) = (found.start[i], found.row[i]);
        let near = start.max(last.saturating_sub(WALK_ROWS_MAX - 1));
        let mut rows = (near..=last).rev();
        let row = rows.find(|&row| question.sees(&run.mark(row as usize))).or_else(|| {
            if near == start {
                return None;
            }
            let len = found.len[i] as usize;
            let last_seen = walked.run.entry(start).or_insert_with(|| LastSeen::new(len));
            let seen = |row: usize| question.seen(&run.mark(start as usize + row));
            let row = last_seen.before((near - start) as usize, question.at, &seen)?;
            u32::try_from(start as usize + row).ok()
        });
        if let Some(row) = row {
            best.offer(plan, lane, number, row, run.event_ts[row as usize], || run.mark(row as usize));
        }
    }
}

/// A truncate that wins leaves its row without any.
fn apply_truncates(plan: &Plan<'_>, block: &[Probe], best: &mut Best) {
    for (lane, probe) in block.iter().enumerate() {
        if best.source[lane] == NO_SOURCE {
            continue;
        }
        let winner = best.mark(plan, lane);
        let truncates = plan.question.truncates;
        if pick(truncates, plan.as_of(probe.at)).is_some_and(|truncate| truncates[truncate] > winner) {
            best.source[lane] = NO_SOURCE;
        }
    }
}

/// Sorts the block's winners by source, and leaves out what is gone or too old.
fn finish(plan: &Plan<'_>, block: &[Probe], best: &Best, share: &mut Share) {
    let ttl_us = plan.question.ttl_us;
    for (lane, probe) in block.iter().enumerate() {
        let (source, row) = (best.source[lane], best.row[lane]);
        if source == NO_SOURCE || !plan.all_values && !best.is_live(plan, lane, probe.at) {
            continue;
        }
        if best.event_ts[lane] >= oldest_in_age(probe.at, ttl_us) {
            share.hits[usize::from(source)].push(probe.position, row);
        }
    }
}
