//! When a row was learned, and from whom: the commit that gave it its number.

use std::path::Path;

use serde::Serialize;

use super::picture::Picture;
use super::reads::Reads;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::commits::{Commit, parse_commits};
use crate::registry::records::ClockRecord;
use crate::time::Timestamp;

/// Where rows came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// When they were committed.
    pub ingested_at: Timestamp,
    /// The commit's last number: a `known_at` from here on sees all of it.
    pub last_seq: u64,
    /// Who wrote them, where the writer said so.
    pub source: Option<String>,
    /// The file they were imported from, or what else gave numbers past the log: `import weather`.
    pub by: Option<String>,
}

impl Reads {
    /// The commit of the row numbered `seq`; `None` when no row has that number.
    ///
    /// # Errors
    /// The file of commit times that would know is damaged.
    pub fn provenance(&self, picture: &Picture, seq: u64) -> Result<Option<Provenance>> {
        let state = &picture.state;
        let past_the_log = state.commits().find(|commit| (commit.seq_first..=commit.seq_last).contains(&seq));
        if let Some(commit) = past_the_log {
            let import = state.imports().find(|import| (import.seq_first..=import.seq_last).contains(&seq));
            return Ok(Some(Provenance {
                ingested_at: Timestamp(commit.ingested_at_us),
                last_seq: commit.seq_last,
                source: import.and_then(|import| state.source_name(import.source_id)).map(str::to_owned),
                by: Some(import.map_or(&commit.what, |import| &import.path).clone()),
            }));
        }
        Ok(logged_commit(&*self.disk, &self.dir, picture, seq)?.map(|commit| Provenance {
            ingested_at: Timestamp(commit.ingested_at),
            last_seq: commit.last_seq,
            source: state.source_name(commit.source).map(str::to_owned),
            by: None,
        }))
    }

    /// The commits that a file of commit times holds.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub(super) fn commits_of(&self, clock: &ClockRecord) -> Result<Vec<Commit>> {
        commits_of(&*self.disk, &self.dir, clock)
    }
}

/// The first commit of the log that reaches up to `seq`.
///
/// # Errors
/// The file of commit times that would know is missing or damaged.
pub(super) fn logged_commit(disk: &dyn Disk, dir: &Path, picture: &Picture, seq: u64) -> Result<Option<Commit>> {
    Ok(match picture.state.clocks().find(|clock| seq <= clock.seq_last) {
        Some(clock) => commit_of(&commits_of(disk, dir, clock)?, seq),
        None => picture.tail.iter().find_map(|tail| commit_of(&tail.commits(), seq)),
    })
}

/// The last commit of the log.
///
/// # Errors
/// As [`logged_commit`].
pub(super) fn last_logged_commit(disk: &dyn Disk, dir: &Path, picture: &Picture) -> Result<Option<Commit>> {
    let in_the_tail = picture.tail.iter().rev().find_map(|tail| tail.commits().last().copied());
    match (in_the_tail, picture.state.clocks().last()) {
        (None, Some(clock)) => Ok(commits_of(disk, dir, clock)?.last().copied()),
        (commit, _) => Ok(commit),
    }
}

fn commits_of(disk: &dyn Disk, dir: &Path, clock: &ClockRecord) -> Result<Vec<Commit>> {
    let path = dir.join(&clock.file_name);
    let bytes = disk.map(&path)?;
    parse_commits(&bytes).map_err(|what| {
        Error::damaged(&path, what)
            .remedy("ask with a seq or a snapshot, or put the file back from a copy of the store's folder")
    })
}

/// The first commit that reaches up to `seq`.
fn commit_of(commits: &[Commit], seq: u64) -> Option<Commit> {
    commits.get(commits.partition_point(|commit| commit.last_seq < seq)).copied()
}
