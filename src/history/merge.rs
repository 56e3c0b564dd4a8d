//! Several runs become one.

use crate::error::Result;
use crate::history::cursor::{MergeCursor, MergedKey};
use crate::history::known::KnownRows;
use crate::history::order::Sorted;
use crate::history::output::{RunFileMeta, RunOutput, SortedJobs, plan_files};
use crate::history::reader::RunFile;
use crate::history::rows::RowColumns;
use crate::history::schema::RunSchema;

/// Hashes are planned in this many buckets.
const BUCKET_BITS: u32 = 12;

/// Merges run files into one new run with the columns of `schema`, which may have more features than
/// they do. No row is dropped. Sequence numbers become absolute: the new run's base is 0.
///
/// Memory is bounded by the output files being written, one a thread.
///
/// # Errors
/// An input is damaged; the disk's.
pub fn merge_runs(runs: &[&RunFile], schema: &RunSchema, output: &RunOutput<'_>) -> Result<Vec<RunFileMeta>> {
    merge_without(runs, schema, output, None)
}

/// [`merge_runs`], leaving out the rows that are known: how an import's runs become what it adds.
///
/// # Errors
/// As [`merge_runs`].
pub fn merge_without(
    runs: &[&RunFile],
    schema: &RunSchema,
    output: &RunOutput<'_>,
    known: Option<&KnownRows<'_>>,
) -> Result<Vec<RunFileMeta>> {
    let Some(first) = runs.iter().map(|run| run.head().slot_map.hash_lo).min() else { return Ok(Vec::new()) };
    let last = runs.iter().map(|run| run.head().slot_map.hash_hi).max().unwrap_or(first);
    let columns: Vec<RowColumns> = runs.iter().map(|run| run.row_columns()).collect::<Result<_>>()?;
    let pieces: Vec<&RowColumns> = columns.iter().collect();
    let bases: Vec<u64> = runs.iter().map(|run| run.seq_base()).collect();
    let shift = (last - first).leading_zeros().min(63);
    let mut bucket_bytes = vec![0u64; 1 << BUCKET_BITS];
    for run in runs {
        let row_bytes = run.head().run_bytes / run.head().row_count.max(1) + 1;
        for slot in (0..run.slot_count()).map(|i| run.slot(i)).filter(|slot| slot.len > 0) {
            let bucket = usize::try_from(((slot.hash - first) << shift) >> (64 - BUCKET_BITS)).unwrap_or(0);
            bucket_bytes[bucket] += u64::from(slot.len) * row_bytes;
        }
    }
    // The least hash of a bucket.
    let bound = |bucket: usize| first.saturating_add(((bucket as u64) << (64 - BUCKET_BITS)) >> shift);
    let plan = plan_files(&bucket_bytes, output.file_bytes);
    let row_count: u64 = runs.iter().map(|run| run.row_count() as u64).sum();
    let row_bytes = bucket_bytes.iter().sum::<u64>() / row_count.max(1);
    let jobs = SortedJobs { schema, pieces: &pieces, seq_bases: &bases, row_bytes, splits: false, known };
    jobs.write(output, plan.len(), |job| {
        let lo = if job == 0 { first } else { round_up(bound, plan[job].start, shift) };
        let hi = match plan.get(job + 1) {
            Some(next) => round_up(bound, next.start, shift) - 1,
            None => last,
        };
        let mut cursor = MergeCursor::over(runs, &columns, &bases, lo, hi)?;
        let (mut sorted, mut merged) = (Sorted::default(), MergedKey::default());
        while cursor.next_into(&mut merged)? {
            sorted.push_key(merged.hash, &merged.key, merged.extents.iter().copied());
        }
        Ok(sorted)
    })
}

/// The least hash of a bucket, where buckets are narrower than one hash: the division rounds up.
fn round_up(bound: impl Fn(usize) -> u64, bucket: usize, shift: u32) -> u64 {
    let remainder = ((bucket as u64) << (64 - BUCKET_BITS)) & ((1 << shift) - 1);
    bound(bucket).saturating_add(u64::from(remainder > 0))
}
