//! The commit clock: when each commit was ingested, and by whom. Part of truth, because a
//! wall-clock `known_at` must map to the same seq for ever.
//!
//! The log carries it in its frames; when a segment is sealed its commits go to a file of their own:
//!
//! ```text
//! header  := "asofcmt1" | u32 format version | u32 commit count | u32 crc32c of the entries | u32 crc32c of the header so far
//! entry   := i64 ingested_at | u64 last seq of the commit | u32 source id | u32 zero
//! ```

/// One commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// When it was committed: microseconds since 1970, never less than the commit before.
    pub ingested_at: i64,
    /// The greatest seq of its rows.
    pub last_seq: u64,
    /// Who wrote it; 0 for nobody in particular.
    pub source: u32,
}

/// First bytes of a commit clock file.
pub const COMMITS_MAGIC: [u8; 8] = *b"asofcmt1";
/// Bytes before the entries.
pub const COMMITS_HEADER_BYTES: usize = 24;
/// Bytes of an entry.
pub const COMMIT_BYTES: usize = 24;
/// The version this release writes.
pub const COMMITS_VERSION: u32 = 1;

/// Encodes a commit clock file.
pub fn encode_commits(commits: &[Commit]) -> Vec<u8> {
    let mut entries = Vec::with_capacity(commits.len() * COMMIT_BYTES);
    for commit in commits {
        entries.extend(commit.ingested_at.to_le_bytes());
        entries.extend(commit.last_seq.to_le_bytes());
        entries.extend(commit.source.to_le_bytes());
        entries.extend([0; 4]);
    }
    let mut out = Vec::with_capacity(COMMITS_HEADER_BYTES + entries.len());
    out.extend(COMMITS_MAGIC);
    out.extend(COMMITS_VERSION.to_le_bytes());
    out.extend(u32::try_from(commits.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(crc32c::crc32c(&entries).to_le_bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out.extend(entries);
    out
}

/// Reads a commit clock file.
///
/// # Errors
/// What is wrong with the bytes, without a place.
pub fn parse_commits(bytes: &[u8]) -> Result<Vec<Commit>, &'static str> {
    let (header, entries) = bytes.split_first_chunk::<COMMITS_HEADER_BYTES>().ok_or("shorter than its header")?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..8] != COMMITS_MAGIC {
        return Err("no commit clock");
    }
    if crc32c::crc32c(&header[..20]) != word(20) {
        return Err("header checksum differs");
    }
    if word(8) != COMMITS_VERSION {
        return Err("unknown format version");
    }
    let (entries, rest) = entries.as_chunks::<COMMIT_BYTES>();
    if !rest.is_empty() || entries.len() != word(12) as usize || crc32c::crc32c(entries.as_flattened()) != word(16) {
        return Err("entries are not those that were written");
    }
    let eight = |entry: &[u8; COMMIT_BYTES], at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&entry[at..at + 8]);
        bytes
    };
    let commits = entries.iter().map(|entry| Commit {
        ingested_at: i64::from_le_bytes(eight(entry, 0)),
        last_seq: u64::from_le_bytes(eight(entry, 8)),
        source: u32::from_le_bytes([entry[16], entry[17], entry[18], entry[19]]),
    });
    Ok(commits.collect())
}

/// The last commit ingested by `time` among `commits`, which are in order of both clocks.
pub fn last_by(commits: &[Commit], time: i64) -> Option<Commit> {
    commits[..commits.partition_point(|commit| commit.ingested_at <= time)].last().copied()
}

/// The commit that row `seq` came in: the first whose last seq is not below it.
pub fn commit_of(commits: &[Commit], seq: u64) -> Option<Commit> {
    commits.get(commits.partition_point(|commit| commit.last_seq < seq)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits() -> Vec<Commit> {
        (1..=5).map(|i| Commit { ingested_at: 100 * i, last_seq: 10 * i.unsigned_abs(), source: 3 }).collect()
    }

    #[test]
    fn commits_come_back_and_no_flipped_bit_passes() {
        let bytes = encode_commits(&commits());
        assert_eq!(parse_commits(&bytes).unwrap(), commits());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(parse_commits(&damaged).is_err(), "byte {at}");
            assert!(parse_commits(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_wall_clock_time_maps_to_the_last_commit_by_then() {
        let commits = commits();
        assert_eq!(last_by(&commits, 99), None);
        assert_eq!(last_by(&commits, 300).unwrap().last_seq, 30);
        assert_eq!(last_by(&commits, 301).unwrap().last_seq, 30);
        assert_eq!(commit_of(&commits, 11).unwrap().last_seq, 20);
        assert_eq!(commit_of(&commits, 51), None);
    }
}
