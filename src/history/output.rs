//! Where runs are written, and what is known of a file afterwards.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::Result;
use crate::history::block_writer::Durable;
use crate::history::known::KnownRows;
use crate::history::order::Sorted;
use crate::history::rows::{RowColumns, RunRows};
use crate::history::schema::RunSchema;
use crate::history::syncs::Syncs;
use crate::history::writer::write_run;
use crate::threads;

/// Where the files of a new run go.
#[derive(Clone, Copy)]
pub struct RunOutput<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// The view's folder; it is there.
    pub dir: &'a Path,
    /// Gives the next file's number.
    pub next_id: &'a (dyn Fn() -> u64 + Sync),
    /// About how large a file becomes.
    pub file_bytes: u64,
    /// How many threads work.
    pub threads: usize,
    /// Whether files are synced: not where nobody reads them after a crash.
    pub is_durable: bool,
}

/// What the registry keeps of a run file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFileMeta {
    /// Its number, which names it.
    pub id: u64,
    /// Files built together share the number of the first: together they are one run.
    pub run: u64,
    /// Rows.
    pub rows: u64,
    /// Keys.
    pub keys: u64,
    /// Least key hash.
    pub hash_lo: u64,
    /// Greatest key hash.
    pub hash_hi: u64,
    /// Least event timestamp.
    pub min_event_ts: i64,
    /// Greatest event timestamp.
    pub max_event_ts: i64,
    /// Least sequence number, relative to the run's base.
    pub min_seq: u64,
    /// Greatest sequence number, relative to the run's base.
    pub max_seq: u64,
    /// Length of the Arrow file.
    pub run_bytes: u64,
    /// Length of the index file.
    pub index_bytes: u64,
    /// Checksum of the index, which covers the checksums of every block of both files.
    pub index_checksum: u32,
}

/// The Arrow file numbered `id` in `dir`.
pub fn run_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:010}.arrow"))
}

/// The index file numbered `id` in `dir`.
pub fn index_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:010}.idx"))
}

/// Splits buckets, which hold these many bytes in hash order, into ranges of about `file_bytes`.
pub(crate) fn plan_files(bucket_bytes: &[u64], file_bytes: u64) -> Vec<std::ops::Range<usize>> {
    let mut plan: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut start, mut bytes) = (0, 0u64);
    for (bucket, &more) in bucket_bytes.iter().enumerate() {
        if bytes > 0 && bytes.saturating_add(more) > file_bytes {
            plan.push(start..bucket);
            (start, bytes) = (bucket, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    if bytes > 0 {
        plan.push(start..bucket_bytes.len());
    }
    plan
}

/// Runs `jobs` jobs on the output's threads, and gives the files in the order of jobs, as one run.
///
/// # Errors
/// The first that a job met; the others are not begun then.
pub(crate) fn write_all(
    output: &RunOutput<'_>,
    jobs: usize,
    job: impl Fn(usize, Durable<'_>) -> Result<Vec<RunFileMeta>> + Sync,
) -> Result<Vec<RunFileMeta>> {
    let mut files = match (output.is_durable, output.threads > 1 && jobs > 1) {
        (false, _) => run_jobs(output, jobs, |number| job(number, Durable::Never))?,
        (true, false) => run_jobs(output, jobs, |number| job(number, Durable::AtOnce))?,
        (true, true) => Syncs::beside(|syncs| run_jobs(output, jobs, |number| job(number, Durable::Beside(syncs))))?,
    };
    let run = files.iter().map(|file| file.id).min().unwrap_or(0);
    files.iter_mut().for_each(|file| file.run = run);
    if !files.is_empty() && output.is_durable {
        output.disk.sync_dir(output.dir)?;
    }
    Ok(files)
}

fn run_jobs(
    output: &RunOutput<'_>,
    jobs: usize,
    job: impl Fn(usize) -> Result<Vec<RunFileMeta>> + Sync,
) -> Result<Vec<RunFileMeta>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<Vec<RunFileMeta>>>>> = Mutex::new((0..jobs).map(|_| None).collect());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return;
            }
            let result = job(number);
            if result.is_err() {
                next.store(jobs, Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(result);
        }
    };
    threads::share(output.threads.min(jobs), work);
    let mut files = Vec::new();
    for result in done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten() {
        files.extend(result?);
    }
    Ok(files)
}

/// What jobs sort, and what becomes of it.
pub(crate) struct SortedJobs<'a> {
    pub(crate) schema: &'a RunSchema,
    /// Where the sorted rows lie.
    pub(crate) pieces: &'a [&'a RowColumns],
    pub(crate) seq_bases: &'a [u64],
    /// About how many bytes a row takes.
    pub(crate) row_bytes: u64,
    /// Whether a job that has much more than a file's bytes is split between keys: keys are not all alike.
    pub(crate) splits: bool,
    /// Rows that are not written again.
    pub(crate) known: Option<&'a KnownRows<'a>>,
}

