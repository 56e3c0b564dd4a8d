//! The log's rows become a run.

use crate::error::Result;
use crate::history::order::{Sorted, sort_into};
use crate::history::output::{RunFileMeta, RunOutput, write_all, write_sorted};
use crate::history::rows::UnsortedRows;
use crate::history::schema::RunSchema;

/// Sorts collected rows and writes them as one run, split by hash range into files. No rows give no file.
///
/// # Errors
/// The disk's.
pub fn seal(schema: &RunSchema, rows: &[UnsortedRows], output: &RunOutput<'_>) -> Result<Vec<RunFileMeta>> {
    let pieces: Vec<&UnsortedRows> = rows.iter().collect();
    let columns: Vec<_> = rows.iter().map(|rows| &rows.columns).collect();
    let mut sorted = Sorted::default();
    let ranges = (0..).zip(rows).map(|(piece, rows)| (piece, 0..u32::try_from(rows.hashes.len()).unwrap_or(u32::MAX)));
    // A view truncate has no key, whose hash may be that of any.
    sort_into(&pieces, ranges, 0, false, &mut sorted);
    let bytes: usize = rows.iter().map(|rows| rows.columns.memory_bytes()).sum();
    let parts = sorted.split(bytes as u64, output.file_bytes);
    let bases = vec![0; columns.len()];
    write_all(output, parts.len(), |part, durable| {
        write_sorted(output, schema, &columns, &bases, sorted.part(parts[part].clone()), durable)
    })
}