impl SortedJobs<'_> {
    /// Writes what `jobs` jobs sort, each the rows of about one file, in hash order.
    ///
    /// # Errors
    /// The first that a job met.
    pub(crate) fn write(
        &self,
        output: &RunOutput<'_>,
        jobs: usize,
        job: impl Fn(usize) -> Result<Sorted> + Sync,
    ) -> Result<Vec<RunFileMeta>> {
        let Some(known) = self.known else {
            return write_all(output, jobs, |number, durable| self.write_files(output, job(number)?, durable));
        };
        // Where most rows are known a job leaves few: each thread gathers what several leave into one file.
        let spans = output.threads.clamp(1, jobs.max(1));
        write_all(output, spans, |span, durable| {
            let (mut files, mut waiting) = (Vec::new(), Sorted::default());
            for number in jobs * span / spans..jobs * (span + 1) / spans {
                let kept = known.without_known(job(number)?, self.pieces)?;
                let rows = (waiting.row_count + kept.row_count) as u64;
                if waiting.row_count > 0 && rows * self.row_bytes > output.file_bytes {
                    files.extend(self.write_files(output, std::mem::take(&mut waiting), durable)?);
                }
                waiting.append(&kept);
            }
            files.extend(self.write_files(output, waiting, durable)?);
            Ok(files)
        })
    }

    fn write_files(&self, output: &RunOutput<'_>, sorted: Sorted, durable: Durable<'_>) -> Result<Vec<RunFileMeta>> {
        let bytes = (sorted.row_count as u64).saturating_mul(self.row_bytes);
        // Sizes are estimates: a little more is no reason for a second, tiny file.
        if !self.splits || bytes <= output.file_bytes.saturating_add(output.file_bytes / 4) {
            return write_sorted(output, self.schema, self.pieces, self.seq_bases, sorted, durable);
        }
        let mut files = Vec::new();
        for part in sorted.split(bytes, output.file_bytes) {
            files.extend(write_sorted(output, self.schema, self.pieces, self.seq_bases, sorted.part(part), durable)?);
        }
        Ok(files)
    }
}

/// Writes sorted rows, which lie in their pieces, to one file; to more only where a single
/// one cannot hold them.
pub(crate) fn write_sorted(
    output: &RunOutput<'_>,
    schema: &RunSchema,
    pieces: &[&RowColumns],
    seq_bases: &[u64],
    sorted: Sorted,
    durable: Durable<'_>,
) -> Result<Vec<RunFileMeta>> {
    let mut files = Vec::new();
    // Arrow's offsets end at 2 GiB: a key with more than that, or a set of them, takes several files.
    let mut waiting = vec![sorted];
    while let Some(sorted) = waiting.pop() {
        if sorted.row_count == 0 {
            continue;
        }
        if sorted.is_too_large(pieces) {
            let (front, back) = sorted.halve();
            waiting.extend([back, front]);
            continue;
        }
        let Sorted { ranges, keys, extents, row_count } = &sorted;
        let rows = RunRows { ranges, keys, pieces, seq_bases, extents, row_count: *row_count };
        files.push(write_run(output, schema, &rows, durable)?);
    }
    Ok(files)
}
